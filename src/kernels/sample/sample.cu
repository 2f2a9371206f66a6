// Draws tokens from logits, each with a number of its own stream. A block a draw.
//
// Weights are e^((z - top) / temperature), in whole units of 2^-40: sums of them are the same in any order, so that they
// can be taken by histogram, and no token that has a weight is lost to rounding. The streams are ChaCha8 as rand_chacha
// counts it: a 64-bit block number in words 12 and 13, the stream's number in words 14 and 15.
#include "reduce.cuh"

using Mass = unsigned long long;

constexpr unsigned MOST_WARPS = 32;
constexpr float UNITS = 1099511627776.0f;  // 2^40
constexpr unsigned BINS = 256;
// Weights that top-k and top-p count tokens from, so that most of a vocabulary is left out of what follows.
constexpr unsigned LEVELS = 6;
constexpr float LEVEL[LEVELS] = {0x1p-2f, 0x1p-4f, 0x1p-6f, 0x1p-9f, 0x1p-12f, 0x1p-15f};
// Tokens that a block ranks one by one.
constexpr unsigned ROOM = 1024;

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

    __device__ __forceinline__ float of(unsigned token) const { return expf((z[token] - top) * inverse_temperature); }
    __device__ __forceinline__ Mass mass(float weight) const { return static_cast<Mass>(weight * UNITS + 0.5f); }
};

// The first token from which on the sum of f over tokens 0, 1, .. is more than `target`, which is less than the whole sum.
// The range is cut in as many parts as there are warps, again and again.
template <typename F>
__device__ unsigned first_beyond(unsigned vocabulary, Mass target, F f) {
    __shared__ Mass parts[MOST_WARPS];
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    unsigned first = 0, count = vocabulary;
    while (count > 1) {
        const unsigned length = (count + warps - 1) / warps;
        const unsigned begin = min(first + warp * length, first + count), end = min(begin + length, first + count);
        Mass sum = 0;
#pragma unroll 4
        for (unsigned token = begin + lane; token < end; token += 32) sum += f(token);
        sum = warp_sum(sum);
        if (lane == 0) parts[warp] = sum;
        __syncthreads();
        unsigned part = 0;
        while (part + 1 < warps && target >= parts[part]) target -= parts[part++];
        __syncthreads();
        const unsigned last = first + count;
        first = min(first + part * length, last - 1);
        count = min(length, last - first);
    }
    return first;
}

// The sums of values over the block's threads, for all of them.
template <unsigned N>
__device__ __forceinline__ void block_sums(Mass (&values)[N]) {
    __shared__ Mass parts[N][MOST_WARPS], sums[N];
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
#pragma unroll
    for (unsigned i = 0; i < N; ++i) {
        const Mass sum = warp_sum(values[i]);
        if (lane == 0) parts[i][warp] = sum;
    }
    __syncthreads();
    for (unsigned i = warp; i < N; i += warps) {
        const Mass sum = warp_sum(lane < warps ? parts[i][lane] : 0);
        if (lane == 0) sums[i] = sum;
    }
    __syncthreads();
#pragma unroll
    for (unsigned i = 0; i < N; ++i) values[i] = sums[i];
}

// What is kept of the tokens in the order of falling weights, of those that weigh as much the first one first: each token
// ahead of which there are fewer than `most`, with less than `bound`.
struct Kept {
    unsigned most;
    Mass bound;
};

// The token drawn from those kept, all of which weigh at least `floor`, as no more than ROOM tokens do.
__device__ unsigned draw_ranked(const Weights& weights, unsigned vocabulary, float floor, Kept kept, unsigned upper) {
    __shared__ Mass keys[ROOM], masses[ROOM], ahead[ROOM];  // in no order; of two keys the larger one is ahead
    __shared__ unsigned found, drawn;
    if (threadIdx.x == 0) found = 0, drawn = 0;
    __syncthreads();
#pragma unroll 4
    for (unsigned token = threadIdx.x; token < vocabulary; token += blockDim.x) {
        const float weight = weights.of(token);
        if (!(weight >= floor)) continue;
        const unsigned place = atomicAdd(&found, 1u);
        keys[place] = Mass(__float_as_uint(weight)) << 32 | ~token;
        masses[place] = weights.mass(weight);
    }
    __syncthreads();
    const unsigned count = found;
    Mass mass[1] = {0};
    for (unsigned i = threadIdx.x; i < count; i += blockDim.x) {
        unsigned tokens_ahead = 0;
        Mass mass_ahead = 0;
#pragma unroll 4
        for (unsigned j = 0; j < count; ++j) {
            if (keys[j] > keys[i]) ++tokens_ahead, mass_ahead += masses[j];
        }
        const bool is_kept = tokens_ahead < kept.most && mass_ahead < kept.bound;
        ahead[i] = is_kept ? mass_ahead : ~Mass(0);
        if (is_kept) mass[0] += masses[i];
    }
    block_sums(mass);
    const Mass point = point_of(mass[0], upper);
    for (unsigned i = threadIdx.x; i < count; i += blockDim.x) {
        if (ahead[i] <= point && point - ahead[i] < masses[i]) drawn = ~static_cast<unsigned>(keys[i]);
    }
    __syncthreads();
    return drawn;
}

// A weight, and what comes before those that are equal to it, in the order of falling weights.
struct Cut {
    unsigned bits;  // of the weight, as a float
    unsigned count_before, count;
    Mass mass_before;
};

