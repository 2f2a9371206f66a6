// Keys and values in pages, and attention of one new token a row over them.
//
// A page holds PAGE consecutive tokens of a row in all layers: [layers, 2 keys, PAGE, HEAD], keys of all key/value heads
// before the values, in numbers of type T. HEAD is the head's size or more: numbers beyond the size are zeros.
#include "bfloat16.cuh"
#include "rotary.cuh"

using Address = unsigned long long;

constexpr unsigned PAGE = 32;
// Tokens that one block attends to. Fixed, so that a row's sums do not depend on what is decoded beside it.
constexpr unsigned SPLIT = 256;
constexpr unsigned THREADS = 128, WARPS = THREADS / 32;
constexpr float NOTHING = -3.0e38f;

// Puts the keys and values of tokens, as they stand in rows of qkv, at their slots. A block a token.
template <typename T>
__device__ __forceinline__ void put_pages(const Address* __restrict__ pages, const unsigned* __restrict__ slots,
                                          const T* __restrict__ qkv, unsigned queries, unsigned keys, unsigned size,
                                          unsigned head_size, unsigned layer) {
    T* to = reinterpret_cast<T*>(pages[blockIdx.x]) + size_t(layer) * 2 * keys * PAGE * head_size;
    const T* from = qkv + blockIdx.x * size_t(queries + 2 * keys) * size + size_t(queries) * size;
    const unsigned slot = slots[blockIdx.x];
    for (unsigned i = threadIdx.x; i < 2 * keys * head_size; i += blockDim.x) {
        const unsigned head = i / head_size, column = i % head_size;
        put(to + (size_t(head) * PAGE + slot) * head_size + column,
            column < size ? widen(from[size_t(head) * size + column]) : 0.0f);
    }
}

// 16 bytes of numbers, widened.
__device__ __forceinline__ void wide(const float* from, float (&to)[4]) {
    const float4 four = *reinterpret_cast<const float4*>(from);
    to[0] = four.x, to[1] = four.y, to[2] = four.z, to[3] = four.w;
}
__device__ __forceinline__ void wide(const bfloat16* from, float (&to)[8]) {
    const uint4 bits = *reinterpret_cast<const uint4*>(from);
    to[0] = __uint_as_float(bits.x << 16), to[1] = __uint_as_float(bits.x & 0xffff0000u);
    to[2] = __uint_as_float(bits.y << 16), to[3] = __uint_as_float(bits.y & 0xffff0000u);
    to[4] = __uint_as_float(bits.z << 16), to[5] = __uint_as_float(bits.z & 0xffff0000u);
    to[6] = __uint_as_float(bits.w << 16), to[7] = __uint_as_float(bits.w & 0xffff0000u);
}

// A softmax's sums over some tokens, relative to `top`: of weights, and of weights times values.
template <unsigned COLUMNS>
struct Sums {
    float top, total, values[COLUMNS];
};

template <unsigned COLUMNS>
__device__ __forceinline__ void add(Sums<COLUMNS>& to, const Sums<COLUMNS>& other) {
    const float top = fmaxf(to.top, other.top);
    const float shrink = expf(to.top - top), others = expf(other.top - top);
    to.top = top;
    to.total = to.total * shrink + other.total * others;
#pragma unroll
    for (unsigned c = 0; c < COLUMNS; ++c) to.values[c] = to.values[c] * shrink + other.values[c] * others;
}

// What new tokens attend to, and where that goes.
template <typename T>
struct Attended {
    const Address* table;   // [rows, max_pages] pages of the tokens
    const unsigned* lens;   // [rows] tokens of each row, the new one among them; 0 for none
    const T* qkv;           // [rows, queries + 2 keys, size] of the new tokens, not turned yet
    const float *cosines, *sines;  // [positions, size / 2]
    float* partial;         // [rows, queries, splits, HEAD + 2]: weighted values, the softmax's maximum and sum
    T* out;                 // [rows, queries, size]
    unsigned max_pages, queries, keys, size, layer;
    float scale;
};

// A number of a head of queries or keys at a position, turned, and rounded as the trunk rounds it.
template <typename T>
__device__ __forceinline__ float turned_of(const Attended<T>& attended, const T* head, unsigned column, unsigned position) {
    const unsigned half = attended.size / 2;
    const bool first = column < half;
    const size_t angle = position * size_t(half) + (first ? column : column - half);
    const float sine = attended.sines[angle];
    T rounded;
    put(&rounded, turned(widen(head[column]), widen(head[first ? column + half : column - half]), attended.cosines[angle],
                         first ? -sine : sine));
    return widen(rounded);
}

