// Products of few rows with a weight in bfloat16, for decoding: y = x W, or y += x W.
//
// The weight lies in the order in which the tensor cores take it: tiles of 16 outputs and 16 inputs, [outputs / 16,
// inputs / 16, 32 lanes, 4 registers], so that a warp reads a tile in one go; what is beyond the weight is zero. Outputs
// are the first factor's rows, so that eight rows of x are enough for a product.
//
// The inputs are cut in SLICES parts, each summed by itself, and the sums are added in order. So a number of the result is
// the same whichever kernel makes it, whatever the rows beside its own.
#include "tensor.cuh"

constexpr unsigned SLICES = 16;

// Tiles of inputs of a slice.
__device__ __forceinline__ unsigned slice_tiles(unsigned inputs) { return ((inputs + 15) / 16 + SLICES - 1) / SLICES; }

// A warp a tile. The weight's number for output o and input i is weight[o * output_stride + i * input_stride].
extern "C" __global__ void __launch_bounds__(256)
fragments_pack(const bfloat16* __restrict__ weight, uint4* __restrict__ tiles, unsigned inputs, unsigned outputs,
               size_t input_stride, size_t output_stride) {
    const unsigned across = (inputs + 15) / 16;
    const size_t tile = blockIdx.x * size_t(blockDim.x / 32) + threadIdx.x / 32;
    if (tile >= size_t((outputs + 15) / 16) * across) return;
    const unsigned lane = threadIdx.x % 32;
    const unsigned output = tile / across * 16 + lane / 4, input = tile % across * 16 + lane % 4 * 2;
    const auto pair = [&](unsigned o, unsigned i) {
        const unsigned low = o < outputs && i < inputs ? weight[o * output_stride + i * input_stride].bits : 0;
        const unsigned high = o < outputs && i + 1 < inputs ? weight[o * output_stride + (i + 1) * input_stride].bits : 0;
        return low | high << 16;
    };
    tiles[tile * 32 + lane] =
        make_uint4(pair(output, input), pair(output + 8, input), pair(output, input + 8), pair(output + 8, input + 8));
}

template <typename T>
__device__ __forceinline__ void finish(T* __restrict__ y, size_t place, float sum, bool accumulate) {
    put(y + place, accumulate ? widen(y[place]) + sum : sum);
}

