// Attention as in attention.cu, in bfloat16 on the tensor cores, for heads whose size is a multiple of 8.
//
// A block of four warps has a tile of TILE tokens and a head; each warp has 16 of the tokens, and all columns of what it
// multiplies. Scores stay in registers: as the result of one product they lie there as the next one reads its first factor.
#include "factors.cuh"
#include "shared.cuh"
#include "tiles.cuh"

constexpr unsigned WARPS = 4, THREADS = 32 * WARPS, ROWS = TILE / WARPS;

template <unsigned HEAD>
constexpr unsigned TILE_NUMBERS = TILE * PITCH<HEAD>;

// Begins to copy tokens first .. first + TOKENS - 1 of a matrix of `stride` numbers a token; zeros from token `end` on.
template <unsigned HEAD, unsigned TOKENS = TILE>
__device__ __forceinline__ void begin_tile(bfloat16* to, const bfloat16* from, size_t stride, unsigned first,
                                           unsigned end, unsigned size) {
    constexpr unsigned CHUNKS = HEAD / 8;
#pragma unroll
    for (unsigned i = threadIdx.x; i < TOKENS * CHUNKS; i += THREADS) {
        const unsigned row = i / CHUNKS, column = i % CHUNKS * 8;
        const bool there = first + row < end && column < size;
        begin_copy(to + row * PITCH<HEAD> + column, from + (there ? (first + row) * stride + column : 0), there);
    }
}

// Sums [16, HEAD] of the warp's tokens, `first` on.
template <unsigned HEAD>
__device__ __forceinline__ void store(bfloat16* to, size_t stride, unsigned first, unsigned end, unsigned size,
                                      const float (&sums)[HEAD / 8][4]) {
    const unsigned group = threadIdx.x % 32 / 4, column = threadIdx.x % 4 * 2;
#pragma unroll
    for (unsigned half = 0; half < 2; ++half) {
        const unsigned token = first + group + 8 * half;
        if (token >= end) continue;
#pragma unroll
        for (unsigned n = 0; n < HEAD / 8; ++n) {
            if (8 * n >= size) continue;
            auto* pair = reinterpret_cast<unsigned*>(to + token * stride + 8 * n + column);
            *pair = packed(sums[n][2 * half], sums[n][2 * half + 1]);
        }
    }
}

// out and log_sum of a tile of queries. Keys and values of the next tile are on their way while one is worked on.
template <unsigned HEAD>
__device__ __forceinline__ void forward(const unsigned* __restrict__ tiles, const bfloat16* __restrict__ qkv,
                                        bfloat16* __restrict__ out, float* __restrict__ log_sum, unsigned queries,
                                        unsigned keys, unsigned size, float scale) {
    DYNAMIC_SHARED(bfloat16, shared);
    bfloat16* q = shared;
    const Place place = place_of(tiles);
    const unsigned start = place.start, end = place.end, first = place.first;
    const unsigned head = blockIdx.y, key_head = head / (queries / keys);
    const size_t stride = (queries + 2 * keys) * size_t(size);
    const bfloat16* k_from = qkv + (queries + key_head) * size_t(size);
    const bfloat16* v_from = k_from + keys * size_t(size);
    const unsigned warp_first = first + threadIdx.x / 32 * ROWS;
    const unsigned group = threadIdx.x % 32 / 4, column = threadIdx.x % 4 * 2;
    const auto begin_keys = [&](unsigned key, unsigned stage) {
        bfloat16* k = shared + (1 + 2 * stage) * TILE_NUMBERS<HEAD>;
        begin_tile<HEAD>(k, k_from, stride, key, end, size);
        begin_tile<HEAD>(k + TILE_NUMBERS<HEAD>, v_from, stride, key, end, size);
        end_copies();
    };

    begin_tile<HEAD>(q, qkv + head * size_t(size), stride, first, end, size);
    begin_keys(start, 0);
    float top[2] = {NOTHING, NOTHING}, total[2] = {0.0f, 0.0f}, sums[HEAD / 8][4];
#pragma unroll
    for (unsigned n = 0; n < HEAD / 8; ++n) sums[n][0] = sums[n][1] = sums[n][2] = sums[n][3] = 0.0f;
    // every query of the tile has a key in each of these tiles: its own row's, up to itself
    for (unsigned key = start, stage = 0; key <= first; key += TILE, stage ^= 1) {
        if (key + TILE <= first) {
            begin_keys(key + TILE, stage ^ 1);
            arrived<1>();
        } else {
            arrived<0>();
        }
        __syncthreads();
        const bfloat16* k = shared + (1 + 2 * stage) * TILE_NUMBERS<HEAD>;
        float s[TILE / 8][4];
        rows_times_rows<HEAD, TILE>(s, q, warp_first - first, k);
        const unsigned end_of[2] = {warp_first + group + 1, warp_first + group + 9};  // a query sees up to itself
        add_scores<HEAD, TILE>(s, key, end_of, scale, top, total, sums);
        weights_times_tile<HEAD, TILE>(sums, s, k + TILE_NUMBERS<HEAD>);
        __syncthreads();  // this stage has been read
    }
#pragma unroll
    for (unsigned half = 0; half < 2; ++half) {
        const float inverse = 1.0f / total[half];
#pragma unroll
        for (unsigned n = 0; n < HEAD / 8; ++n) sums[n][2 * half] *= inverse, sums[n][2 * half + 1] *= inverse;
        const unsigned query = warp_first + group + 8 * half;
        if (column == 0 && query < end) log_sum[query * size_t(queries) + head] = top[half] + logf(total[half]);
    }
    store<HEAD>(out + head * size_t(size), queries * size_t(size), warp_first, end, size, sums);
}

