// SwiGLU. Rows of gate_up are [gate, up], each of `hidden` numbers, and a block has a row.
#include "bfloat16.cuh"
#include "packs.cuh"
#include "swiglu.cuh"

template <typename T>
__device__ __forceinline__ void forward(const T* __restrict__ gate_up, T* __restrict__ a, size_t hidden) {
    const T* gate = gate_up + blockIdx.x * 2 * hidden;
    const T* up = gate + hidden;
    a += blockIdx.x * hidden;
    if (in_packs<T>(hidden, gate, a)) {
        constexpr unsigned COUNT = Pack<T>::COUNT;
        for (size_t j = threadIdx.x * COUNT; j < hidden; j += blockDim.x * COUNT) {
            const Pack<T> g = Pack<T>::of(gate + j), u = Pack<T>::of(up + j);
            Pack<T> result;
#pragma unroll
            for (unsigned i = 0; i < COUNT; ++i) {
                put(result.numbers + i, swiglu(widen(g.numbers[i]), widen(u.numbers[i])));
            }
            result.store(a + j);
        }
        return;
    }
    for (size_t j = threadIdx.x; j < hidden; j += blockDim.x) put(a + j, swiglu(widen(gate[j]), widen(up[j])));
}

// d_gate = da up s (1 + g (1 - s)) and d_up = da g s, with s = 1 / (1 + e^-g).
template <typename T>
__device__ __forceinline__ void gradients(T gate, T up, T da, T* d_gate, T* d_up) {
    const float g = widen(gate), d = widen(da), s = 1.0f / (1.0f + expf(-g));
    put(d_gate, d * widen(up) * s * (1.0f + g * (1.0f - s)));
    put(d_up, d * g * s);
}

template <typename T>
__device__ __forceinline__ void backward(const T* __restrict__ gate_up, const T* __restrict__ da,
                                         T* __restrict__ d_gate_up, size_t hidden) {
    const T* gate = gate_up + blockIdx.x * 2 * hidden;
    const T* up = gate + hidden;
    da += blockIdx.x * hidden;
    T* d_gate = d_gate_up + blockIdx.x * 2 * hidden;
    T* d_up = d_gate + hidden;
    if (in_packs<T>(hidden, gate, da, d_gate)) {
        constexpr unsigned COUNT = Pack<T>::COUNT;
        for (size_t j = threadIdx.x * COUNT; j < hidden; j += blockDim.x * COUNT) {
            const Pack<T> g = Pack<T>::of(gate + j), u = Pack<T>::of(up + j), d = Pack<T>::of(da + j);
            Pack<T> to_gate, to_up;
#pragma unroll
            for (unsigned i = 0; i < COUNT; ++i) {
                gradients(g.numbers[i], u.numbers[i], d.numbers[i], to_gate.numbers + i, to_up.numbers + i);
            }
            to_gate.store(d_gate + j);
            to_up.store(d_up + j);
        }
        return;
    }
    for (size_t j = threadIdx.x; j < hidden; j += blockDim.x) gradients(gate[j], up[j], da[j], d_gate + j, d_up + j);
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
