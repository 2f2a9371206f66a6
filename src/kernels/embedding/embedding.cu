// Embedding: rows of a table by their tokens, and the table's gradient.
#include "bfloat16.cuh"

// x[i] = table[tokens[i]], rows of `width`. A block a row.
template <typename T>
__device__ __forceinline__ void gather(const T* __restrict__ table, const unsigned* __restrict__ tokens,
                                       float* __restrict__ x, size_t width) {
    const size_t row = blockIdx.x;
    table += tokens[row] * width;
    x += row * width;
    for (size_t j = threadIdx.x; j < width; j += blockDim.x) x[j] = widen(table[j]);
}

extern "C" __global__ void __launch_bounds__(128)
embedding_forward(const float* __restrict__ table, const unsigned* __restrict__ tokens, float* __restrict__ x,
                  size_t width) {
    gather(table, tokens, x, width);
}

extern "C" __global__ void __launch_bounds__(128)
embedding_forward_bfloat16(const bfloat16* __restrict__ table, const unsigned* __restrict__ tokens,
                           float* __restrict__ x, size_t width) {
    gather(table, tokens, x, width);
}

// d_table[token] += the rows of dx at the places of that token, one after another. A block a token that occurs: its rows
// are places[starts[b]] .. places[starts[b + 1] - 1].
extern "C" __global__ void __launch_bounds__(128)
embedding_backward(const float* __restrict__ dx, const unsigned* __restrict__ tokens,
                   const unsigned* __restrict__ starts, const unsigned* __restrict__ places,
                   float* __restrict__ d_table, size_t width) {
    const unsigned first = starts[blockIdx.x], end = starts[blockIdx.x + 1];
    d_table += tokens[blockIdx.x] * width;
    for (size_t j = threadIdx.x; j < width; j += blockDim.x) {
        float sum = d_table[j];
#pragma unroll 4
        for (unsigned place = first; place < end; ++place) sum += dx[places[place] * width + j];
        d_table[j] = sum;
    }
}