// The gradients of a tile of keys and values, summed over the queries of the group, head by head. Scores are transposed:
// a warp has 16 keys, and the columns are queries: fewer of them where heads are large, or registers would not do.
template <unsigned HEAD>
__device__ __forceinline__ void backward_keys(const unsigned* __restrict__ tiles, const bfloat16* __restrict__ qkv,
                                              const float* __restrict__ log_sum, const float* __restrict__ dots,
                                              const bfloat16* __restrict__ d_out, bfloat16* __restrict__ d_qkv,
                                              unsigned queries, unsigned keys, unsigned size, float scale) {
    constexpr unsigned QUERIES = HEAD > 64 ? TILE / 2 : TILE;
    DYNAMIC_SHARED(bfloat16, shared);
    bfloat16 *k = shared, *v = k + TILE_NUMBERS<HEAD>, *q = v + TILE_NUMBERS<HEAD>, *d_o = q + TILE_NUMBERS<HEAD>;
    __shared__ float of_query[2][QUERIES];  // log-sums and dots of the tile's queries
    const auto [start, end, first] = place_of(tiles);
    const unsigned key_head = blockIdx.y, heads = queries / keys;
    const size_t stride = (queries + 2 * keys) * size_t(size), out_stride = queries * size_t(size);
    const size_t k_place = (queries + key_head) * size_t(size), v_place = k_place + keys * size_t(size);
    const unsigned warp_rows = threadIdx.x / 32 * ROWS, group = threadIdx.x % 32 / 4, column = threadIdx.x % 4 * 2;

    begin_tile<HEAD>(k, qkv + k_place, stride, first, end, size);
    begin_tile<HEAD>(v, qkv + v_place, stride, first, end, size);
    float dk[HEAD / 8][4] = {}, dv[HEAD / 8][4] = {};
    for (unsigned head = key_head * heads; head < (key_head + 1) * heads; ++head) {
        for (unsigned query = first; query < end; query += QUERIES) {
            __syncthreads();  // the queries before have been read
            begin_tile<HEAD, QUERIES>(q, qkv + head * size_t(size), stride, query, end, size);
            begin_tile<HEAD, QUERIES>(d_o, d_out + head * size_t(size), out_stride, query, end, size);
            end_copies();
            if (threadIdx.x < QUERIES) {
                const bool there = query + threadIdx.x < end;
                const size_t at = (query + threadIdx.x) * size_t(queries) + head;
                of_query[0][threadIdx.x] = there ? log_sum[at] : 0.0f;
                of_query[1][threadIdx.x] = there ? dots[at] : 0.0f;
            }
            arrived<0>();
            __syncthreads();
            float p[QUERIES / 8][4], ds[QUERIES / 8][4];
            rows_times_rows<HEAD, QUERIES>(p, k, warp_rows, q);
            rows_times_rows<HEAD, QUERIES>(ds, v, warp_rows, d_o);
#pragma unroll
            for (unsigned n = 0; n < QUERIES / 8; ++n) {
#pragma unroll
                for (unsigned i = 0; i < 4; ++i) {
                    const unsigned key = first + warp_rows + group + i / 2 * 8, place = 8 * n + column + i % 2;
                    const bool seen = key <= query + place && query + place < end;
                    p[n][i] = seen ? __expf(p[n][i] * scale - of_query[0][place]) : 0.0f;
                    ds[n][i] = p[n][i] * (ds[n][i] - of_query[1][place]) * scale;
                }
            }
            weights_times_tile<HEAD, QUERIES>(dv, p, d_o);
            weights_times_tile<HEAD, QUERIES>(dk, ds, q);
        }
    }
    store<HEAD>(d_qkv + k_place, stride, first + warp_rows, end, size, dk);
    store<HEAD>(d_qkv + v_place, stride, first + warp_rows, end, size, dv);
}

