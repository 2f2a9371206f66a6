// Log-probability and entropy of a token from the logits of its place, and their gradient.
#include "bfloat16.cuh"
#include "reduce.cuh"

// Sums over z / temperature, relative to their maximum: sum of e^(z - top), and of (z - top) e^(z - top).
struct Sums {
    float top, total, weighted;
};

// With a maximum at least as large.
__device__ __forceinline__ Sums below(Sums sums, float top) {
    if (sums.total == 0.0f) return {top, 0.0f, 0.0f};
    const float down = sums.top - top, shrink = expf(down);
    return {top, sums.total * shrink, (sums.weighted + down * sums.total) * shrink};
}

__device__ __forceinline__ Sums joined(Sums a, Sums b) {
    const float top = fmaxf(a.top, b.top);
    a = below(a, top);
    b = below(b, top);
    return {top, a.total + b.total, a.weighted + b.weighted};
}

__device__ __forceinline__ Sums of_warp(Sums sums) {
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) {
        const Sums other = {__shfl_xor_sync(0xffffffffu, sums.top, offset),
                            __shfl_xor_sync(0xffffffffu, sums.total, offset),
                            __shfl_xor_sync(0xffffffffu, sums.weighted, offset)};
        sums = joined(sums, other);
    }
    return sums;
}

constexpr unsigned THREADS = 256;

// A block a token: its logits are read once.
extern "C" __global__ void __launch_bounds__(THREADS)
token_log_prob_forward(const float* __restrict__ logits, const unsigned* __restrict__ targets,
                       float* __restrict__ log_prob, float* __restrict__ entropy, float* __restrict__ log_sum,
                       size_t vocabulary, float inverse_temperature) {
    const float* z = logits + blockIdx.x * vocabulary;
    Sums sums = {-3.0e38f, 0.0f, 0.0f};
#pragma unroll 4
    for (size_t j = threadIdx.x; j < vocabulary; j += THREADS) {
        const float scaled = z[j] * inverse_temperature;
        if (scaled > sums.top) sums = below(sums, scaled);
        const float off = scaled - sums.top, weight = expf(off);
        sums.total += weight;
        sums.weighted += off * weight;
    }
    __shared__ Sums warps[THREADS / 32];
    sums = of_warp(sums);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = sums;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (unsigned warp = 1; warp < THREADS / 32; ++warp) sums = joined(sums, warps[warp]);
        const float log_total = logf(sums.total);
        log_sum[blockIdx.x] = sums.top + log_total;
        log_prob[blockIdx.x] = z[targets[blockIdx.x]] * inverse_temperature - (sums.top + log_total);
        entropy[blockIdx.x] = log_total - sums.weighted / sums.total;
    }
}

// dz = (a (1[j = y] - p) - b p (ln p + H)) / temperature, with the gradients a of the log-probability and b of the entropy.
// In float it may lie where the logits are.
template <typename T>
__device__ __forceinline__ void backward(const float* logits, T* d_logits, const unsigned* __restrict__ targets,
                                         const float* __restrict__ entropy, const float* __restrict__ log_sum,
                                         const float* __restrict__ d_log_prob, const float* __restrict__ d_entropy,
                                         size_t vocabulary, float inverse_temperature) {
    const float* z = logits + blockIdx.x * vocabulary;
    T* dz = d_logits + blockIdx.x * vocabulary;
    const float a = d_log_prob[blockIdx.x], b = d_entropy[blockIdx.x];
    const float total = log_sum[blockIdx.x], spread = entropy[blockIdx.x];
    const size_t target = targets[blockIdx.x];
#pragma unroll 4
    for (size_t j = threadIdx.x; j < vocabulary; j += THREADS) {
        const float log_p = z[j] * inverse_temperature - total;
        const float own = j == target ? a : 0.0f;
        put(dz + j, (own - expf(log_p) * (a + b * (log_p + spread))) * inverse_temperature);
    }
}

#define BACKWARD(NAME, T)                                                                                               \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                               \
        token_log_prob_backward_##NAME(const float* logits, T* d_logits, const unsigned* __restrict__ targets,          \
                                       const float* __restrict__ entropy, const float* __restrict__ log_sum,            \
                                       const float* __restrict__ d_log_prob, const float* __restrict__ d_entropy,       \
                                       size_t vocabulary, float inverse_temperature) {                                  \
        backward(logits, d_logits, targets, entropy, log_sum, d_log_prob, d_entropy, vocabulary, inverse_temperature);  \
    }

BACKWARD(float32, float)
BACKWARD(bfloat16, bfloat16)
