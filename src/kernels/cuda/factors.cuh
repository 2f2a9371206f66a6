// Rows of bfloat16 in shared memory as factors of the tensor cores' products. A warp has 16 rows of what it multiplies.
#pragma once

#include "tensor.cuh"

// A score that counts for nothing, which no difference of two makes infinite.
constexpr float NOTHING = -3.0e38f;

// Numbers of a row in shared memory: 16 bytes more than it needs, so that eight rows lie in banks of their own.
template <unsigned HEAD>
constexpr unsigned PITCH = HEAD + 8;

// The first factor's 16 x 16 part: rows from `rows` on, columns from `column` on.
template <unsigned HEAD>
__device__ __forceinline__ void first_factor(unsigned (&a)[4], const bfloat16* tile, unsigned rows, unsigned column) {
    const unsigned lane = threadIdx.x % 32;
    load_matrices(a, tile + (rows + lane % 16) * PITCH<HEAD> + column + lane / 16 * 8);
}

// Sums of rows of a times rows of b, [16, COLUMNS]: those of the warp, `a_rows` on, times all of b.
template <unsigned HEAD, unsigned COLUMNS>
__device__ __forceinline__ void rows_times_rows(float (&sums)[COLUMNS / 8][4], const bfloat16* a, unsigned a_rows,
                                                const bfloat16* b) {
    const unsigned lane = threadIdx.x % 32;
#pragma unroll
    for (unsigned n = 0; n < COLUMNS / 8; ++n) sums[n][0] = sums[n][1] = sums[n][2] = sums[n][3] = 0.0f;
#pragma unroll
    for (unsigned k = 0; k < HEAD; k += 16) {
        unsigned from_a[4];
        first_factor<HEAD>(from_a, a, a_rows, k);
#pragma unroll
        for (unsigned n = 0; n < COLUMNS; n += 16) {
            // rows n .. n + 7 at both halves of k, then rows n + 8 .. n + 15
            unsigned from_b[4];
            load_matrices(from_b, b + (n + lane % 8 + lane / 16 * 8) * PITCH<HEAD> + k + lane / 8 % 2 * 8);
            multiply_add(sums[n / 8], from_a, {from_b[0], from_b[1]});
            multiply_add(sums[n / 8 + 1], from_a, {from_b[2], from_b[3]});
        }
    }
}

// sums += weights [16, TOKENS] times a tile [TOKENS, HEAD]. The weights are results of a product, and are rounded.
template <unsigned HEAD, unsigned TOKENS>
__device__ __forceinline__ void weights_times_tile(float (&sums)[HEAD / 8][4], const float (&weights)[TOKENS / 8][4],
                                                   const bfloat16* tile) {
    const unsigned lane = threadIdx.x % 32;
#pragma unroll
    for (unsigned k = 0; k < TOKENS; k += 16) {
        const float(&low)[4] = weights[k / 8], (&high)[4] = weights[k / 8 + 1];
        const unsigned a[4] = {packed(low[0], low[1]), packed(low[2], low[3]), packed(high[0], high[1]),
                               packed(high[2], high[3])};
#pragma unroll
        for (unsigned n = 0; n < HEAD; n += 16) {
            // both halves of k at columns n .. n + 7, then at columns n + 8 .. n + 15
            unsigned b[4];
            load_transposed(b, tile + (k + lane % 16) * PITCH<HEAD> + n + lane / 16 * 8);
            multiply_add(sums[n / 8], a, {b[0], b[1]});
            multiply_add(sums[n / 8 + 1], a, {b[2], b[3]});
        }
    }
}

// Over the four lanes that have a row.
__device__ __forceinline__ float row_max(float value) {
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 1));
    return fmaxf(value, __shfl_xor_sync(0xffffffffu, value, 2));
}
__device__ __forceinline__ float row_sum(float value) {
    value += __shfl_xor_sync(0xffffffffu, value, 1);
    return value + __shfl_xor_sync(0xffffffffu, value, 2);
}

// Takes scores of the warp's rows into the softmax of each: those of tokens from `first` on, of which those before end[half]
// count, which are some. A lane has two rows, `half` 0 and 1. Scores become weights.
template <unsigned HEAD, unsigned TOKENS>
__device__ __forceinline__ void add_scores(float (&scores)[TOKENS / 8][4], unsigned first, const unsigned (&end)[2],
                                           float scale, float (&top)[2], float (&total)[2], float (&sums)[HEAD / 8][4]) {
    const unsigned column = threadIdx.x % 4 * 2;
#pragma unroll
    for (unsigned half = 0; half < 2; ++half) {
        float new_top = NOTHING;
#pragma unroll
        for (unsigned n = 0; n < TOKENS / 8; ++n) {
#pragma unroll
            for (unsigned c = 0; c < 2; ++c) {
                float& score = scores[n][2 * half + c];
                score = first + 8 * n + column + c < end[half] ? score * scale : NOTHING;
                new_top = fmaxf(new_top, score);
            }
        }
        new_top = fmaxf(top[half], row_max(new_top));
        const float shrink = __expf(top[half] - new_top);
        float added = 0.0f;
#pragma unroll
        for (unsigned n = 0; n < TOKENS / 8; ++n) {
#pragma unroll
            for (unsigned c = 0; c < 2; ++c) {
                float& score = scores[n][2 * half + c];
                score = __expf(score - new_top);
                added += score;
            }
        }
        total[half] = total[half] * shrink + row_sum(added);
        top[half] = new_top;
#pragma unroll
        for (unsigned n = 0; n < HEAD / 8; ++n) sums[n][2 * half] *= shrink, sums[n][2 * half + 1] *= shrink;
    }
}
