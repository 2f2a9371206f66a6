// Products of few rows with a weight in bfloat16, for decoding: y = x W + b, or y += x W + b.
//
// The weight lies as the lanes of a warp take it: for 16 outputs and a group of 32 inputs two factors of the tensor cores
// follow one another, [outputs / 16, inputs / 32, 2 factors, 32 lanes, 4 registers], and what is beyond the weight is zero.
// A group's inputs are dealt to the factors so that a lane's of both are eight neighbours: x comes in 16 bytes at a time.
// Outputs are the first factor's rows, so that eight rows of x are enough for a product.
//
// The groups are cut in SLICES parts, each summed by itself, and the sums are added in order. So a number of the result is
// the same whichever kernel makes it, whatever the rows beside its own.
#include "swiglu.cuh"
#include "tensor.cuh"

constexpr unsigned SLICES = 16, GROUP = 32;

__device__ __forceinline__ unsigned groups_of(unsigned inputs) { return (inputs + GROUP - 1) / GROUP; }
// Groups of a slice.
__device__ __forceinline__ unsigned slice_of(unsigned inputs) { return (groups_of(inputs) + SLICES - 1) / SLICES; }

// The first of a lane's neighbours in a group.
__device__ __forceinline__ unsigned input_of_lane() { return threadIdx.x % 4 * 8; }

// A warp a group. The weight's number for output o and input i is weight[o * output_stride + i * input_stride].
extern "C" __global__ void __launch_bounds__(256)
fragments_pack(const bfloat16* __restrict__ weight, uint4* __restrict__ fragments, unsigned inputs, unsigned outputs,
               size_t input_stride, size_t output_stride) {
    const unsigned groups = groups_of(inputs);
    const size_t place = blockIdx.x * size_t(blockDim.x / 32) + threadIdx.x / 32;
    if (place >= size_t((outputs + 15) / 16) * groups) return;
    const unsigned lane = threadIdx.x % 32;
    const unsigned output = place / groups * 16 + lane / 4, first = place % groups * GROUP + input_of_lane();
    const auto pair = [&](unsigned o, unsigned i) {
        const unsigned low = o < outputs && i < inputs ? weight[o * output_stride + i * input_stride].bits : 0;
        const unsigned high = o < outputs && i + 1 < inputs ? weight[o * output_stride + (i + 1) * input_stride].bits : 0;
        return low | high << 16;
    };
#pragma unroll
    for (unsigned factor = 0; factor < 2; ++factor) {
        const unsigned i = first + 4 * factor;
        fragments[(place * 2 + factor) * 32 + lane] =
            make_uint4(pair(output, i), pair(output + 8, i), pair(output, i + 2), pair(output + 8, i + 2));
    }
}

// Numbers of the weight, which are read once: they need not stay near.
__device__ __forceinline__ uint4 streamed(const uint4* from) {
#ifdef PSPO_EMULATED
    return *from;
#else
    uint4 four;
    asm("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
        : "=r"(four.x), "=r"(four.y), "=r"(four.z), "=r"(four.w)
        : "l"(from));
    return four;
#endif
}

// sums += the products of a group: `weight` its two factors, `x` a lane's neighbours of a row.
__device__ __forceinline__ void add_group(float (&sums)[4], const uint4 (&weight)[2], uint4 x) {
    multiply_add(sums, {weight[0].x, weight[0].y, weight[0].z, weight[0].w}, {x.x, x.y});
    multiply_add(sums, {weight[1].x, weight[1].y, weight[1].z, weight[1].w}, {x.z, x.w});
}

// Where a product goes.
template <typename T>
struct Result {
    T* y;
    const float* bias;  // [outputs], or null
    unsigned rows, outputs;
    bool accumulate;

    __device__ __forceinline__ void put_sum(unsigned row, unsigned output, float sum) const {
        T* to = y + row * size_t(outputs) + output;
        if (bias != nullptr) sum += bias[output];
        put(to, accumulate ? widen(*to) + sum : sum);
    }
};

