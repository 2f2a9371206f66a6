// The tensor cores' product of bfloat16 matrices, as sm_80 and later have it, and what feeds it.
//
// Of a 16 x 16 matrix A, a lane L holds with g = L / 4 and t = L % 4, two neighbours in a register, the first in the low
// half: rows g and g + 8 at columns 2t and 2t + 1, then the same rows at columns 2t + 8 and 2t + 9. Of a 16 x 8 matrix B:
// column g at rows 2t, 2t + 1 and 2t + 8, 2t + 9. Of a 16 x 8 result: row g at columns 2t and 2t + 1, then row g + 8.
#pragma once

#include "bfloat16.cuh"

// Two numbers in a register, the first in the low half.
__device__ __forceinline__ unsigned packed(float low, float high) {
#ifdef PSPO_EMULATED
    bfloat16 pair[2];
    put(pair, low), put(pair + 1, high);
    return pair[0].bits | unsigned(pair[1].bits) << 16;
#else
    unsigned bits;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
    return bits;
#endif
}

// sums += a b. All lanes take part.
__device__ __forceinline__ void multiply_add(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#ifdef PSPO_EMULATED
    emulator_multiply_add(sums, a, b);
#else
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// Four 8 x 8 matrices from shared memory. Lane L gives row L % 8 of matrix L / 8, 16 aligned bytes; register m gets of
// matrix m row g at columns 2t and 2t + 1; transposed, column g at rows 2t and 2t + 1. All lanes take part.
__device__ __forceinline__ void load_matrices(unsigned (&to)[4], const bfloat16* row) {
#ifdef PSPO_EMULATED
    emulator_load_matrices(to, row, false);
#else
    const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
#endif
}
__device__ __forceinline__ void load_transposed(unsigned (&to)[4], const bfloat16* row) {
#ifdef PSPO_EMULATED
    emulator_load_matrices(to, row, true);
#else
    const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
#endif
}

// Begins to copy 16 aligned bytes to shared memory, or zeros. They are there for the thread after `arrived`, and for its
// block after a barrier behind that.
__device__ __forceinline__ void begin_copy(bfloat16* to, const bfloat16* from, bool there) {
#ifdef PSPO_EMULATED
    emulator_begin_copy(to, from, there);
#else
    const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(to));
    const unsigned bytes = there ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(bytes) : "memory");
#endif
}
// Ends a group of copies.
__device__ __forceinline__ void end_copies() {
#ifdef PSPO_EMULATED
    emulator_end_copies();
#else
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
// Waits for all groups of copies but the last GROUPS.
template <int GROUPS>
__device__ __forceinline__ void arrived() {
#ifdef PSPO_EMULATED
    emulator_arrived(GROUPS);
#else
    asm volatile("cp.async.wait_group %0;" ::"n"(GROUPS) : "memory");
#endif
}
