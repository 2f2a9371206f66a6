// x *= factor. A thread a number.
extern "C" __global__ void __launch_bounds__(256)
scale_forward(float* __restrict__ x, size_t len, float factor) {
    const size_t i = blockIdx.x * size_t(blockDim.x) + threadIdx.x;
    if (i < len) x[i] *= factor;
}
