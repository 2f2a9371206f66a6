// Causal attention with grouped queries over packed rows, in float: softmax(q k^T / sqrt(size)) v, in tiles, with the
// softmax's maximum and sum carried from tile to tile (Dao et al., 2022). No score leaves its block.
//
// Rows of qkv are the queries of all heads, then the keys, then the values of all key/value heads. A block has a tile of
// TILE tokens of one row and one head; `tiles` says which: where its row begins and ends, and its first token. Tiles begin
// at their row's first token, so that the sums of a row are the same whatever the other rows. HEAD is the head's size or
// more: numbers beyond the size are zeros.
//
// Threads form a square: thread (x, y) has of a tile of products the rows EACH y .. EACH y + EACH - 1 and the columns
// x, x + SIDE, ... In shared memory a row has four numbers more than it needs, so that the threads of a warp read from
// banks of their own.
#include "bfloat16.cuh"
#include "reduce.cuh"
#include "shared.cuh"
#include "tiles.cuh"

constexpr unsigned SIDE = 16, EACH = TILE / SIDE, THREADS = SIDE * SIDE;
constexpr unsigned SCORES_PITCH = TILE + 4;

template <unsigned HEAD>
constexpr unsigned PITCH = HEAD + 4;

// Tokens first .. first + TILE - 1 of a matrix of `stride` numbers a token; zeros from token `end` on.
template <unsigned HEAD, typename T>
__device__ __forceinline__ void load(float* __restrict__ to, const T* __restrict__ from, size_t stride,
                                     unsigned first, unsigned end, unsigned size) {
    for (unsigned i = threadIdx.x; i < TILE * HEAD; i += THREADS) {
        const unsigned row = i / HEAD, column = i % HEAD;
        const bool there = first + row < end && column < size;
        to[row * PITCH<HEAD> + column] = there ? widen(from[(first + row) * stride + column]) : 0.0f;
    }
}

// Rows of a times rows of b: products[i][j] = a[EACH y + i] . b[x + SIDE j].
template <unsigned HEAD>
__device__ __forceinline__ void multiply(const float* __restrict__ a, const float* __restrict__ b,
                                         float (&products)[EACH][EACH]) {
    const unsigned x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
#pragma unroll
    for (unsigned i = 0; i < EACH; ++i) {
#pragma unroll
        for (unsigned j = 0; j < EACH; ++j) products[i][j] = 0.0f;
    }
#pragma unroll 4
    for (unsigned d = 0; d < HEAD; d += 4) {
        float4 from_b[EACH];
#pragma unroll
        for (unsigned j = 0; j < EACH; ++j) {
            from_b[j] = *reinterpret_cast<const float4*>(b + (x + SIDE * j) * PITCH<HEAD> + d);
        }
#pragma unroll
        for (unsigned i = 0; i < EACH; ++i) {
            const float4 from_a = *reinterpret_cast<const float4*>(a + (EACH * y + i) * PITCH<HEAD> + d);
#pragma unroll
            for (unsigned j = 0; j < EACH; ++j) {
                products[i][j] += from_a.x * from_b[j].x;
                products[i][j] += from_a.y * from_b[j].y;
                products[i][j] += from_a.z * from_b[j].z;
                products[i][j] += from_a.w * from_b[j].w;
            }
        }
    }
}

// sums[i][c] += weights[EACH y + i] . column x + SIDE c of values.
template <unsigned HEAD>
__device__ __forceinline__ void accumulate(const float* __restrict__ weights, const float* __restrict__ values,
                                           float (&sums)[EACH][HEAD / SIDE]) {
    const unsigned x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
#pragma unroll 2
    for (unsigned k = 0; k < TILE; k += 4) {
        float from[EACH][4];
#pragma unroll
        for (unsigned i = 0; i < EACH; ++i) {
            const float4 four = *reinterpret_cast<const float4*>(weights + (EACH * y + i) * SCORES_PITCH + k);
            from[i][0] = four.x, from[i][1] = four.y, from[i][2] = four.z, from[i][3] = four.w;
        }
#pragma unroll
        for (unsigned r = 0; r < 4; ++r) {
#pragma unroll
            for (unsigned c = 0; c < HEAD / SIDE; ++c) {
                const float value = values[(k + r) * PITCH<HEAD> + x + SIDE * c];
#pragma unroll
                for (unsigned i = 0; i < EACH; ++i) sums[i][c] += from[i][r] * value;
            }
        }
    }
}

