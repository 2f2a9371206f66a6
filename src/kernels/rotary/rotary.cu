// Rotary positions: turns the pairs (x_j, x_{j + half}) of each of `heads` heads, in place, by the angle whose cosine and
// sine stand at row positions[i] of tables [positions, half]; `sign` is -1 to turn back. A block a row of `stride` numbers.
#include "bfloat16.cuh"
#include "rotary.cuh"

template <typename T>
__device__ __forceinline__ void rotate(const float* __restrict__ cosines, const float* __restrict__ sines,
                                       const unsigned* __restrict__ positions, T* __restrict__ x, unsigned heads,
                                       unsigned half, size_t stride, float sign) {
    const size_t angles = positions[blockIdx.x] * size_t(half);
    x += blockIdx.x * stride;
    for (unsigned pair = threadIdx.x; pair < heads * half; pair += blockDim.x) {
        const unsigned head = pair / half, j = pair % half;
        T* low = x + size_t(head) * 2 * half + j;
        const float a = widen(low[0]), b = widen(low[half]);
        const float c = cosines[angles + j], s = sign * sines[angles + j];
        put(low, turned(a, b, c, -s));
        put(low + half, turned(b, a, c, s));
    }
}

#define KERNELS(NAME, T)                                                                                     \
    extern "C" __global__ void __launch_bounds__(128)                                                        \
        rotary_rotate_##NAME(const float* __restrict__ cosines, const float* __restrict__ sines,             \
                             const unsigned* __restrict__ positions, T* __restrict__ x, unsigned heads,      \
                             unsigned half, size_t stride, float sign) {                                     \
        rotate(cosines, sines, positions, x, heads, half, stride, sign);                                     \
    }

KERNELS(float32, float)
KERNELS(bfloat16, bfloat16)
