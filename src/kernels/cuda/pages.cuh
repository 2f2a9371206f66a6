// Pages of keys and values, and what attention of new tokens over them has in common.
//
// A page holds PAGE consecutive tokens of a row in all layers: [layers, 2 keys, PAGE, HEAD], keys of all key/value heads
// before the values, in numbers of type T. HEAD is the head's size or more: numbers beyond the size are zeros.
#pragma once

#include "factors.cuh"
#include "rotary.cuh"

using Address = unsigned long long;

constexpr unsigned PAGE = 32;
// Tokens that one block attends to. Fixed, so that a row's sums do not depend on what is decoded beside it.
constexpr unsigned SPLIT = 256;
constexpr unsigned THREADS = 128, WARPS = THREADS / 32;

// What new tokens, one a row, attend to, and where that goes.
template <typename T>
struct Attended {
    const Address* table;  // [rows, max_pages] pages of the tokens
    const unsigned* lens;  // [rows] tokens of each row, the new one among them; 0 for none
    const T* qkv;          // [rows, queries + 2 keys, size] of the new tokens, not turned yet
    const float* cosines;  // [positions, size / 2], and the sines
    const float* sines;
    float* partial;  // [rows, queries, splits, HEAD + 2]: weighted values, the softmax's maximum and sum
    T* out;          // [rows, queries, size]
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

// The part of a block (row, head chunk, split): SPLIT tokens of a row, and up to GROUP query heads of a key/value head.
template <unsigned HEAD, unsigned GROUP>
struct Part {
    unsigned row, split, len, first, end;     // tokens from `first` to before `end`; none if that is not more
    unsigned key_head, first_head, heads;
    size_t k_place, v_place;                  // of the key/value head within a page, in numbers

    template <typename T>
    __device__ __forceinline__ explicit Part(const Attended<T>& attended) {
        row = blockIdx.x, split = blockIdx.z, len = attended.lens[row];
        first = split * SPLIT, end = min(first + SPLIT, len);
        const unsigned group = attended.queries / attended.keys, chunks = (group + GROUP - 1) / GROUP;
        const unsigned chunk = blockIdx.y % chunks;
        key_head = blockIdx.y / chunks;
        first_head = key_head * group + chunk * GROUP, heads = min(GROUP, group - chunk * GROUP);
        k_place = (size_t(attended.layer) * 2 * attended.keys + key_head) * PAGE * HEAD;
        v_place = k_place + size_t(attended.keys) * PAGE * HEAD;
    }
    // The last token of the row, which is the new one, is among these.
    __device__ __forceinline__ bool has_new() const { return end == len; }
};

// The results of a part without tokens: the row's, if it has none at all.
template <typename T, unsigned HEAD, unsigned GROUP>
__device__ __forceinline__ void put_nothing(const Attended<T>& attended, const Part<HEAD, GROUP>& part) {
    if (gridDim.z > 1) return;
    T* out = attended.out + (part.row * size_t(attended.queries) + part.first_head) * attended.size;
    for (unsigned i = threadIdx.x; i < part.heads * attended.size; i += THREADS) put(out + i, 0.0f);
}

// Puts together what the warps have: sums(w, g) are HEAD weighted values of query head g, and the softmax's maximum and sum.
template <typename T, unsigned HEAD, unsigned GROUP, typename Sums>
__device__ __forceinline__ void put_part(const Attended<T>& attended, const Part<HEAD, GROUP>& part, Sums sums) {
    for (unsigned i = threadIdx.x; i < part.heads * HEAD; i += THREADS) {
        const unsigned g = i / HEAD, c = i % HEAD;
        float top = NOTHING, total = 0.0f, value = 0.0f;
        for (unsigned w = 0; w < WARPS; ++w) top = fmaxf(top, sums(w, g)[HEAD]);
        for (unsigned w = 0; w < WARPS; ++w) {
            const float weight = expf(sums(w, g)[HEAD] - top);
            total += weight * sums(w, g)[HEAD + 1];
            value += weight * sums(w, g)[c];
        }
        const size_t head = part.row * size_t(attended.queries) + part.first_head + g;
        if (gridDim.z == 1) {
            if (c < attended.size) put(attended.out + head * attended.size + c, value / total);
            continue;
        }
        float* to = attended.partial + (head * gridDim.z + part.split) * (HEAD + 2);
        to[c] = value;
        if (c == 0) to[HEAD] = top, to[HEAD + 1] = total;
    }
}

// A kernel `NAME` that runs `ATTEND` for its part.
#define PAGES_ATTEND(NAME, T, ...)                                                                                      \
    extern "C" __global__ void __launch_bounds__(THREADS, 1)                                                            \
        NAME(const Address* __restrict__ table, const unsigned* __restrict__ lens, const T* __restrict__ qkv,           \
             const float* __restrict__ cosines, const float* __restrict__ sines, float* __restrict__ partial,           \
             T* __restrict__ out, unsigned max_pages, unsigned queries, unsigned keys, unsigned size, unsigned layer,   \
             float scale) {                                                                                             \
        __VA_ARGS__({table, lens, qkv, cosines, sines, partial, out, max_pages, queries, keys, size, layer, scale});    \
    }
