// RMSNorm: y_j = x_j r w_j with r = 1 / sqrt(mean(x^2) + epsilon), for each row of `width`.
#include "bfloat16.cuh"
#include "reduce.cuh"

constexpr unsigned THREADS = 128, WARPS = THREADS / 32;

// A block a row, which is read twice, the second time from the cache.
template <typename T>
__device__ __forceinline__ void forward(const float* __restrict__ x, const float* __restrict__ weight, T* __restrict__ y,
                                        float* __restrict__ scale, size_t width, float epsilon) {
    x += blockIdx.x * width;
    y += blockIdx.x * width;
    float squares = 0.0f;
#pragma unroll 4
    for (size_t j = threadIdx.x; j < width; j += THREADS) squares += x[j] * x[j];
    __shared__ float parts[WARPS];
    const float r = 1.0f / sqrtf(block_sum(squares, parts) / float(width) + epsilon);
    if (threadIdx.x == 0) scale[blockIdx.x] = r;
#pragma unroll 4
    for (size_t j = threadIdx.x; j < width; j += THREADS) put(y + j, x[j] * r * weight[j]);
}

// The row of this thread's warp. All lanes of a warp have the same, so that it may leave as a whole.
__device__ __forceinline__ size_t row_of_warp() {
    return blockIdx.x * size_t(blockDim.x / 32) + threadIdx.x / 32;
}

// dx += r (dy w - x r^2 mean(dy w x)). One warp a row.
template <typename T>
__device__ __forceinline__ void backward_x(const float* __restrict__ x, const float* __restrict__ weight,
                                           const float* __restrict__ scale, const T* __restrict__ dy,
                                           float* __restrict__ dx, size_t rows, size_t width) {
    const size_t row = row_of_warp();
    if (row >= rows) return;
    const unsigned lane = threadIdx.x % 32;
    x += row * width;
    dy += row * width;
    dx += row * width;
    float dot = 0.0f;
    for (size_t j = lane; j < width; j += 32) dot += widen(dy[j]) * weight[j] * x[j];
    const float r = scale[row];
    const float pull = r * r * warp_sum(dot) / float(width);
    for (size_t j = lane; j < width; j += 32) dx[j] += r * (widen(dy[j]) * weight[j] - x[j] * pull);
}

// The sums of dy x r over the rows of each part: `parts` is [parts, width], part p has the rows from
// p * part_rows, and a thread has one column of one part. columns.cu sums the parts.
template <typename T>
__device__ __forceinline__ void backward_weight_parts(const float* __restrict__ x, const float* __restrict__ scale,
                                                      const T* __restrict__ dy, float* __restrict__ parts, size_t rows,
                                                      size_t width, size_t part_rows) {
    const size_t j = blockIdx.x * size_t(blockDim.x) + threadIdx.x;
    if (j >= width) return;
    const size_t first = blockIdx.y * part_rows;
    const size_t last = min(first + part_rows, rows);
    float sum = 0.0f;
#pragma unroll 4
    for (size_t row = first; row < last; ++row) {
        sum += widen(dy[row * width + j]) * x[row * width + j] * scale[row];
    }
    parts[blockIdx.y * width + j] = sum;
}

#define KERNELS(NAME, T)                                                                                              \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                             \
        rms_norm_forward_##NAME(const float* __restrict__ x, const float* __restrict__ weight, T* __restrict__ y,     \
                                float* __restrict__ scale, size_t width, float epsilon) {                             \
        forward(x, weight, y, scale, width, epsilon);                                                                 \
    }                                                                                                                 \
    extern "C" __global__ void __launch_bounds__(256)                                                                 \
        rms_norm_backward_x_##NAME(const float* __restrict__ x, const float* __restrict__ weight,                     \
                                   const float* __restrict__ scale, const T* __restrict__ dy, float* __restrict__ dx, \
                                   size_t rows, size_t width) {                                                       \
        backward_x(x, weight, scale, dy, dx, rows, width);                                                            \
    }                                                                                                                 \
    extern "C" __global__ void __launch_bounds__(128)                                                                 \
        rms_norm_backward_weight_parts_##NAME(const float* __restrict__ x, const float* __restrict__ scale,           \
                                              const T* __restrict__ dy, float* __restrict__ parts, size_t rows,       \
                                              size_t width, size_t part_rows) {                                       \
        backward_weight_parts(x, scale, dy, parts, rows, width, part_rows);                                           \
    }

KERNELS(float32, float)
KERNELS(bfloat16, bfloat16)
