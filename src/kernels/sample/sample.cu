// Draws tokens from logits, each with a number of its own stream. A block a draw.
//
// Weights are e^((z - top) / temperature), in whole units of 2^-40: sums of them are the same in any order, so that they
// can be taken by histogram, and no token that has a weight is lost to rounding. The streams are ChaCha8 as rand_chacha
// counts it: a 64-bit block number in words 12 and 13, the stream's number in words 14 and 15.
#include "reduce.cuh"

using Mass = unsigned long long;

constexpr unsigned THREADS = 256, WARPS = THREADS / 32;
constexpr float UNITS = 1099511627776.0f;  // 2^40
constexpr unsigned BINS = 256;

struct Draw {
    unsigned key[8];
    unsigned stream[2];
    unsigned word[2];  // which 32-bit word of the stream, low half first
    unsigned row;      // of the logits
};

__device__ __forceinline__ unsigned turned(unsigned x, unsigned by) { return x << by | x >> (32 - by); }

__device__ __forceinline__ void quarter(unsigned& a, unsigned& b, unsigned& c, unsigned& d) {
    a += b, d = turned(d ^ a, 16);
    c += d, b = turned(b ^ c, 12);
    a += b, d = turned(d ^ a, 8);
    c += d, b = turned(b ^ c, 7);
}

// The 16 words of the stream's block that the draw's word is in. One thread computes them.
__device__ __forceinline__ void block_of(const Draw& draw, unsigned* block) {
    const unsigned start[16] = {0x61707865u, 0x3320646eu, 0x79622d32u, 0x6b206574u, draw.key[0], draw.key[1],
                                draw.key[2], draw.key[3], draw.key[4], draw.key[5], draw.key[6], draw.key[7],
                                draw.word[0] >> 4 | draw.word[1] << 28, draw.word[1] >> 4, draw.stream[0],
                                draw.stream[1]};
    unsigned x[16];
#pragma unroll
    for (unsigned i = 0; i < 16; ++i) x[i] = start[i];
#pragma unroll
    for (unsigned round = 0; round < 4; ++round) {
#pragma unroll
        for (unsigned i = 0; i < 4; ++i) quarter(x[i], x[i + 4], x[i + 8], x[i + 12]);
#pragma unroll
        for (unsigned i = 0; i < 4; ++i) quarter(x[i], x[4 + (i + 1) % 4], x[8 + (i + 2) % 4], x[12 + (i + 3) % 4]);
    }
#pragma unroll
    for (unsigned i = 0; i < 16; ++i) block[i] = x[i] + start[i];
}

// What of `mass` lies below the drawn number, which is `upper` / 2^24 of it.
__device__ __forceinline__ Mass point_of(Mass mass, unsigned upper) {
    return __umul64hi(mass, upper) << 40 | mass * upper >> 24;
}

// The logits of a draw, and what they weigh.
struct Weights {
    const float* z;
    float top, inverse_temperature;

    __device__ __forceinline__ float weight(unsigned token) const { return expf((z[token] - top) * inverse_temperature); }
    __device__ __forceinline__ Mass mass(float weight) const { return static_cast<Mass>(weight * UNITS + 0.5f); }
};

// The first token from which on the sum of f over tokens 0, 1, .. is more than `target`, which is less than the whole sum.
// The range is cut in as many parts as there are warps, again and again.
template <typename F>
__device__ unsigned first_beyond(unsigned vocabulary, Mass target, F f) {
    __shared__ Mass parts[WARPS];
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    unsigned first = 0, count = vocabulary;
    while (count > 1) {
        const unsigned length = (count + WARPS - 1) / WARPS;
        const unsigned begin = min(first + warp * length, first + count), end = min(begin + length, first + count);
        Mass sum = 0;
        for (unsigned token = begin + lane; token < end; token += 32) sum += f(token);
        sum = warp_sum(sum);
        if (lane == 0) parts[warp] = sum;
        __syncthreads();
        unsigned part = 0;
        while (part + 1 < WARPS && target >= parts[part]) target -= parts[part++];
        __syncthreads();
        const unsigned last = first + count;
        first = min(first + part * length, last - 1);
        count = min(length, last - first);
    }
    return first;
}

// A weight, and what comes before those that are equal to it, in the order of falling weights.
struct Cut {
    unsigned bits;  // of the weight, as a float
    unsigned count_before, count;
    Mass mass_before;
};

