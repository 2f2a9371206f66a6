// libcublasLt: D = alpha op(A) op(B) + beta C, column-major, of float and bfloat16 matrices, each number summed in the
// order of k in float.
#include "emulator.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

namespace {

enum Status { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum Type { FLOAT32 = 0, BFLOAT16 = 14 };
enum Epilogue { NONE = 1, BIAS = 4 };

struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t stride;
};
struct Product {
    int compute, scale, transpose_a, transpose_b, epilogue;
    const void* bias;  // a number a row, of the type of D
};
struct Preference {
    // what a kernel may take for granted of the addresses of A, B, C and D
    uint32_t alignments[4] = {256, 256, 256, 256};
    uint32_t reductions = ~0u;  // ways in which a sum may be split among blocks
};
struct Algorithm {
    uint64_t data[8];
};
struct Heuristic {
    Algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};

float load(const void* numbers, int type, size_t place) {
    if (type == FLOAT32) return static_cast<const float*>(numbers)[place];
    const uint32_t bits = uint32_t(static_cast<const uint16_t*>(numbers)[place]) << 16;
    float number;
    memcpy(&number, &bits, 4);
    return number;
}

void store(void* numbers, int type, size_t place, float number) {
    if (type == FLOAT32) {
        static_cast<float*>(numbers)[place] = number;
        return;
    }
    uint32_t bits;
    memcpy(&bits, &number, 4);
    // to the nearest, of two that are as near to the even one; NaN stays NaN
    const uint32_t rounded = number != number ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1);
    static_cast<uint16_t*>(numbers)[place] = rounded >> 16;
}

struct Call {
    float alpha, beta;
    Product product;
    Layout a, b, d;
    const void *from_a, *from_b, *from_c;
    void* to;
};

// op(A) as [k][m], or op(B) as [n][k]: the inner index runs over `inner` numbers.
std::vector<float> gathered(const void* numbers, const Layout& layout, size_t outer, size_t inner, bool inner_is_row) {
    std::vector<float> all(outer * inner);
    for (size_t o = 0; o < outer; ++o) {
        for (size_t i = 0; i < inner; ++i) {
            const size_t place = inner_is_row ? i + o * layout.stride : o + i * layout.stride;
            all[o * inner + i] = load(numbers, layout.type, place);
        }
    }
    return all;
}

void multiply(const void* data) {
    Call call;
    memcpy(&call, data, sizeof call);
    const auto& [alpha, beta, product, la, lb, ld, from_a, from_b, from_c, to] = call;
    const size_t m = ld.rows, n = ld.columns, k = product.transpose_a ? la.rows : la.columns;
    const std::vector<float> a = gathered(from_a, la, k, m, !product.transpose_a);
    const std::vector<float> b = gathered(from_b, lb, n, k, !product.transpose_b);
    constexpr size_t BLOCK = 64;
    for (size_t column = 0; column < n; ++column) {
        for (size_t row = 0; row < m; row += BLOCK) {
            const size_t rows = std::min(BLOCK, m - row);
            float sums[BLOCK] = {};
            for (size_t i = 0; i < k; ++i) {
                const float factor = b[column * k + i];
                const float* from = &a[i * m + row];
                if (rows == BLOCK) {
                    for (size_t r = 0; r < BLOCK; ++r) sums[r] += from[r] * factor;
                } else {
                    for (size_t r = 0; r < rows; ++r) sums[r] += from[r] * factor;
                }
            }
            for (size_t r = 0; r < rows; ++r) {
                const size_t place = row + r + column * ld.stride;
                // C is not read where beta is 0
                const float before = beta == 0.0f ? 0.0f : beta * load(from_c, ld.type, place);
                const float bias = product.epilogue == BIAS ? load(product.bias, ld.type, row + r) : 0.0f;
                store(to, ld.type, place, alpha * sums[r] + before + bias);
            }
        }
    }
}

bool fits(const Product& product, const Layout& a, const Layout& b, const Layout& d) {
    const uint64_t m = product.transpose_a ? a.columns : a.rows, k = product.transpose_a ? a.rows : a.columns;
    const uint64_t kb = product.transpose_b ? b.columns : b.rows, n = product.transpose_b ? b.rows : b.columns;
    return m == d.rows && n == d.columns && k == kb && a.stride >= int64_t(a.rows) && b.stride >= int64_t(b.rows) &&
           d.stride >= int64_t(d.rows) && m > 0 && n > 0 && k > 0;
}

}  // namespace

#define API extern "C" __attribute__((visibility("default"))) Status

