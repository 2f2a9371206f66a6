// CUDA C++ as the kernels use it, for g++. Included before a kernel's source by nvrtc.cpp.
#pragma once

#include "emulator.h"

#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#define PSPO_EMULATED 1
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __shared__ static
#define __align__(n) __attribute__((aligned(n)))
// what is left of `__global__` when nvrtc.cpp looks for the kernels
#define __global__ EMULATOR_GLOBAL

inline void __syncthreads() { emulator_sync_threads(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { emulator_exchange(mask, "", 1); }

inline unsigned emulator_lane() { return threadIdx.x % 32; }

template <typename T>
T emulator_shuffle(unsigned mask, T value, unsigned from) {
    const unsigned char* shown = emulator_exchange(mask, &value, sizeof(T));
    T got;
    memcpy(&got, shown + from % 32 * SLOT, sizeof(T));
    return got;
}
template <typename T>
T __shfl_sync(unsigned mask, T value, int from) {
    return emulator_shuffle(mask, value, from);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int other) {
    return emulator_shuffle(mask, value, emulator_lane() ^ other);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned by) {
    return emulator_shuffle(mask, value, emulator_lane() < by ? emulator_lane() : emulator_lane() - by);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
    const unsigned char* shown = emulator_exchange(mask, &predicate, sizeof(int));
    unsigned ballot = 0;
    for (unsigned lane = 0; lane < 32; ++lane) {
        int value;
        memcpy(&value, shown + lane * SLOT, sizeof(int));
        ballot |= (value != 0) << lane;
    }
    return ballot;
}

template <typename T>
T __ldg(const T* pointer) { return *pointer; }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline unsigned __float_as_uint(float x) { unsigned bits; memcpy(&bits, &x, 4); return bits; }
inline float __uint_as_float(unsigned bits) { float x; memcpy(&x, &bits, 4); return x; }
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline unsigned __umulhi(unsigned a, unsigned b) { return (uint64_t(a) * b) >> 32; }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return static_cast<unsigned long long>((static_cast<unsigned __int128>(a) * b) >> 64);
}
// threads change at barriers and collectives alone
template <typename T>
T atomicAdd(T* to, T value) {
    const T before = *to;
    *to += value;
    return before;
}

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// CUDA's min and max of two integers of one type, and fminf's meaning for floats
template <typename T>
constexpr T min(T a, T b) { return b < a ? b : a; }
template <typename T>
constexpr T max(T a, T b) { return a < b ? b : a; }

// What cuda/tensor.cuh asks of the tensor cores, with the layouts that it tells.
inline float emulator_half(unsigned packed, unsigned half) {
    return __uint_as_float((half == 0 ? packed << 16 : packed & 0xffff0000u));
}
inline void emulator_multiply_add(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    unsigned mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
    const unsigned char* shown = emulator_exchange(0xffffffffu, mine, sizeof mine);
    const auto at = [&](unsigned lane, unsigned number) {
        unsigned value;
        memcpy(&value, shown + lane * SLOT + 4 * number, 4);
        return value;
    };
    const unsigned group = emulator_lane() / 4, pair = emulator_lane() % 4 * 2;
    for (unsigned i = 0; i < 4; ++i) {
        const unsigned row = group + i / 2 * 8, column = pair + i % 2;
        for (unsigned k = 0; k < 16; ++k) {
            const unsigned from_a = at(row % 8 * 4 + k % 8 / 2, row / 8 + k / 8 * 2);
            const unsigned from_b = at(column * 4 + k % 8 / 2, 4 + k / 8);
            sums[i] += emulator_half(from_a, k % 2) * emulator_half(from_b, k % 2);
        }
    }
}
inline void emulator_load_matrices(unsigned (&to)[4], const void* row, bool transposed) {
    if (reinterpret_cast<uintptr_t>(row) % 16 != 0) emulator_fail("a row of a matrix that is not aligned");
    const unsigned char* shown = emulator_exchange(0xffffffffu, &row, sizeof row);
    const unsigned group = emulator_lane() / 4, pair = emulator_lane() % 4 * 2;
    for (unsigned matrix = 0; matrix < 4; ++matrix) {
        const auto at = [&](unsigned of_row, unsigned column) {
            const uint16_t* numbers;
            memcpy(&numbers, shown + (matrix * 8 + of_row) * SLOT, sizeof numbers);
            return unsigned(numbers[column]);
        };
        to[matrix] = transposed ? at(pair, group) | at(pair + 1, group) << 16 : at(group, pair) | at(group, pair + 1) << 16;
    }
}

// Copies of 16 bytes that are on their way: what they bring is there once it has been waited for, and NaNs until then.
struct EmulatorCopies {
    struct Copy {
        void* to;
        const void* from;
        bool there;
    };
    unsigned long long block = 0;
    std::vector<std::vector<Copy>> groups;  // the last one is open
};
inline EmulatorCopies& emulator_copies() {
    static EmulatorCopies all[1024];
    EmulatorCopies& own = all[threadIdx.x];
    if (own.block != emulator_block()) own = {emulator_block(), {{}}};
    return own;
}
inline void emulator_begin_copy(void* to, const void* from, bool there) {
    if (reinterpret_cast<uintptr_t>(to) % 16 != 0 || reinterpret_cast<uintptr_t>(from) % 16 != 0) {
        emulator_fail("a copy of 16 bytes that is not aligned");
    }
    memset(to, 0xff, 16);
    emulator_copies().groups.back().push_back({to, from, there});
}
inline void emulator_end_copies() { emulator_copies().groups.emplace_back(); }
inline void emulator_arrived(size_t on_their_way) {
    auto& groups = emulator_copies().groups;
    while (groups.size() > on_their_way + 1) {
        for (const auto& [to, from, there] : groups.front()) there ? memcpy(to, from, 16) : memset(to, 0, 16);
        groups.erase(groups.begin());
    }
}

// How a call reaches a kernel: its arguments as the driver gets them, or a copy of them, 16 bytes apart.
template <typename... Arguments, size_t... Place>
void emulator_call(void (*kernel)(Arguments...), void** given, std::index_sequence<Place...>) {
    kernel(*static_cast<Arguments*>(given[Place])...);
}
template <typename... Arguments>
void emulator_call(void (*kernel)(Arguments...), void** given) {
    emulator_call(kernel, given, std::index_sequence_for<Arguments...>());
}
template <typename... Arguments>
size_t emulator_copy(void (*)(Arguments...), void** given, unsigned char* copy) {
    static_assert(((sizeof(Arguments) <= 16) && ...));
    if (copy != nullptr) {
        size_t place = 0;
        ((memcpy(copy + 16 * place, given[place], sizeof(Arguments)), ++place), ...);
    }
    return 16 * sizeof...(Arguments);
}