// What thread (x, y) has of a tile of scores, for `accumulate` to read.
__device__ __forceinline__ void share(float* __restrict__ scores, const float (&own)[EACH][EACH]) {
    const unsigned x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
#pragma unroll
    for (unsigned i = 0; i < EACH; ++i) {
#pragma unroll
        for (unsigned j = 0; j < EACH; ++j) scores[(EACH * y + i) * SCORES_PITCH + x + SIDE * j] = own[i][j];
    }
}

// Sums [EACH y + i][x + SIDE c] of a tile, times `factor`, to tokens from `first` on.
template <unsigned HEAD, typename T>
__device__ __forceinline__ void store(T* __restrict__ to, size_t stride, unsigned first, unsigned end,
                                      unsigned size, const float (&sums)[EACH][HEAD / SIDE]) {
    const unsigned x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
#pragma unroll
    for (unsigned i = 0; i < EACH; ++i) {
        const unsigned token = first + EACH * y + i;
#pragma unroll
        for (unsigned c = 0; c < HEAD / SIDE; ++c) {
            if (token < end && x + SIDE * c < size) put(to + token * stride + x + SIDE * c, sums[i][c]);
        }
    }
}

// Over the SIDE threads that have the same rows of a tile.
__device__ __forceinline__ float row_max(float value) {
#pragma unroll
    for (unsigned offset = SIDE / 2; offset > 0; offset /= 2) {
        value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, offset));
    }
    return value;
}
__device__ __forceinline__ float row_sum(float value) {
#pragma unroll
    for (unsigned offset = SIDE / 2; offset > 0; offset /= 2) {
        value += __shfl_xor_sync(0xffffffffu, value, offset);
    }
    return value;
}

// out and log_sum of a tile of queries.
template <unsigned HEAD, typename T>
__device__ __forceinline__ void forward(const unsigned* __restrict__ tiles, const T* __restrict__ qkv,
                                        T* __restrict__ out, float* __restrict__ log_sum, unsigned queries,
                                        unsigned keys, unsigned size, float scale) {
    DYNAMIC_SHARED(float, shared);
    float *q = shared, *kv = q + TILE * PITCH<HEAD>, *scores = kv + TILE * PITCH<HEAD>;
    const auto [start, end, first] = place_of(tiles);
    const unsigned head = blockIdx.y, key_head = head / (queries / keys);
    const size_t stride = (queries + 2 * keys) * size_t(size);
    const unsigned x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
    const T* k_from = qkv + (queries + key_head) * size_t(size);
    const T* v_from = k_from + keys * size_t(size);

    load<HEAD>(q, qkv + head * size_t(size), stride, first, end, size);
    float top[EACH], total[EACH], sums[EACH][HEAD / SIDE];
#pragma unroll
    for (unsigned i = 0; i < EACH; ++i) {
        top[i] = -3.0e38f;
        total[i] = 0.0f;
#pragma unroll
        for (unsigned c = 0; c < HEAD / SIDE; ++c) sums[i][c] = 0.0f;
    }
    // every query of the tile has a key in each of these tiles: its own row's, up to itself
    for (unsigned key = start; key <= first; key += TILE) {
        __syncthreads();  // the values of the tile before have been read
        load<HEAD>(kv, k_from, stride, key, end, size);
        __syncthreads();
        float s[EACH][EACH];
        multiply<HEAD>(q, kv, s);
#pragma unroll
        for (unsigned i = 0; i < EACH; ++i) {
            const unsigned query = first + EACH * y + i;
            float tile_top = -3.0e38f;
#pragma unroll
            for (unsigned j = 0; j < EACH; ++j) {
                s[i][j] = key + x + SIDE * j <= query ? s[i][j] * scale : -3.0e38f;
                tile_top = fmaxf(tile_top, s[i][j]);
            }
            const float new_top = fmaxf(top[i], row_max(tile_top));
            const float shrink = expf(top[i] - new_top);
            float tile_total = 0.0f;
#pragma unroll
            for (unsigned j = 0; j < EACH; ++j) {
                s[i][j] = expf(s[i][j] - new_top);
                tile_total += s[i][j];
            }
            total[i] = total[i] * shrink + row_sum(tile_total);
            top[i] = new_top;
#pragma unroll
            for (unsigned c = 0; c < HEAD / SIDE; ++c) sums[i][c] *= shrink;
        }
        share(scores, s);
        __syncthreads();  // the keys have been read, the scores are there
        load<HEAD>(kv, v_from, stride, key, end, size);
        __syncthreads();
        accumulate<HEAD>(scores, kv, sums);
    }
#pragma unroll
    for (unsigned i = 0; i < EACH; ++i) {
        const float inverse = 1.0f / total[i];
#pragma unroll
        for (unsigned c = 0; c < HEAD / SIDE; ++c) sums[i][c] *= inverse;
        const unsigned query = first + EACH * y + i;
        if (x == 0 && query < end) log_sum[query * size_t(queries) + head] = top[i] + logf(total[i]);
    }
    store<HEAD>(out + head * size_t(size), queries * size_t(size), first, end, size, sums);
}

