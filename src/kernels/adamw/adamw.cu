// AdamW (Loshchilov and Hutter, 2019), and the squared norm of a gradient.
#include "reduce.cuh"

// `correct1` and `correct2` are 1 / (1 - beta^number). A thread a number.
extern "C" __global__ void __launch_bounds__(256)
adamw_step(const float* __restrict__ gradient, float* __restrict__ weights, float* __restrict__ first,
           float* __restrict__ second, size_t len, float learning_rate, float beta1, float beta2,
           float epsilon, float weight_decay, float gradient_scale, float correct1, float correct2) {
    const size_t i = blockIdx.x * size_t(blockDim.x) + threadIdx.x;
    if (i >= len) return;
    const float g = gradient[i] * gradient_scale;
    const float m = beta1 * first[i] + (1.0f - beta1) * g;
    const float v = beta2 * second[i] + (1.0f - beta2) * g * g;
    const float update = m * correct1 / (sqrtf(v * correct2) + epsilon);
    first[i] = m;
    second[i] = v;
    weights[i] -= learning_rate * (update + weight_decay * weights[i]);
}

// The sum of g^2 over each part: a block a part, whose numbers start at blockIdx.x * part_len.
extern "C" __global__ void __launch_bounds__(256)
adamw_squared_norm_parts(const float* __restrict__ gradient, double* __restrict__ parts, size_t len,
                   size_t part_len) {
    const size_t first = blockIdx.x * part_len;
    const size_t last = min(first + part_len, len);
    double sum = 0.0;
#pragma unroll 4
    for (size_t i = first + threadIdx.x; i < last; i += blockDim.x) {
        const double g = gradient[i];
        sum += g * g;
    }
    __shared__ double warps[32];
    sum = block_sum(sum, warps);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}
