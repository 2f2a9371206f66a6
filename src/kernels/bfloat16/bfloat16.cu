// To bfloat16 and back. A thread a number.
#include "bfloat16.cuh"

extern "C" __global__ void __launch_bounds__(256)
bfloat16_round(const float* __restrict__ from, bfloat16* __restrict__ to, size_t len) {
    const size_t i = blockIdx.x * size_t(blockDim.x) + threadIdx.x;
    if (i < len) put(to + i, from[i]);
}

extern "C" __global__ void __launch_bounds__(256)
bfloat16_widen(const bfloat16* __restrict__ from, float* __restrict__ to, size_t len) {
    const size_t i = blockIdx.x * size_t(blockDim.x) + threadIdx.x;
    if (i < len) to[i] = widen(from[i]);
}
