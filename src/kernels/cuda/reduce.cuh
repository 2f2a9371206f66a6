// Sums in a fixed order: the same numbers give the same bits on every run.
#pragma once

// The sum over the 32 lanes of a warp, the same bits in each lane. All 32 take part.
template <typename T>
__device__ __forceinline__ T warp_sum(T value) {
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) {
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    }
    return value;
}

// The sum over the threads of a block, the same bits in each. `parts` is shared, with a place for each warp, and for this sum
// alone. All threads take part.
template <typename T>
__device__ __forceinline__ T block_sum(T value, T* parts) {
    value = warp_sum(value);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
    __syncthreads();
    T sum = parts[0];
    for (unsigned warp = 1; warp < blockDim.x / 32; ++warp) sum += parts[warp];
    return sum;
}
