// Keys and values in pages, and attention of one new token a row over them.
#include "pages.cuh"

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

__device__ __forceinline__ void load_four(const float* from, float (&to)[4]) {
    const float4 four = *reinterpret_cast<const float4*>(from);
    to[0] = four.x, to[1] = four.y, to[2] = four.z, to[3] = four.w;
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

// Attention of a part in float. LANES lanes of a warp hold a token, each COLUMNS of its numbers. The part that has the new
// token puts its keys and values into their page before it reads them; where a key/value head has several blocks there, all
// put the same.
template <unsigned HEAD, unsigned GROUP>
__device__ __forceinline__ void attend(const Attended<float> attended) {
    constexpr unsigned COLUMNS = 4, LANES = HEAD / COLUMNS, TOKENS = 32 / LANES;
    const Part<HEAD, GROUP> part(attended);
    const unsigned size = attended.size, first = part.first, end = part.end;
    if (first >= end) {
        put_nothing(attended, part);
        return;
    }
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, column = lane % LANES * COLUMNS;
    const Address* pages = attended.table + part.row * size_t(attended.max_pages);
    const float* of_row = attended.qkv + part.row * size_t(attended.queries + 2 * attended.keys) * size;
    const size_t k_place = part.k_place, v_place = part.v_place;

    __shared__ float turned_queries[GROUP][HEAD];
    const unsigned last = part.len - 1;
    for (unsigned i = threadIdx.x; i < GROUP * HEAD; i += THREADS) {
        const unsigned g = i / HEAD, c = i % HEAD;
        const bool there = g < part.heads && c < size;
        const float* head = of_row + size_t(part.first_head + g) * size;
        turned_queries[g][c] = there ? turned_of(attended, head, c, last) * attended.scale : 0.0f;
    }
    if (part.has_new()) {
        float* page = reinterpret_cast<float*>(pages[last / PAGE]) + size_t(last % PAGE) * HEAD;
        const float* k_head = of_row + size_t(attended.queries + part.key_head) * size;
        const float* v_head = k_head + size_t(attended.keys) * size;
        for (unsigned c = threadIdx.x; c < HEAD; c += THREADS) {
            page[k_place + c] = c < size ? turned_of(attended, k_head, c, last) : 0.0f;
            page[v_place + c] = c < size ? v_head[c] : 0.0f;
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
        const float* page = reinterpret_cast<const float*>(pages[read / PAGE]);
        const size_t at = size_t(read % PAGE) * HEAD + column;
        float k[COLUMNS], v[COLUMNS];
        load_four(page + k_place + at, k);
        load_four(page + v_place + at, v);
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
    put_part(attended, part, [&](unsigned w, unsigned g) { return shared[w][g]; });
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
    }

KERNELS(float32, float)
KERNELS(bfloat16, bfloat16)

#define ATTEND(HEAD, GROUP) PAGES_ATTEND(pages_attend_##HEAD##_##GROUP, float, attend<HEAD, GROUP>)
ATTEND(32, 1)
ATTEND(32, 4)
ATTEND(32, 8)
ATTEND(64, 1)
ATTEND(64, 4)
ATTEND(64, 8)
ATTEND(128, 1)
ATTEND(128, 4)
ATTEND(128, 8)
