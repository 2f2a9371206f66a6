// x *= factor. A thread a number.
#include "bfloat16.cuh"

template <typename T>
__device__ __forceinline__ void scale(T* __restrict__ x, size_t len, float factor) {
    const size_t i = blockIdx.x * size_t(blockDim.x) + threadIdx.x;
    if (i < len) put(x + i, widen(x[i]) * factor);
}

extern "C" __global__ void __launch_bounds__(256)
scale_forward_float32(float* __restrict__ x, size_t len, float factor) {
    scale(x, len, factor);
}

extern "C" __global__ void __launch_bounds__(256)
scale_forward_bfloat16(bfloat16* __restrict__ x, size_t len, float factor) {
    scale(x, len, factor);
}