// A block has 16 outputs and 8 * COLUMNS rows, and each of its warps a slice. Where GATED, the weight is [gate, up], each
// of as many outputs as y has, a multiple of 16, and y is the SwiGLU of the two products, rounded as y is.
template <unsigned COLUMNS, bool GATED, typename T>
__device__ __forceinline__ void narrow(const uint4* __restrict__ fragments, const bfloat16* __restrict__ x,
                                       unsigned inputs, const Result<T> result) {
    constexpr unsigned PARTS = GATED ? 2 : 1;
    const unsigned lane = threadIdx.x % 32, slice = threadIdx.x / 32, group_of_lane = lane / 4, pair = lane % 4 * 2;
    const unsigned groups = groups_of(inputs), in_slice = slice_of(inputs);
    const unsigned first = slice * in_slice, end = min(first + in_slice, groups), first_row = blockIdx.y * 8 * COLUMNS;
    const size_t tile = size_t(groups) * 64, to_up = result.outputs / 16 * tile;
    const uint4* from = fragments + blockIdx.x * tile + lane;
    float sums[PARTS][COLUMNS][4] = {};
#pragma unroll 2
    for (unsigned group = first; group < end; ++group) {
        uint4 weight[PARTS][2];
#pragma unroll
        for (unsigned p = 0; p < PARTS; ++p) {
#pragma unroll
            for (unsigned f = 0; f < 2; ++f) weight[p][f] = streamed(from + p * to_up + (size_t(group) * 2 + f) * 32);
        }
        const unsigned input = group * GROUP + input_of_lane();
#pragma unroll
        for (unsigned c = 0; c < COLUMNS; ++c) {
            const unsigned row = first_row + 8 * c + group_of_lane;
            // inputs are a multiple of 8, so that neighbours are all there or all beyond them
            uint4 eight = make_uint4(0, 0, 0, 0);
            if (row < result.rows && input < inputs) {
                eight = *reinterpret_cast<const uint4*>(x + row * size_t(inputs) + input);
            }
#pragma unroll
            for (unsigned p = 0; p < PARTS; ++p) add_group(sums[p][c], weight[p], eight);
        }
    }

    // the pitch puts the outputs of eight rows in banks of their own
    constexpr unsigned AT_ONCE = COLUMNS < 4 / PARTS ? COLUMNS : 4 / PARTS, ROWS = 8 * AT_ONCE, PITCH = 20;
    __shared__ float shared[SLICES][PARTS][ROWS][PITCH];
#pragma unroll
    for (unsigned column = 0; column < COLUMNS; column += AT_ONCE) {
        if (column > 0) __syncthreads();  // those before have been read
#pragma unroll
        for (unsigned p = 0; p < PARTS; ++p) {
#pragma unroll
            for (unsigned c = 0; c < AT_ONCE; ++c) {
#pragma unroll
                for (unsigned i = 0; i < 4; ++i) {
                    shared[slice][p][8 * c + pair + i % 2][group_of_lane + i / 2 * 8] = sums[p][column + c][i];
                }
            }
        }
        __syncthreads();
        for (unsigned i = threadIdx.x; i < 16 * ROWS; i += 32 * SLICES) {
            const unsigned row = first_row + 8 * column + i / 16, output = blockIdx.x * 16 + i % 16;
            if (row >= result.rows || output >= result.outputs) continue;
            float totals[PARTS] = {};
#pragma unroll
            for (unsigned s = 0; s < SLICES; ++s) {
#pragma unroll
                for (unsigned p = 0; p < PARTS; ++p) totals[p] += shared[s][p][i / 16][i % 16];
            }
            if constexpr (GATED) {
                T rounded[2];
                put(rounded, totals[0]), put(rounded + 1, totals[1]);
                result.put_sum(row, output, swiglu(widen(rounded[0]), widen(rounded[1])));
            } else {
                result.put_sum(row, output, totals[0]);
            }
        }
    }
}

constexpr unsigned WIDE_ROWS = 64, WIDE_WARPS = 8, DEPTH = 64;
// 64 bytes more than a row needs: of two rows, each in half of the banks.
constexpr unsigned WIDE_PITCH = DEPTH + 32;

