// bfloat16, the upper half of a float. CUDA's own header for it is part of a toolkit that need not be there.
#pragma once

struct bfloat16 {
    unsigned short bits;
};

__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ float widen(bfloat16 x) { return __uint_as_float(unsigned(x.bits) << 16); }

// To the nearest, of two that are as near to the even one; NaN stays NaN.
__device__ __forceinline__ void put(float* to, float x) { *to = x; }
__device__ __forceinline__ void put(bfloat16* to, float x) {
    const unsigned bits = __float_as_uint(x);
    const unsigned rounded = x != x ? bits | 0x400000u : bits + 0x7fffu + (bits >> 16 & 1u);
    to->bits = static_cast<unsigned short>(rounded >> 16);
}
