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
