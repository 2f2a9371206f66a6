// sum += the sum of the parts [count, width], first to last: the second pass of a sum over rows. A thread a column.
extern "C" __global__ void __launch_bounds__(128)
columns_add_parts(const float* __restrict__ parts, float* __restrict__ sum, size_t count, size_t width) {
    const size_t j = blockIdx.x * size_t(blockDim.x) + threadIdx.x;
    if (j >= width) return;
    float total = 0.0f;
#pragma unroll 8
    for (size_t part = 0; part < count; ++part) total += parts[part * width + j];
    sum[j] += total;
}