// The weight of the last token that is kept, all of which weigh at least `floor`.
__device__ Cut cut_at(const Weights& weights, unsigned vocabulary, float floor, Kept kept) {
    __shared__ unsigned counts[BINS];
    __shared__ Mass masses[BINS];
    __shared__ Cut found;
    Cut cut = {0, 0, 0, 0};
    for (int shift = 24; shift >= 0; shift -= 8) {
        for (unsigned bin = threadIdx.x; bin < BINS; bin += blockDim.x) counts[bin] = 0, masses[bin] = 0;
        __syncthreads();
        for (unsigned token = threadIdx.x; token < vocabulary; token += blockDim.x) {
            const float weight = weights.of(token);
            if (!(weight >= floor)) continue;
            const unsigned bits = __float_as_uint(weight);
            // of those that agree in the bytes above
            if (shift < 24 && (bits ^ cut.bits) >> (shift + 8) != 0) continue;
            atomicAdd(&counts[bits >> shift & 0xffu], 1u);
            atomicAdd(&masses[bits >> shift & 0xffu], weights.mass(weight));
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            unsigned lowest = 0;  // that holds anything: where neither is reached, it is the one
            while (lowest < BINS - 1 && counts[lowest] == 0) ++lowest;
            unsigned bin = BINS - 1;
            while (bin > lowest && cut.count_before + counts[bin] < kept.most && cut.mass_before + masses[bin] < kept.bound) {
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

// The same as `draw_ranked` for any number of tokens: it finds the last one kept by its weight's bits, then the drawn one.
__device__ unsigned draw_cut(const Weights& weights, unsigned vocabulary, float floor, Kept kept, unsigned upper) {
    const Cut last = cut_at(weights, vocabulary, floor, kept);
    const Mass each = weights.mass(__uint_as_float(last.bits));
    // of those that weigh as much as the last one kept, so many as reach either
    unsigned equal = min(last.count, kept.most - last.count_before);
    if (each > 0 && kept.bound > last.mass_before) {
        const Mass reach = (kept.bound - last.mass_before + each - 1) / each;
        if (reach < equal) equal = static_cast<unsigned>(reach);
    }
    equal = max(equal, 1u);
    const Mass point = point_of(last.mass_before + equal * each, upper);
    const Cut drawn = cut_at(weights, vocabulary, floor, {vocabulary, point + 1});
    const Mass own = max(weights.mass(__uint_as_float(drawn.bits)), Mass(1));
    Mass place = point > drawn.mass_before ? (point - drawn.mass_before) / own : 0;
    place = min(place, Mass(drawn.count - 1));
    return first_beyond(vocabulary, place,
                        [&](unsigned token) { return Mass(__float_as_uint(weights.of(token)) == drawn.bits); });
}

// `top_k` of 0 keeps all. Any number of warps up to MOST_WARPS draws the same.
extern "C" __global__ void __launch_bounds__(32 * MOST_WARPS)
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
    __shared__ float tops[MOST_WARPS];
    float top = -3.0e38f;
#pragma unroll 8
    for (unsigned token = threadIdx.x; token < vocabulary; token += blockDim.x) top = fmaxf(top, z[token]);
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, offset));
    if (lane == 0) tops[warp] = top;
    __syncthreads();
    for (unsigned w = 0; w < blockDim.x / 32; ++w) top = fmaxf(top, tops[w]);
    const Weights weights = {z, top, inverse_temperature};
    const unsigned upper = block[draw.word[0] & 15u] >> 8;

    unsigned token;
    Mass total;
    if (top_p >= 1.0f && top_k == 0) {
        Mass sum[1] = {0};
#pragma unroll 4
        for (unsigned t = threadIdx.x; t < vocabulary; t += blockDim.x) sum[0] += weights.mass(weights.of(t));
        block_sums(sum);
        total = sum[0];
        token = first_beyond(vocabulary, point_of(total, upper), [&](unsigned t) { return weights.mass(weights.of(t)); });
    } else {
        // the mass of all, then the mass and the number of tokens from each level on
        Mass sums[1 + 2 * LEVELS] = {};
#pragma unroll 2
        for (unsigned t = threadIdx.x; t < vocabulary; t += blockDim.x) {
            const float weight = weights.of(t);
            const Mass mass = weights.mass(weight);
            sums[0] += mass;
            if (weight < LEVEL[LEVELS - 1]) continue;  // as nearly all do
#pragma unroll
            for (unsigned l = 0; l < LEVELS; ++l) {
                if (weight >= LEVEL[l]) sums[1 + 2 * l] += mass, ++sums[2 + 2 * l];
            }
        }
        block_sums(sums);
        total = sums[0];
        const Kept kept = {top_k == 0 ? vocabulary : min(top_k, vocabulary),
                           top_p >= 1.0f ? total : static_cast<Mass>(ceil(double(top_p) * double(total)))};
        // the last level that all that is kept weighs
        float floor = 0.0f;
        unsigned count = vocabulary;
#pragma unroll
        for (unsigned l = LEVELS; l-- > 0;) {
            if (sums[1 + 2 * l] >= kept.bound || sums[2 + 2 * l] >= kept.most) {
                floor = LEVEL[l];
                count = static_cast<unsigned>(sums[2 + 2 * l]);
            }
        }
        token = count <= ROOM ? draw_ranked(weights, vocabulary, floor, kept, upper)
                              : draw_cut(weights, vocabulary, floor, kept, upper);
    }
    if (threadIdx.x == 0) {
        tokens[blockIdx.x] = token;
        log_probs[blockIdx.x] = (z[token] - top) * inverse_temperature - logf(float(double(total) / double(UNITS)));
    }
}