// More rows: a block has 64 of them and 128 outputs, each of its warps 16, which goes through the slices one by one. Blocks
// of the same outputs follow one another, so that all but one find the weight near.
template <typename T>
__device__ __forceinline__ void wide(const uint4* __restrict__ fragments, const bfloat16* __restrict__ x, unsigned inputs,
                                     const Result<T> result) {
    __shared__ __align__(16) bfloat16 shared[2][WIDE_ROWS * WIDE_PITCH];
    const unsigned lane = threadIdx.x % 32, group_of_lane = lane / 4, pair = lane % 4 * 2;
    const unsigned groups = groups_of(inputs), in_slice = slice_of(inputs);
    const unsigned first_row = blockIdx.x * WIDE_ROWS, tile = blockIdx.y * WIDE_WARPS + threadIdx.x / 32;
    const bool there = tile * 16 < result.outputs;
    const uint4* from = fragments + (there ? tile : 0) * size_t(groups) * 64 + lane;
    const auto begin = [&](unsigned depth, unsigned stage) {
        for (unsigned i = threadIdx.x; i < WIDE_ROWS * DEPTH / 8; i += 32 * WIDE_WARPS) {
            const unsigned row = i / (DEPTH / 8), input = depth + i % (DEPTH / 8) * 8;
            const bool held = first_row + row < result.rows && input < inputs;
            begin_copy(shared[stage] + row * WIDE_PITCH + i % (DEPTH / 8) * 8,
                       x + (held ? (first_row + row) * size_t(inputs) + input : 0), held);
        }
        end_copies();
    };
    // of the group that is multiplied, and of the next one
    uint4 weight[2], next[2];
    const auto load = [&](unsigned group) {
#pragma unroll
        for (unsigned f = 0; f < 2; ++f) {
            next[f] = group < groups ? streamed(from + (size_t(group) * 2 + f) * 32) : make_uint4(0, 0, 0, 0);
        }
    };

    float total[WIDE_ROWS / 8][4] = {}, sums[WIDE_ROWS / 8][4] = {};
    unsigned left = in_slice;  // groups of the slice
    begin(0, 0);
    load(0);
    for (unsigned depth = 0, stage = 0; depth < inputs; depth += DEPTH, stage ^= 1) {
        if (depth + DEPTH < inputs) {
            begin(depth + DEPTH, stage ^ 1);
            arrived<1>();
        } else {
            arrived<0>();
        }
        __syncthreads();
#pragma unroll
        for (unsigned k = 0; k < DEPTH / GROUP; ++k) {
            if (left == 0) {
#pragma unroll
                for (unsigned n = 0; n < WIDE_ROWS / 8; ++n) {
#pragma unroll
                    for (unsigned i = 0; i < 4; ++i) total[n][i] += sums[n][i], sums[n][i] = 0.0f;
                }
                left = in_slice;
            }
            --left;
            weight[0] = next[0], weight[1] = next[1];
            load(depth / GROUP + k + 1);
#pragma unroll
            for (unsigned n = 0; n < WIDE_ROWS / 8; ++n) {
                const bfloat16* row = shared[stage] + (8 * n + group_of_lane) * WIDE_PITCH;
                add_group(sums[n], weight, *reinterpret_cast<const uint4*>(row + k * GROUP + input_of_lane()));
            }
        }
        __syncthreads();  // this stage has been read
    }
    if (!there) return;
#pragma unroll
    for (unsigned n = 0; n < WIDE_ROWS / 8; ++n) {
#pragma unroll
        for (unsigned i = 0; i < 4; ++i) {
            const unsigned row = first_row + 8 * n + pair + i % 2, output = tile * 16 + group_of_lane + i / 2 * 8;
            if (row < result.rows && output < result.outputs) result.put_sum(row, output, total[n][i] + sums[n][i]);
        }
    }
}

#define KERNEL(NAME, T, THREADS, BLOCKS, BODY)                                                                        \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)                                                     \
        fragments_##NAME(const uint4* __restrict__ fragments, const bfloat16* __restrict__ x,                         \
                         const float* __restrict__ bias, T* __restrict__ y, unsigned rows, unsigned inputs,           \
                         unsigned outputs, int accumulate) {                                                          \
        const Result<T> result = {y, bias, rows, outputs, accumulate != 0};                                           \
        BODY(fragments, x, inputs, result);                                                                           \
    }
#define KERNELS(NAME, T)                                                   \
    KERNEL(narrow_8_##NAME, T, 32 * SLICES, 2, (narrow<1, false>))         \
    KERNEL(narrow_16_##NAME, T, 32 * SLICES, 2, (narrow<2, false>))        \
    KERNEL(narrow_32_##NAME, T, 32 * SLICES, 1, (narrow<4, false>))        \
    KERNEL(narrow_64_##NAME, T, 32 * SLICES, 1, (narrow<8, false>))        \
    KERNEL(wide_##NAME, T, 32 * WIDE_WARPS, 2, wide)

KERNELS(float32, float)
KERNELS(bfloat16, bfloat16)
KERNEL(gated_8, bfloat16, 32 * SLICES, 1, (narrow<1, true>))
KERNEL(gated_16, bfloat16, 32 * SLICES, 1, (narrow<2, true>))
