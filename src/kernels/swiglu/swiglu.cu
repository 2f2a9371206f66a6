// SwiGLU: a = silu(gate) up with silu(g) = g / (1 + e^-g). Rows of gate_up are [gate, up], each of `hidden` numbers.
extern "C" __global__ void __launch_bounds__(256)
swiglu_forward(const float* __restrict__ gate_up, float* __restrict__ a, size_t hidden) {
    const float* gate = gate_up + blockIdx.x * 2 * hidden;
    const float* up = gate + hidden;
    a += blockIdx.x * hidden;
    for (size_t j = threadIdx.x; j < hidden; j += blockDim.x) a[j] = gate[j] / (1.0f + expf(-gate[j])) * up[j];
}

// d_gate = da up s (1 + g (1 - s)) and d_up = da g s, with s = 1 / (1 + e^-g). A block a row.
extern "C" __global__ void __launch_bounds__(256)
swiglu_backward(const float* __restrict__ gate_up, const float* __restrict__ da, float* __restrict__ d_gate_up,
                size_t hidden) {
    const float* gate = gate_up + blockIdx.x * 2 * hidden;
    const float* up = gate + hidden;
    da += blockIdx.x * hidden;
    d_gate_up += blockIdx.x * 2 * hidden;
    for (size_t j = threadIdx.x; j < hidden; j += blockDim.x) {
        const float g = gate[j], s = 1.0f / (1.0f + expf(-g));
        d_gate_up[j] = da[j] * up[j] * s * (1.0f + g * (1.0f - s));
        d_gate_up[hidden + j] = da[j] * g * s;
    }
}
