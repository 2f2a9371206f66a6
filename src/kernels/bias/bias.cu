// The bias of a product: rows of it, and its gradient in parts of the rows (columns.cu sums those).
// Every row of y [rows, width] becomes the bias. A block a row.
extern "C" __global__ void __launch_bounds__(128)
bias_forward(const float* __restrict__ bias, float* __restrict__ y, size_t width) {
    y += blockIdx.x * width;
    for (size_t j = threadIdx.x; j < width; j += blockDim.x) y[j] = bias[j];
}

// The sums of dy over the rows of each part: `parts` is [parts, width], part p has the rows from p * part_rows, and a
// thread has one column of one part.
extern "C" __global__ void __launch_bounds__(128)
bias_backward_parts(const float* __restrict__ dy, float* __restrict__ parts, size_t rows, size_t width,
                    size_t part_rows) {
    const size_t j = blockIdx.x * size_t(blockDim.x) + threadIdx.x;
    if (j >= width) return;
    const size_t first = blockIdx.y * part_rows;
    const size_t last = min(first + part_rows, rows);
    float sum = 0.0f;
#pragma unroll 4
    for (size_t row = first; row < last; ++row) sum += dy[row * width + j];
    parts[blockIdx.y * width + j] = sum;
}