// p and ds of queries and keys, from the products of q and k, which p takes the place of, and of do and v, which ds does.
// `transposed`: rows are keys and columns are queries.
__device__ __forceinline__ void weigh(float (&p)[EACH][EACH], float (&ds)[EACH][EACH],
                                      const float* __restrict__ log_sum, const float* __restrict__ dots, size_t stride,
                                      unsigned rows_first, unsigned columns_first, unsigned end, float scale,
                                      bool transposed) {
    const unsigned x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
#pragma unroll
    for (unsigned i = 0; i < EACH; ++i) {
#pragma unroll
        for (unsigned j = 0; j < EACH; ++j) {
            const unsigned row = rows_first + EACH * y + i, column = columns_first + x + SIDE * j;
            const unsigned query = transposed ? column : row, key = transposed ? row : column;
            if (key <= query && query < end) {
                p[i][j] = expf(p[i][j] * scale - log_sum[query * stride]);
                ds[i][j] = p[i][j] * (ds[i][j] - dots[query * stride]) * scale;
            } else {
                p[i][j] = ds[i][j] = 0.0f;
            }
        }
    }
}

// The gradients of a tile of keys and values, summed over the queries of the group, head by head.
template <unsigned HEAD, typename T>
__device__ __forceinline__ void backward_keys(const unsigned* __restrict__ tiles, const T* __restrict__ qkv,
                                              const float* __restrict__ log_sum, const float* __restrict__ dots,
                                              const T* __restrict__ d_out, T* __restrict__ d_qkv,
                                              unsigned queries, unsigned keys, unsigned size, float scale) {
    DYNAMIC_SHARED(float, shared);
    float *k = shared, *v = k + TILE * PITCH<HEAD>, *q = v + TILE * PITCH<HEAD>, *d_o = q + TILE * PITCH<HEAD>;
    float* scores = d_o + TILE * PITCH<HEAD>;
    const auto [start, end, first] = place_of(tiles);
    const unsigned key_head = blockIdx.y, group = queries / keys;
    const size_t stride = (queries + 2 * keys) * size_t(size), out_stride = queries * size_t(size);
    const size_t k_place = (queries + key_head) * size_t(size), v_place = k_place + keys * size_t(size);

    load<HEAD>(k, qkv + k_place, stride, first, end, size);
    load<HEAD>(v, qkv + v_place, stride, first, end, size);
    float dk[EACH][HEAD / SIDE] = {}, dv[EACH][HEAD / SIDE] = {};
    for (unsigned head = key_head * group; head < (key_head + 1) * group; ++head) {
        for (unsigned query = first; query < end; query += TILE) {
            __syncthreads();  // queries, their gradients and the scores of the tile before have been read
            load<HEAD>(q, qkv + head * size_t(size), stride, query, end, size);
            load<HEAD>(d_o, d_out + head * size_t(size), out_stride, query, end, size);
            __syncthreads();
            float p[EACH][EACH], ds[EACH][EACH];
            multiply<HEAD>(k, q, p);
            multiply<HEAD>(v, d_o, ds);
            weigh(p, ds, log_sum + head, dots + head, queries, first, query, end, scale, true);
            share(scores, p);
            __syncthreads();
            accumulate<HEAD>(scores, d_o, dv);
            __syncthreads();
            share(scores, ds);
            __syncthreads();
            accumulate<HEAD>(scores, q, dk);
        }
    }
    store<HEAD>(d_qkv + k_place, stride, first, end, size, dk);
    store<HEAD>(d_qkv + v_place, stride, first, end, size, dv);
}