API cublasLtCreate(void** handle) { return *handle = new char, SUCCESS; }
API cublasLtDestroy(void* handle) { return delete static_cast<char*>(handle), SUCCESS; }
API cublasLtMatrixLayoutCreate(Layout** made, int type, uint64_t rows, uint64_t columns, int64_t stride) {
    return *made = new Layout{type, rows, columns, stride}, SUCCESS;
}
API cublasLtMatrixLayoutDestroy(Layout* layout) { return delete layout, SUCCESS; }
API cublasLtMatmulDescCreate(Product** made, int compute, int scale) {
    return *made = new Product{compute, scale, 0, 0, NONE, nullptr}, SUCCESS;
}
API cublasLtMatmulDescDestroy(Product* product) { return delete product, SUCCESS; }
API cublasLtMatmulDescSetAttribute(Product* product, int attribute, const void* value, size_t size) {
    const auto set = [&](auto& to) {
        if (size != sizeof to) return INVALID_VALUE;
        return memcpy(&to, value, size), SUCCESS;
    };
    switch (attribute) {
        case 3: return set(product->transpose_a);
        case 4: return set(product->transpose_b);
        case 7: return set(product->epilogue);
        case 8: return set(product->bias);
        default: return NOT_SUPPORTED;
    }
}
API cublasLtMatmulPreferenceCreate(Preference** made) { return *made = new Preference, SUCCESS; }
API cublasLtMatmulPreferenceDestroy(Preference* preference) { return delete preference, SUCCESS; }
API cublasLtMatmulPreferenceSetAttribute(Preference* preference, int attribute, const void* value, size_t size) {
    // CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, then _MIN_ALIGNMENT_A_BYTES and what follows it
    if (attribute != 3 && (attribute < 5 || attribute > 8)) return SUCCESS;
    if (size != sizeof(uint32_t)) return INVALID_VALUE;
    if (attribute == 3) return memcpy(&preference->reductions, value, size), SUCCESS;
    return memcpy(&preference->alignments[attribute - 5], value, size), SUCCESS;
}
API cublasLtMatmulAlgoGetHeuristic(void*, const Product* product, const Layout* a, const Layout* b, const Layout*,
                                   const Layout* d, const Preference* preference, int, Heuristic* found, int* count) {
    if (!fits(*product, *a, *b, *d)) return INVALID_VALUE;
    // so that callers see that there may be none: no kernel sums an odd number of products in one piece
    const uint64_t sum = product->transpose_a ? a->rows : a->columns;
    if (preference->reductions == 0 && sum % 2 != 0) return *count = 0, NOT_SUPPORTED;
    *found = {};
    memcpy(found->algorithm.data, preference->alignments, sizeof preference->alignments);
    return *count = 1, SUCCESS;
}
API cublasLtMatmulAlgoCheck(void*, const Product* product, const Layout* a, const Layout* b, const Layout*, const Layout* d,
                            const Algorithm*, Heuristic* found) {
    *found = {};
    return fits(*product, *a, *b, *d) ? SUCCESS : INVALID_VALUE;
}
API cublasLtMatmul(void*, const Product* product, const float* alpha, const void* from_a, const Layout* a,
                   const void* from_b, const Layout* b, const float* beta, const void* from_c, const Layout* c, void* to,
                   const Layout* d, const Algorithm* algorithm, void*, size_t, void* stream) {
    if (!emulator_bound(stream)) return NOT_INITIALIZED;
    const void* addresses[4] = {from_a, from_b, from_c, to};
    for (unsigned i = 0; i < 4; ++i) {
        uint32_t alignment;
        memcpy(&alignment, reinterpret_cast<const char*>(algorithm->data) + 4 * i, 4);
        if (reinterpret_cast<uintptr_t>(addresses[i]) % alignment != 0) {
            fprintf(stderr, "emulator: a product's kernel was chosen for addresses at multiples of %u\n", alignment);
            return EXECUTION_FAILED;
        }
    }
    if (product->epilogue == BIAS && reinterpret_cast<uintptr_t>(product->bias) % 16 != 0) {
        fprintf(stderr, "emulator: a product's bias is not at a multiple of 16 bytes\n");
        return EXECUTION_FAILED;
    }
    if (!fits(*product, *a, *b, *d) || a->type != b->type || memcmp(c, d, sizeof *c) != 0) return INVALID_VALUE;
    const Call call = {*alpha, *beta, *product, *a, *b, *d, from_a, from_b, from_c, to};
    emulator_enqueue(stream, multiply, &call, sizeof call);
    return SUCCESS;
}