// Up to 8 * COLUMNS rows: a block has 16 outputs, and each of its warps a slice.
template <unsigned COLUMNS, typename T>
__device__ __forceinline__ void narrow(const uint4* __restrict__ tiles, const bfloat16* __restrict__ x, T* __restrict__ y,
                                       unsigned rows, unsigned inputs, unsigned outputs, bool accumulate) {
    const unsigned lane = threadIdx.x % 32, slice = threadIdx.x / 32, group = lane / 4, pair = lane % 4 * 2;
    const unsigned across = (inputs + 15) / 16, in_slice = slice_tiles(inputs);
    const unsigned first = slice * in_slice, end = min(first + in_slice, across);
    const uint4* from = tiles + blockIdx.x * size_t(across) * 32 + lane;
    float sums[COLUMNS][4] = {};
#pragma unroll 4
    for (unsigned tile = first; tile < end; ++tile) {
        const uint4 four = from[size_t(tile) * 32];
        const unsigned a[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
        for (unsigned c = 0; c < COLUMNS; ++c) {
            const unsigned row = 8 * c + group, input = 16 * tile + pair;
            const bfloat16* at = x + row * size_t(inputs) + input;
            // inputs are a multiple of 8, so that a pair is whole or beyond them
            const unsigned b[2] = {row < rows && input < inputs ? *reinterpret_cast<const unsigned*>(at) : 0,
                                   row < rows && input + 8 < inputs ? *reinterpret_cast<const unsigned*>(at + 8) : 0};
            multiply_add(sums[c], a, b);
        }
    }
    __shared__ float shared[SLICES][16 * 8 * COLUMNS];  // [slice][row][output]
#pragma unroll
    for (unsigned c = 0; c < COLUMNS; ++c) {
#pragma unroll
        for (unsigned i = 0; i < 4; ++i) shared[slice][(8 * c + pair + i % 2) * 16 + group + i / 2 * 8] = sums[c][i];
    }
    __syncthreads();
    for (unsigned i = threadIdx.x; i < 16 * 8 * COLUMNS; i += 32 * SLICES) {
        const unsigned row = i / 16, output = blockIdx.x * 16 + i % 16;
        if (row >= rows || output >= outputs) continue;
        float sum = 0.0f;
#pragma unroll
        for (unsigned s = 0; s < SLICES; ++s) sum += shared[s][i];
        finish(y, row * size_t(outputs) + output, sum, accumulate);
    }
}

constexpr unsigned WIDE_ROWS = 64, WIDE_WARPS = 8, DEPTH = 64, WIDE_PITCH = DEPTH + 8;

// More rows: a block has 64 of them and 128 outputs, each of its warps 16, which goes through the slices one by one.
template <typename T>
__device__ __forceinline__ void wide(const uint4* __restrict__ tiles, const bfloat16* __restrict__ x, T* __restrict__ y,
                                     unsigned rows, unsigned inputs, unsigned outputs, bool accumulate) {
    __shared__ __align__(16) bfloat16 shared[2][WIDE_ROWS * WIDE_PITCH];
    const unsigned lane = threadIdx.x % 32, group = lane / 4, pair = lane % 4 * 2;
    const unsigned across = (inputs + 15) / 16, in_slice = slice_tiles(inputs);
    const unsigned first_row = blockIdx.y * WIDE_ROWS, output_tile = blockIdx.x * WIDE_WARPS + threadIdx.x / 32;
    const bool there = output_tile * 16 < outputs;
    const uint4* from = tiles + (there ? output_tile : 0) * size_t(across) * 32 + lane;
    const auto begin = [&](unsigned depth, unsigned stage) {
        for (unsigned i = threadIdx.x; i < WIDE_ROWS * DEPTH / 8; i += 32 * WIDE_WARPS) {
            const unsigned row = i / (DEPTH / 8), input = depth + i % (DEPTH / 8) * 8;
            const bool held = first_row + row < rows && input < inputs;
            begin_copy(shared[stage] + row * WIDE_PITCH + i % (DEPTH / 8) * 8,
                       x + (held ? (first_row + row) * size_t(inputs) + input : 0), held);
        }
        end_copies();
    };

    float total[WIDE_ROWS / 8][4] = {}, sums[WIDE_ROWS / 8][4] = {};
    begin(0, 0);
    for (unsigned depth = 0, stage = 0; depth < inputs; depth += DEPTH, stage ^= 1) {
        if (depth + DEPTH < inputs) {
            begin(depth + DEPTH, stage ^ 1);
            arrived<1>();
        } else {
            arrived<0>();
        }
        __syncthreads();
#pragma unroll
        for (unsigned k = 0; k < DEPTH; k += 16) {
            const unsigned tile = (depth + k) / 16;
            if (tile >= across) continue;
            if (tile % in_slice == 0) {
#pragma unroll
                for (unsigned n = 0; n < WIDE_ROWS / 8; ++n) {
#pragma unroll
                    for (unsigned i = 0; i < 4; ++i) total[n][i] += sums[n][i], sums[n][i] = 0.0f;
                }
            }
            const uint4 four = from[size_t(tile) * 32];
            const unsigned a[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
            for (unsigned n = 0; n < WIDE_ROWS; n += 16) {
                unsigned b[4];
                load_matrices(b, shared[stage] + (n + lane % 8 + lane / 16 * 8) * WIDE_PITCH + k + lane / 8 % 2 * 8);
                multiply_add(sums[n / 8], a, {b[0], b[1]});
                multiply_add(sums[n / 8 + 1], a, {b[2], b[3]});
            }
        }
        __syncthreads();  // this stage has been read
    }
    if (!there) return;
#pragma unroll
    for (unsigned n = 0; n < WIDE_ROWS / 8; ++n) {
#pragma unroll
        for (unsigned i = 0; i < 4; ++i) {
            const unsigned row = first_row + 8 * n + pair + i % 2, output = output_tile * 16 + group + i / 2 * 8;
            if (row >= rows || output >= outputs) continue;
            finish(y, row * size_t(outputs) + output, total[n][i] + sums[n][i], accumulate);
        }
    }
}

#define KERNELS(NAME, T)                                                                                              \
    extern "C" __global__ void __launch_bounds__(32 * SLICES, 1)                                                      \
        fragments_narrow_8_##NAME(const uint4* __restrict__ tiles, const bfloat16* __restrict__ x, T* __restrict__ y, \
                                  unsigned rows, unsigned inputs, unsigned outputs, int accumulate) {                 \
        narrow<1>(tiles, x, y, rows, inputs, outputs, accumulate != 0);                                               \
    }                                                                                                                 \
    extern "C" __global__ void __launch_bounds__(32 * SLICES, 1)                                                      \
        fragments_narrow_16_##NAME(const uint4* __restrict__ tiles, const bfloat16* __restrict__ x,                   \
                                   T* __restrict__ y, unsigned rows, unsigned inputs, unsigned outputs,               \
                                   int accumulate) {                                                                  \
        narrow<2>(tiles, x, y, rows, inputs, outputs, accumulate != 0);                                               \
    }                                                                                                                 \
    extern "C" __global__ void __launch_bounds__(32 * WIDE_WARPS, 1)                                                  \
        fragments_wide_##NAME(const uint4* __restrict__ tiles, const bfloat16* __restrict__ x, T* __restrict__ y,     \
                              unsigned rows, unsigned inputs, unsigned outputs, int accumulate) {                     \
        wide(tiles, x, y, rows, inputs, outputs, accumulate != 0);                                                    \
    }

KERNELS(float32, float)
KERNELS(bfloat16, bfloat16)