// The gradient of a tile of queries.
template <unsigned HEAD, typename T>
__device__ __forceinline__ void backward_queries(const unsigned* __restrict__ tiles, const T* __restrict__ qkv,
                                                 const float* __restrict__ log_sum, const float* __restrict__ dots,
                                                 const T* __restrict__ d_out, T* __restrict__ d_qkv,
                                                 unsigned queries, unsigned keys, unsigned size, float scale) {
    DYNAMIC_SHARED(float, shared);
    float *q = shared, *d_o = q + TILE * PITCH<HEAD>, *k = d_o + TILE * PITCH<HEAD>, *v = k + TILE * PITCH<HEAD>;
    float* scores = v + TILE * PITCH<HEAD>;
    const auto [start, end, first] = place_of(tiles);
    const unsigned head = blockIdx.y, key_head = head / (queries / keys);
    const size_t stride = (queries + 2 * keys) * size_t(size), out_stride = queries * size_t(size);
    const size_t k_place = (queries + key_head) * size_t(size), v_place = k_place + keys * size_t(size);

    load<HEAD>(q, qkv + head * size_t(size), stride, first, end, size);
    load<HEAD>(d_o, d_out + head * size_t(size), out_stride, first, end, size);
    float dq[EACH][HEAD / SIDE] = {};
    for (unsigned key = start; key <= first; key += TILE) {
        __syncthreads();  // keys and scores of the tile before have been read
        load<HEAD>(k, qkv + k_place, stride, key, end, size);
        load<HEAD>(v, qkv + v_place, stride, key, end, size);
        __syncthreads();
        float p[EACH][EACH], ds[EACH][EACH];
        multiply<HEAD>(q, k, p);
        multiply<HEAD>(d_o, v, ds);
        weigh(p, ds, log_sum + head, dots + head, queries, first, key, end, scale, false);
        share(scores, ds);
        __syncthreads();
        accumulate<HEAD>(scores, k, dq);
    }
    store<HEAD>(d_qkv + head * size_t(size), stride, first, end, size, dq);
}

// dots[i][h] = do_i . o_i of each of `count` heads of tokens. A warp a head.
template <typename T>
__device__ __forceinline__ void dot(const T* __restrict__ out, const T* __restrict__ d_out, float* __restrict__ dots,
                                    size_t count, unsigned size) {
    const size_t head = blockIdx.x * size_t(blockDim.x / 32) + threadIdx.x / 32;
    if (head >= count) return;
    float sum = 0.0f;
    for (unsigned j = threadIdx.x % 32; j < size; j += 32) {
        sum += widen(out[head * size + j]) * widen(d_out[head * size + j]);
    }
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) dots[head] = sum;
}

#define DOTS(NAME, T)                                                                                               \
    extern "C" __global__ void __launch_bounds__(256)                                                               \
        attention_dots_##NAME(const T* __restrict__ out, const T* __restrict__ d_out, float* __restrict__ dots,     \
                              size_t count, unsigned size) {                                                        \
        dot(out, d_out, dots, count, size);                                                                         \
    }

#define KERNELS(HEAD, NAME, T)                                                                                         \
    extern "C" __global__ void __launch_bounds__(THREADS, 1)                                                           \
        attention_forward_##HEAD##_##NAME(const unsigned* __restrict__ tiles, const T* __restrict__ qkv,               \
                                          T* __restrict__ out, float* __restrict__ log_sum, unsigned queries,          \
                                          unsigned keys, unsigned size, float scale) {                                 \
        forward<HEAD>(tiles, qkv, out, log_sum, queries, keys, size, scale);                                           \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS, 1)                                                           \
        attention_backward_keys_##HEAD##_##NAME(                                                                       \
            const unsigned* __restrict__ tiles, const T* __restrict__ qkv, const float* __restrict__ log_sum,          \
            const float* __restrict__ dots, const T* __restrict__ d_out, T* __restrict__ d_qkv, unsigned queries,      \
            unsigned keys, unsigned size, float scale) {                                                               \
        backward_keys<HEAD>(tiles, qkv, log_sum, dots, d_out, d_qkv, queries, keys, size, scale);                      \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS, 1)                                                           \
        attention_backward_queries_##HEAD##_##NAME(                                                                    \
            const unsigned* __restrict__ tiles, const T* __restrict__ qkv, const float* __restrict__ log_sum,          \
            const float* __restrict__ dots, const T* __restrict__ d_out, T* __restrict__ d_qkv, unsigned queries,      \
            unsigned keys, unsigned size, float scale) {                                                               \
        backward_queries<HEAD>(tiles, qkv, log_sum, dots, d_out, d_qkv, queries, keys, size, scale);                   \
    }

#define SIZES(NAME, T)     \
    DOTS(NAME, T)          \
    KERNELS(16, NAME, T)   \
    KERNELS(32, NAME, T)   \
    KERNELS(64, NAME, T)   \
    KERNELS(128, NAME, T)

SIZES(float32, float)
SIZES(bfloat16, bfloat16)
