// Attention of one new token a row over pages, in bfloat16 on the tensor cores.
//
// The queries of a key/value head are the 16 rows of a product. A warp has a quarter of the part's tokens, page by page, and
// as much of them is on its way as there is room for: this is a pass over memory and little else.
#include "pages.cuh"
#include "shared.cuh"

constexpr unsigned QUERIES = 16, WARP_PAGES = SPLIT / WARPS / PAGE;
// Pages that a warp holds at once. With large heads one, so that a block fits where it has 99 KiB of shared memory.
template <unsigned HEAD>
constexpr unsigned STAGES = HEAD > 64 ? 1 : 2;
static_assert(WARP_PAGES == 2, "both are on their way at once, or one after the other");

// Numbers of a page's keys, or values, in shared memory.
template <unsigned HEAD>
constexpr unsigned PAGE_NUMBERS = PAGE * PITCH<HEAD>;

// Begins to copy a page's rows up to `count`; zeros from there on. Row `without` is left as it is.
template <unsigned HEAD>
__device__ __forceinline__ void begin_page(bfloat16* to, const bfloat16* from, unsigned count, unsigned without) {
    constexpr unsigned CHUNKS = HEAD / 8;
#pragma unroll
    for (unsigned i = threadIdx.x % 32; i < PAGE * CHUNKS; i += 32) {
        const unsigned row = i / CHUNKS, column = i % CHUNKS * 8;
        if (row == without) continue;
        begin_copy(to + row * PITCH<HEAD> + column, from + (row < count ? row * HEAD + column : 0), row < count);
    }
}

template <unsigned HEAD>
__device__ __forceinline__ void attend(const Attended<bfloat16> attended) {
    DYNAMIC_SHARED(bfloat16, q);  // [QUERIES, PITCH], then keys and values of each warp's pages
    const Part<HEAD, QUERIES> part(attended);
    const unsigned size = attended.size;
    if (part.first >= part.end) {
        put_nothing(attended, part);
        return;
    }
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, last = part.len - 1;
    const unsigned warp_first = part.first + warp * WARP_PAGES * PAGE;
    const Address* pages = attended.table + part.row * size_t(attended.max_pages);
    const bfloat16* of_row = attended.qkv + part.row * size_t(attended.queries + 2 * attended.keys) * size;
    bfloat16* held = q + QUERIES * PITCH<HEAD> + warp * STAGES<HEAD> * 2 * PAGE_NUMBERS<HEAD>;

    const auto begin = [&](unsigned p) {
        const unsigned token = warp_first + p * PAGE;
        if (token < part.end) {
            const unsigned count = min(PAGE, part.end - token);
            const bool has_new = part.has_new() && last < token + PAGE;
            auto* page = reinterpret_cast<bfloat16*>(pages[token / PAGE]);
            bfloat16 *k = held + p % STAGES<HEAD> * 2 * PAGE_NUMBERS<HEAD>, *v = k + PAGE_NUMBERS<HEAD>;
            begin_page<HEAD>(k, page + part.k_place, count, has_new ? last - token : PAGE);
            begin_page<HEAD>(v, page + part.v_place, count, has_new ? last - token : PAGE);
            if (has_new) {
                // into the page, for the steps to come, and where this one reads it
                const size_t row = last - token;
                const bfloat16* k_head = of_row + size_t(attended.queries + part.key_head) * size;
                const bfloat16* v_head = k_head + size_t(attended.keys) * size;
                for (unsigned c = lane; c < HEAD; c += 32) {
                    bfloat16 of_k, of_v;
                    put(&of_k, c < size ? turned_of(attended, k_head, c, last) : 0.0f);
                    put(&of_v, c < size ? widen(v_head[c]) : 0.0f);
                    k[row * PITCH<HEAD> + c] = page[part.k_place + row * HEAD + c] = of_k;
                    v[row * PITCH<HEAD> + c] = page[part.v_place + row * HEAD + c] = of_v;
                }
            }
        }
        end_copies();
    };
#pragma unroll
    for (unsigned p = 0; p < STAGES<HEAD>; ++p) begin(p);
#pragma unroll 8
    for (unsigned i = threadIdx.x; i < QUERIES * HEAD; i += THREADS) {
        const unsigned g = i / HEAD, c = i % HEAD;
        const bool there = g < part.heads && c < size;
        const bfloat16* head = of_row + size_t(part.first_head + g) * size;
        put(q + g * PITCH<HEAD> + c, there ? turned_of(attended, head, c, last) : 0.0f);
    }
    __syncthreads();

    const unsigned group = lane / 4, column = lane % 4 * 2;
    float top[2] = {NOTHING, NOTHING}, total[2] = {0.0f, 0.0f}, sums[HEAD / 8][4] = {};
#pragma unroll
    for (unsigned p = 0; p < WARP_PAGES; ++p) {
        const unsigned token = warp_first + p * PAGE;
        if (token >= part.end) break;
        if (p + 1 < STAGES<HEAD>) {
            arrived<1>();
        } else {
            arrived<0>();
        }
        __syncwarp();  // for what other lanes copied; unseen by an emulated load, which waits for all lanes
        const bfloat16* k = held + p % STAGES<HEAD> * 2 * PAGE_NUMBERS<HEAD>;
        float s[PAGE / 8][4];
        rows_times_rows<HEAD, PAGE>(s, q, 0, k);
        add_scores<HEAD, PAGE>(s, token, {part.end, part.end}, attended.scale, top, total, sums);
        weights_times_tile<HEAD, PAGE>(sums, s, k + PAGE_NUMBERS<HEAD>);
        if (p + STAGES<HEAD> < WARP_PAGES) {
            __syncwarp();  // all lanes have read it; unseen by an emulated load, as above
            begin(p + STAGES<HEAD>);
        }
    }

    // a warp's sums lie where its keys were
    constexpr unsigned APART = HEAD + 2, WARP_FLOATS = STAGES<HEAD> * PAGE_NUMBERS<HEAD>;
    static_assert(QUERIES * APART <= WARP_FLOATS, "a warp's sums fit where its pages were");
    __syncwarp();  // all lanes have read them; unseen by an emulated load, as above
    float* all = reinterpret_cast<float*>(q + QUERIES * PITCH<HEAD>);
    float* own = all + warp * WARP_FLOATS;
#pragma unroll
    for (unsigned half = 0; half < 2; ++half) {
        float* to = own + (group + 8 * half) * APART;
#pragma unroll
        for (unsigned n = 0; n < HEAD / 8; ++n) {
            to[8 * n + column] = sums[n][2 * half], to[8 * n + column + 1] = sums[n][2 * half + 1];
        }
        if (column == 0) to[HEAD] = top[half], to[HEAD + 1] = total[half];
    }
    __syncthreads();
    put_part(attended, part, [&](unsigned w, unsigned g) { return all + w * WARP_FLOATS + g * APART; });
}

PAGES_ATTEND(pages_mma_attend_32, bfloat16, attend<32>)
PAGES_ATTEND(pages_mma_attend_64, bfloat16, attend<64>)
PAGES_ATTEND(pages_mma_attend_128, bfloat16, attend<128>)
