// The bias of a product: rows of it, and its gradient in parts of the rows, which columns.cu sums.
#include "bfloat16.cuh"

// Every row of y [rows, width] becomes the bias. A block a row.
template <typename T>
__device__ __forceinline__ void forward(const float* __restrict__ bias, T* __restrict__ y, size_t width) {
    y += blockIdx.x * width;
    for (size_t j = threadIdx.x; j < width; j += blockDim.x) put(y + j, bias[j]);
}

// The sums of dy over the rows of each part: `parts` is [parts, width], part p has the rows from p * part_rows, and a
// thread has one column of one part.
template <typename T>
__device__ __forceinline__ void backward_parts(const T* __restrict__ dy, float* __restrict__ parts, size_t rows,
                                               size_t width, size_t part_rows) {
    const size_t j = blockIdx.x * size_t(blockDim.x) + threadIdx.x;
    if (j >= width) return;
    const size_t first = blockIdx.y * part_rows;
    const size_t last = min(first + part_rows, rows);
    float sum = 0.0f;
#pragma unroll 4
    for (size_t row = first; row < last; ++row) sum += widen(dy[row * width + j]);
    parts[blockIdx.y * width + j] = sum;
}

#define KERNELS(NAME, T)                                                                                           \
    extern "C" __global__ void __launch_bounds__(128)                                                              \
        bias_forward_##NAME(const float* __restrict__ bias, T* __restrict__ y, size_t width) {                     \
        forward(bias, y, width);                                                                                   \
    }                                                                                                              \
    extern "C" __global__ void __launch_bounds__(128)                                                              \
        bias_backward_parts_##NAME(const T* __restrict__ dy, float* __restrict__ parts, size_t rows, size_t width, \
                                   size_t part_rows) {                                                             \
        backward_parts(dy, parts, rows, width, part_rows);                                                         \
    }

KERNELS(float32, float)
KERNELS(bfloat16, bfloat16)