// The weight at which, in the order of falling weights, the count reaches `most` or the mass reaches `bound`.
__device__ Cut cut_at(const Weights& weights, unsigned vocabulary, unsigned most, Mass bound) {
    __shared__ unsigned counts[BINS];
    __shared__ Mass masses[BINS];
    __shared__ Cut found;
    Cut cut = {0, 0, 0, 0};
    for (int shift = 24; shift >= 0; shift -= 8) {
        for (unsigned bin = threadIdx.x; bin < BINS; bin += THREADS) counts[bin] = 0, masses[bin] = 0;
        __syncthreads();
        for (unsigned token = threadIdx.x; token < vocabulary; token += THREADS) {
            const float weight = weights.weight(token);
            const unsigned bits = __float_as_uint(weight);
            // of those that agree in the bytes above
            if (shift < 24 && (bits ^ cut.bits) >> (shift + 8) != 0) continue;
            atomicAdd(&counts[bits >> shift & 0xffu], 1u);
            atomicAdd(&masses[bits >> shift & 0xffu], weights.mass(weight));
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            unsigned lowest = 0;  // that holds anything: where neither is reached, it is the one
            while (counts[lowest] == 0) ++lowest;
            unsigned bin = BINS - 1;
            while (bin > lowest && cut.count_before + counts[bin] < most && cut.mass_before + masses[bin] < bound) {
                cut.count_before += counts[bin], cut.mass_before += masses[bin];
                --bin;
            }
            cut.bits |= bin << shift;
            cut.count = counts[bin];
            found = cut;
        }
        __syncthreads();
        cut = found;
    }
    return cut;
}

// `top_k` of 0 keeps all.
extern "C" __global__ void __launch_bounds__(THREADS, 4)
sample_draw(const float* __restrict__ logits, const unsigned* __restrict__ draws, unsigned* __restrict__ tokens,
            float* __restrict__ log_probs, unsigned vocabulary, float inverse_temperature, float top_p,
            unsigned top_k) {
    Draw draw;
    {
        const unsigned* from = draws + size_t(blockIdx.x) * 13;
#pragma unroll
        for (unsigned i = 0; i < 8; ++i) draw.key[i] = from[i];
        draw.stream[0] = from[8], draw.stream[1] = from[9];
        draw.word[0] = from[10], draw.word[1] = from[11];
        draw.row = from[12];
    }
    const float* z = logits + draw.row * size_t(vocabulary);
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;

    __shared__ unsigned block[16];
    if (threadIdx.x == 0) block_of(draw, block);
    __shared__ float tops[WARPS];
    float top = -3.0e38f;
#pragma unroll 4
    for (unsigned token = threadIdx.x; token < vocabulary; token += THREADS) top = fmaxf(top, z[token]);
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, offset));
    if (lane == 0) tops[warp] = top;
    __syncthreads();
    for (unsigned w = 0; w < WARPS; ++w) top = fmaxf(top, tops[w]);
    const Weights weights = {z, top, inverse_temperature};

    __shared__ Mass sums[WARPS];
    Mass total = 0;
#pragma unroll 4
    for (unsigned token = threadIdx.x; token < vocabulary; token += THREADS) total += weights.mass(weights.weight(token));
    total = warp_sum(total);
    if (lane == 0) sums[warp] = total;
    __syncthreads();
    total = 0;
    for (unsigned w = 0; w < WARPS; ++w) total += sums[w];

    const unsigned upper = block[draw.word[0] & 15u] >> 8;
    unsigned token;
    if (top_p >= 1.0f && top_k == 0) {
        token = first_beyond(vocabulary, point_of(total, upper), [&](unsigned t) { return weights.mass(weights.weight(t)); });
    } else {
        const unsigned most = top_k == 0 ? vocabulary : min(top_k, vocabulary);
        const Mass bound = top_p >= 1.0f ? total : static_cast<Mass>(ceil(double(top_p) * double(total)));
        const Cut kept = cut_at(weights, vocabulary, most, bound);
        const Mass each = weights.mass(__uint_as_float(kept.bits));
        // of those that weigh as much as the last one kept, so many as reach either
        unsigned equal = min(kept.count, most - kept.count_before);
        if (each > 0 && bound > kept.mass_before) {
            const Mass reach = (bound - kept.mass_before + each - 1) / each;
            if (reach < equal) equal = static_cast<unsigned>(reach);
        }
        equal = max(equal, 1u);
        const Mass point = point_of(kept.mass_before + equal * each, upper);
        const Cut drawn = cut_at(weights, vocabulary, vocabulary, point + 1);
        const Mass own = max(weights.mass(__uint_as_float(drawn.bits)), Mass(1));
        Mass place = point > drawn.mass_before ? (point - drawn.mass_before) / own : 0;
        place = min(place, Mass(drawn.count - 1));
        token = first_beyond(vocabulary, place,
                             [&](unsigned t) { return Mass(__float_as_uint(weights.weight(t)) == drawn.bits); });
    }
    if (threadIdx.x == 0) {
        tokens[blockIdx.x] = token;
        log_probs[blockIdx.x] = (z[token] - top) * inverse_temperature - logf(float(double(total) / double(UNITS)));
    }
}
