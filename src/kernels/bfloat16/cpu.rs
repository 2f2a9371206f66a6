//! bfloat16 on the CPU: shifts by half a word, which the compiler makes vectors of.

use half::bf16;

use crate::kernels::Threads;
use crate::kernels::vector::{SharedMut, for_each_task, vectorized};

/// Numbers of one task.
const TASK: usize = 1 << 14;

/// Rounds, as [`super::round`].
pub(crate) fn round_host(threads: Threads, from: &[f32], to: &mut [bf16]) {
    each(threads, from, to, round);
}

/// Widens, as [`super::widen`].
pub(crate) fn widen_host(threads: Threads, from: &[bf16], to: &mut [f32]) {
    each(threads, from, to, widen);
}

/// Adding 0x7fff, and 1 more if the kept half is odd, carries into it where what is cut is more than half, or is half
/// of an odd one. A NaN could carry into an infinity, so it gets the quiet bit instead.
#[inline(always)]
fn round(number: f32) -> bf16 {
    let bits = number.to_bits();
    let rounded = (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16;
    let quiet = (bits >> 16) as u16 | 0x40;
    bf16::from_bits(if number.is_nan() { quiet } else { rounded })
}

#[inline(always)]
fn widen(number: bf16) -> f32 {
    f32::from_bits(u32::from(number.to_bits()) << 16)
}

#[inline(always)]
fn each<A: Copy + Sync, B: Copy + Send + Sync>(
    threads: Threads,
    from: &[A],
    to: &mut [B],
    number: impl Fn(A) -> B + Copy + Send + Sync,
) {
    assert_eq!(from.len(), to.len(), "as many numbers of both");
    let (len, to) = (from.len(), SharedMut::new(to));
    for_each_task(threads, len.div_ceil(TASK), |task| {
        let range = task * TASK..len.min((task + 1) * TASK);
        // SAFETY: each task has numbers of its own.
        let to = unsafe { to.slice(range.start, range.len()) };
        let from = &from[range];
        vectorized!(to.iter_mut().zip(from).for_each(|(to, &from)| *to = number(from)));
    });
}