// Attention of SPLIT tokens of a row and up to GROUP query heads of one key/value head: block (row, head chunk, split).
// LANES lanes of a warp hold a token, each COLUMNS of its numbers. The block of the last split puts the new token's keys
// and values into their page before it reads them; where a key/value head has several blocks there, all put the same.
template <unsigned HEAD, unsigned GROUP, typename T>
__device__ __forceinline__ void attend_split(const Attended<T> attended) {
    constexpr unsigned COLUMNS = 16 / sizeof(T), LANES = HEAD / COLUMNS, TOKENS = 32 / LANES;
    const unsigned queries = attended.queries, keys = attended.keys, size = attended.size;
    const unsigned row = blockIdx.x, split = blockIdx.z, len = attended.lens[row];
    const unsigned first = split * SPLIT, end = min(first + SPLIT, len);
    const bool whole = gridDim.z == 1;
    const unsigned group = queries / keys, chunks = (group + GROUP - 1) / GROUP;
    const unsigned key_head = blockIdx.y / chunks, chunk = blockIdx.y % chunks;
    const unsigned first_head = key_head * group + chunk * GROUP, heads = min(GROUP, group - chunk * GROUP);
    T* out = attended.out + (row * size_t(queries) + first_head) * size;
    if (first >= end) {
        if (whole) {
            for (unsigned i = threadIdx.x; i < heads * size; i += THREADS) put(out + i, 0.0f);
        }
        return;
    }
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, column = lane % LANES * COLUMNS;
    const Address* pages = attended.table + row * size_t(attended.max_pages);
    const T* of_row = attended.qkv + row * size_t(queries + 2 * keys) * size;
    const size_t k_place = (size_t(attended.layer) * 2 * keys + key_head) * PAGE * HEAD;
    const size_t v_place = k_place + size_t(keys) * PAGE * HEAD;

    __shared__ float turned_queries[GROUP][HEAD];
    for (unsigned i = threadIdx.x; i < GROUP * HEAD; i += THREADS) {
        const unsigned g = i / HEAD, c = i % HEAD;
        const bool there = g < heads && c < size;
        const T* head = of_row + size_t(first_head + g) * size;
        turned_queries[g][c] = there ? turned_of(attended, head, c, len - 1) * attended.scale : 0.0f;
    }
    if (end == len) {
        const unsigned last = len - 1;
        T* page = reinterpret_cast<T*>(pages[last / PAGE]) + size_t(last % PAGE) * HEAD;
        const T *k_head = of_row + size_t(queries + key_head) * size, *v_head = k_head + size_t(keys) * size;
        for (unsigned c = threadIdx.x; c < HEAD; c += THREADS) {
            put(page + k_place + c, c < size ? turned_of(attended, k_head, c, last) : 0.0f);
            put(page + v_place + c, c < size ? widen(v_head[c]) : 0.0f);
        }
    }
    __syncthreads();

    float q[GROUP][COLUMNS];
    Sums<COLUMNS> sums[GROUP];
#pragma unroll
    for (unsigned g = 0; g < GROUP; ++g) {
        sums[g].top = NOTHING;
        sums[g].total = 0.0f;
#pragma unroll
        for (unsigned c = 0; c < COLUMNS; ++c) {
            q[g][c] = turned_queries[g][column + c];
            sums[g].values[c] = 0.0f;
        }
    }
    for (unsigned base = first + warp * TOKENS; base < end; base += WARPS * TOKENS) {
        const unsigned token = base + lane / LANES;
        const bool there = token < end;
        const unsigned read = there ? token : end - 1;
        const T* page = reinterpret_cast<const T*>(pages[read / PAGE]);
        const size_t at = size_t(read % PAGE) * HEAD + column;
        float k[COLUMNS], v[COLUMNS];
        wide(page + k_place + at, k);
        wide(page + v_place + at, v);
#pragma unroll
        for (unsigned g = 0; g < GROUP; ++g) {
            float score = 0.0f;
#pragma unroll
            for (unsigned c = 0; c < COLUMNS; ++c) score += q[g][c] * k[c];
#pragma unroll
            for (unsigned offset = LANES / 2; offset > 0; offset /= 2) score += __shfl_xor_sync(0xffffffffu, score, offset);
            if (!there) score = NOTHING;
            const float top = fmaxf(sums[g].top, score);
            const float shrink = expf(sums[g].top - top), weight = there ? expf(score - top) : 0.0f;
            sums[g].top = top;
            sums[g].total = sums[g].total * shrink + weight;
#pragma unroll
            for (unsigned c = 0; c < COLUMNS; ++c) sums[g].values[c] = sums[g].values[c] * shrink + weight * v[c];
        }
    }

    // over the tokens of a warp, then over the warps
    __shared__ float shared[WARPS][GROUP][HEAD + 2];
#pragma unroll
    for (unsigned g = 0; g < GROUP; ++g) {
#pragma unroll
        for (unsigned offset = LANES; offset < 32; offset *= 2) {
            Sums<COLUMNS> other;
            other.top = __shfl_xor_sync(0xffffffffu, sums[g].top, offset);
            other.total = __shfl_xor_sync(0xffffffffu, sums[g].total, offset);
#pragma unroll
            for (unsigned c = 0; c < COLUMNS; ++c) other.values[c] = __shfl_xor_sync(0xffffffffu, sums[g].values[c], offset);
            add(sums[g], other);
        }
        if (lane < LANES) {
#pragma unroll
            for (unsigned c = 0; c < COLUMNS; ++c) shared[warp][g][column + c] = sums[g].values[c];
        }
        if (lane == 0) shared[warp][g][HEAD] = sums[g].top, shared[warp][g][HEAD + 1] = sums[g].total;
    }
    __syncthreads();
    for (unsigned i = threadIdx.x; i < heads * HEAD; i += THREADS) {
        const unsigned g = i / HEAD, c = i % HEAD;
        float top = NOTHING, total = 0.0f, value = 0.0f;
        for (unsigned w = 0; w < WARPS; ++w) top = fmaxf(top, shared[w][g][HEAD]);
        for (unsigned w = 0; w < WARPS; ++w) {
            const float weight = expf(shared[w][g][HEAD] - top);
            total += weight * shared[w][g][HEAD + 1];
            value += weight * shared[w][g][c];
        }
        if (whole) {
            if (c < size) put(out + size_t(g) * size + c, value / total);
            continue;
        }
        float* to = attended.partial + ((row * size_t(queries) + first_head + g) * gridDim.z + split) * (HEAD + 2);
        to[c] = value;
        if (c == 0) to[HEAD] = top, to[HEAD + 1] = total;
    }
}

