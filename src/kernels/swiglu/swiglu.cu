// SwiGLU. Rows of gate_up are [gate, up], each of `hidden` numbers, and a block has a row.
#include "bfloat16.cuh"
#include "swiglu.cuh"

template <typename T>
__device__ __forceinline__ void forward(const T* __restrict__ gate_up, T* __restrict__ a, size_t hidden) {
    const T* gate = gate_up + blockIdx.x * 2 * hidden;
    const T* up = gate + hidden;
    a += blockIdx.x * hidden;
    for (size_t j = threadIdx.x; j < hidden; j += blockDim.x) put(a + j, swiglu(widen(gate[j]), widen(up[j])));
}

// d_gate = da up s (1 + g (1 - s)) and d_up = da g s, with s = 1 / (1 + e^-g).
template <typename T>
__device__ __forceinline__ void backward(const T* __restrict__ gate_up, const T* __restrict__ da,
                                         T* __restrict__ d_gate_up, size_t hidden) {
    const T* gate = gate_up + blockIdx.x * 2 * hidden;
    const T* up = gate + hidden;
    da += blockIdx.x * hidden;
    d_gate_up += blockIdx.x * 2 * hidden;
    for (size_t j = threadIdx.x; j < hidden; j += blockDim.x) {
        const float g = widen(gate[j]), d = widen(da[j]), s = 1.0f / (1.0f + expf(-g));
        put(d_gate_up + j, d * widen(up[j]) * s * (1.0f + g * (1.0f - s)));
        put(d_gate_up + hidden + j, d * g * s);
    }
}

#define KERNELS(NAME, T)                                                                                          \
    extern "C" __global__ void __launch_bounds__(256)                                                             \
        swiglu_forward_##NAME(const T* __restrict__ gate_up, T* __restrict__ a, size_t hidden) {                  \
        forward(gate_up, a, hidden);                                                                              \
    }                                                                                                             \
    extern "C" __global__ void __launch_bounds__(256)                                                             \
        swiglu_backward_##NAME(const T* __restrict__ gate_up, const T* __restrict__ da, T* __restrict__ d_gate_up, \
                               size_t hidden) {                                                                   \
        backward(gate_up, da, d_gate_up, hidden);                                                                 \
    }

KERNELS(float32, float)
KERNELS(bfloat16, bfloat16)
