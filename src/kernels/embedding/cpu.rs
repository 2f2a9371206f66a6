//! Embedding on the CPU. It copies less than the first norm reads, so one thread does it.

use crate::kernels::{HostNumbers, Threads, bfloat16};

pub(super) fn forward(width: usize, table: HostNumbers<'_>, tokens: &[u32], x: &mut [f32]) {
    for (x, &token) in x.chunks_exact_mut(width).zip(tokens) {
        let row = token as usize * width..(token as usize + 1) * width;
        match table {
            HostNumbers::Float32(table) => x.copy_from_slice(&table[row]),
            HostNumbers::Bfloat16(table) => bfloat16::widen_host(Threads::One, &table[row], x),
        }
    }
}

pub(super) fn backward(width: usize, tokens: &[u32], dx: &[f32], d_table: &mut [f32]) {
    for (dx, &token) in dx.chunks_exact(width).zip(tokens) {
        for (d, &g) in d_table[token as usize * width..][..width].iter_mut().zip(dx) {
            *d += g;
        }
    }
}