// out [rows, queries size]: the splits of each row and head together. A block a row and head.
template <typename T>
__device__ __forceinline__ void combine_splits(const unsigned* __restrict__ lens, const float* __restrict__ partial,
                                               T* __restrict__ out, unsigned queries, unsigned size, unsigned head_size,
                                               unsigned splits) {
    const unsigned row = blockIdx.x, head = blockIdx.y, len = lens[row];
    const unsigned used = (len + SPLIT - 1) / SPLIT;
    const float* from = partial + (row * size_t(queries) + head) * splits * (head_size + 2);
    for (unsigned c = threadIdx.x; c < size; c += blockDim.x) {
        float top = NOTHING, total = 0.0f, value = 0.0f;
        for (unsigned s = 0; s < used; ++s) top = fmaxf(top, from[s * (head_size + 2) + head_size]);
        for (unsigned s = 0; s < used; ++s) {
            const float* split = from + s * (head_size + 2);
            const float weight = expf(split[head_size] - top);
            total += weight * split[head_size + 1];
            value += weight * split[c];
        }
        put(out + row * size_t(queries) * size + size_t(head) * size + c, len == 0 ? 0.0f : value / total);
    }
}

#define ATTEND(HEAD, GROUP, NAME, T)                                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS, 1)                                                          \
        pages_attend_##HEAD##_##GROUP##_##NAME(                                                                       \
            const Address* __restrict__ table, const unsigned* __restrict__ lens, const T* __restrict__ qkv,          \
            const float* __restrict__ cosines, const float* __restrict__ sines, float* __restrict__ partial,          \
            T* __restrict__ out, unsigned max_pages, unsigned queries, unsigned keys, unsigned size, unsigned layer,  \
            float scale) {                                                                                            \
        attend_split<HEAD, GROUP, T>({table, lens, qkv, cosines, sines, partial, out, max_pages, queries, keys, size, \
                                      layer, scale});                                                                 \
    }

#define KERNELS(NAME, T)                                                                                              \
    extern "C" __global__ void __launch_bounds__(128)                                                                 \
        pages_put_##NAME(const Address* __restrict__ pages, const unsigned* __restrict__ slots,                       \
                         const T* __restrict__ qkv, unsigned queries, unsigned keys, unsigned size,                   \
                         unsigned head_size, unsigned layer) {                                                        \
        put_pages(pages, slots, qkv, queries, keys, size, head_size, layer);                                          \
    }                                                                                                                 \
    extern "C" __global__ void __launch_bounds__(128)                                                                 \
        pages_combine_##NAME(const unsigned* __restrict__ lens, const float* __restrict__ partial,                    \
                             T* __restrict__ out, unsigned queries, unsigned size, unsigned head_size,                \
                             unsigned splits) {                                                                       \
        combine_splits(lens, partial, out, queries, size, head_size, splits);                                         \
    }                                                                                                                 \
    ATTEND(32, 1, NAME, T)                                                                                            \
    ATTEND(32, 4, NAME, T)                                                                                            \
    ATTEND(32, 8, NAME, T)                                                                                            \
    ATTEND(64, 1, NAME, T)                                                                                            \
    ATTEND(64, 4, NAME, T)                                                                                            \
    ATTEND(64, 8, NAME, T)                                                                                            \
    ATTEND(128, 1, NAME, T)                                                                                           \
    ATTEND(128, 4, NAME, T)                                                                                           \
    ATTEND(128, 8, NAME, T)

KERNELS(float32, float)
KERNELS(bfloat16, bfloat16)