// The gradient of a tile of queries.
template <unsigned HEAD>
__device__ __forceinline__ void backward_queries(const unsigned* __restrict__ tiles, const bfloat16* __restrict__ qkv,
                                                 const float* __restrict__ log_sum, const float* __restrict__ dots,
                                                 const bfloat16* __restrict__ d_out, bfloat16* __restrict__ d_qkv,
                                                 unsigned queries, unsigned keys, unsigned size, float scale) {
    DYNAMIC_SHARED(bfloat16, shared);
    bfloat16 *q = shared, *d_o = q + TILE_NUMBERS<HEAD>, *k = d_o + TILE_NUMBERS<HEAD>, *v = k + TILE_NUMBERS<HEAD>;
    const auto [start, end, first] = place_of(tiles);
    const unsigned head = blockIdx.y, key_head = head / (queries / keys);
    const size_t stride = (queries + 2 * keys) * size_t(size), out_stride = queries * size_t(size);
    const size_t k_place = (queries + key_head) * size_t(size), v_place = k_place + keys * size_t(size);
    const unsigned warp_rows = threadIdx.x / 32 * ROWS, group = threadIdx.x % 32 / 4, column = threadIdx.x % 4 * 2;

    begin_tile<HEAD>(q, qkv + head * size_t(size), stride, first, end, size);
    begin_tile<HEAD>(d_o, d_out + head * size_t(size), out_stride, first, end, size);
    float sum_of[2], dot_of[2];
#pragma unroll
    for (unsigned half = 0; half < 2; ++half) {
        const unsigned query = first + warp_rows + group + 8 * half;
        sum_of[half] = query < end ? log_sum[query * size_t(queries) + head] : 0.0f;
        dot_of[half] = query < end ? dots[query * size_t(queries) + head] : 0.0f;
    }
    float dq[HEAD / 8][4] = {};
    for (unsigned key = start; key <= first; key += TILE) {
        __syncthreads();  // the keys before have been read
        begin_tile<HEAD>(k, qkv + k_place, stride, key, end, size);
        begin_tile<HEAD>(v, qkv + v_place, stride, key, end, size);
        end_copies();
        arrived<0>();
        __syncthreads();
        float p[TILE / 8][4], ds[TILE / 8][4];
        rows_times_rows<HEAD, TILE>(p, q, warp_rows, k);
        rows_times_rows<HEAD, TILE>(ds, d_o, warp_rows, v);
#pragma unroll
        for (unsigned n = 0; n < TILE / 8; ++n) {
#pragma unroll
            for (unsigned i = 0; i < 4; ++i) {
                const unsigned query = first + warp_rows + group + i / 2 * 8;
                const bool seen = key + 8 * n + column + i % 2 <= query && query < end;
                const float weight = seen ? __expf(p[n][i] * scale - sum_of[i / 2]) : 0.0f;
                ds[n][i] = weight * (ds[n][i] - dot_of[i / 2]) * scale;
            }
        }
        weights_times_tile<HEAD, TILE>(dq, ds, k);
    }
    store<HEAD>(d_qkv + head * size_t(size), stride, first + warp_rows, end, size, dq);
}

#define KERNELS(HEAD)                                                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS, 1)                                                           \
        mma_forward_##HEAD(const unsigned* __restrict__ tiles, const bfloat16* __restrict__ qkv,                       \
                           bfloat16* __restrict__ out, float* __restrict__ log_sum, unsigned queries, unsigned keys,   \
                           unsigned size, float scale) {                                                               \
        forward<HEAD>(tiles, qkv, out, log_sum, queries, keys, size, scale);                                           \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS, 1)                                                           \
        mma_backward_keys_##HEAD(const unsigned* __restrict__ tiles, const bfloat16* __restrict__ qkv,                 \
                                 const float* __restrict__ log_sum, const float* __restrict__ dots,                    \
                                 const bfloat16* __restrict__ d_out, bfloat16* __restrict__ d_qkv, unsigned queries,   \
                                 unsigned keys, unsigned size, float scale) {                                          \
        backward_keys<HEAD>(tiles, qkv, log_sum, dots, d_out, d_qkv, queries, keys, size, scale);                      \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS, 1)                                                           \
        mma_backward_queries_##HEAD(const unsigned* __restrict__ tiles, const bfloat16* __restrict__ qkv,              \
                                    const float* __restrict__ log_sum, const float* __restrict__ dots,                 \
                                    const bfloat16* __restrict__ d_out, bfloat16* __restrict__ d_qkv, unsigned queries, \
                                    unsigned keys, unsigned size, float scale) {                                       \
        backward_queries<HEAD>(tiles, qkv, log_sum, dots, d_out, d_qkv, queries, keys, size, scale);                   \
    }

KERNELS(16)
KERNELS(32)
KERNELS(64)
KERNELS(128)
