//! Vector code for the CPU kernels: dispatch on what the processor has, a fast exponential, sums.

use std::marker::PhantomData;

use rayon::prelude::*;

use super::device::Threads;

/// Lanes of the unrolled reductions: two AVX2 registers, one of AVX-512.
const LANES: usize = 16;

/// Evaluates an expression compiled for the widest vectors that the processor has.
///
/// Everything that it calls must be inlined into it to take part, hence the `#[inline(always)]` here. A macro, because
/// the closure must be so as well: where the compiler leaves it by itself, it is compiled for the oldest processor.
macro_rules! vectorized {
    ($work:expr) => {
        $crate::kernels::vector::run_vectorized(
            #[inline(always)]
            || $work,
        )
    };
}
pub(crate) use vectorized;

#[inline(always)]
pub(crate) fn run_vectorized<R>(f: impl FnOnce() -> R) -> R {
    struct Run<F>(F);
    impl<R, F: FnOnce() -> R> pulp::NullaryFnOnce for Run<F> {
        type Output = R;
        #[inline(always)]
        fn call(self) -> R {
            (self.0)()
        }
    }
    pulp::Arch::new().dispatch(Run(f))
}

/// Calls `f(i)` for each `i` below `tasks`, on the pool or on this thread.
pub(crate) fn for_each_task(threads: Threads, tasks: usize, f: impl Fn(usize) + Send + Sync) {
    match threads {
        Threads::One => (0..tasks).for_each(f),
        Threads::Pool => (0..tasks).into_par_iter().for_each(f),
    }
}

/// Copies numbers to every `step`th place from the first on: so a row becomes a column.
#[inline(always)]
pub(crate) fn spread(from: &[f32], to: &mut [f32], step: usize) {
    for (to, &from) in to.iter_mut().step_by(step).zip(from) {
        *to = from;
    }
}

/// A pointer that tasks share, each to write a part that no other touches.
#[derive(Clone, Copy)]
pub(crate) struct SharedMut<'a, T>(*mut T, usize, PhantomData<&'a mut [T]>);

// SAFETY: the buffer is borrowed for 'a, and nothing here reads or writes it. What `slice` hands out is used where
// each task promises to keep to a part that no other touches; for T: Send, such parts may be used on other threads.
unsafe impl<T: Send> Send for SharedMut<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedMut<'_, T> {}

impl<'a, T> SharedMut<'a, T> {
    pub(crate) fn new(values: &'a mut [T]) -> Self {
        Self(values.as_mut_ptr(), values.len(), PhantomData)
    }

    /// Elements `start..start + len`.
    ///
    /// # Safety
    /// No two slices in use at the same time overlap.
    pub(crate) unsafe fn slice(&self, start: usize, len: usize) -> &'a mut [T] {
        assert!(start + len <= self.1, "a task's part must lie within the buffer");
        // SAFETY: within the buffer by the assertion; not aliased by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), len) }
    }
}

/// e^x to about 2 units in the last place, for x clamped to [−87, 88].
///
/// x = n ln 2 + f with |f| ≤ ln 2 / 2 (Cody–Waite reduction in two parts), e^f by its Taylor
/// polynomial of degree 6, and 2^n by the exponent's bits.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2^23: adding it rounds to an integer in the low bits
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let f = n * -0.693_145_75 + x;
    let f = n * -1.428_606_8e-6 + f;
    let mut p = f * (1.0 / 720.0) + 1.0 / 120.0;
    p = p * f + 1.0 / 24.0;
    p = p * f + 1.0 / 6.0;
    p = p * f + 0.5;
    p = p * f + 1.0;
    p = p * f + 1.0;
    let exponent = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32).wrapping_add(127);
    f32::from_bits((exponent as u32) << 23) * p
}

/// Σ f(x_i).
#[inline(always)]
pub(crate) fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let mut chunks = x.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane += f(v);
        }
    }
    lanes.iter().sum::<f32>() + chunks.remainder().iter().map(|&v| f(v)).sum::<f32>()
}

/// Σ f(x_i) of both numbers that f gives.
#[inline(always)]
pub(crate) fn sum_both(x: &[f32], f: impl Fn(f32) -> (f32, f32)) -> (f32, f32) {
    let mut lanes = ([0.0; LANES], [0.0; LANES]);
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &v) in chunk.iter().enumerate() {
            let (a, b) = f(v);
            lanes.0[lane] += a;
            lanes.1[lane] += b;
        }
    }
    let rest = rest.iter().fold((0.0, 0.0), |(sum_a, sum_b), &v| {
        let (a, b) = f(v);
        (sum_a + a, sum_b + b)
    });
    (lanes.0.iter().sum::<f32>() + rest.0, lanes.1.iter().sum::<f32>() + rest.1)
}

/// Σ f(x_i, y_i), over the shorter of the two.
#[inline(always)]
pub(crate) fn sum2(x: &[f32], y: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let mut chunks = x.chunks_exact(LANES).zip(y.chunks_exact(LANES));
    let whole = x.len().min(y.len()) / LANES * LANES;
    for (xs, ys) in &mut chunks {
        for ((lane, &a), &b) in lanes.iter_mut().zip(xs).zip(ys) {
            *lane += f(a, b);
        }
    }
    let rest = x[whole..].iter().zip(&y[whole..]).map(|(&a, &b)| f(a, b)).sum::<f32>();
    lanes.iter().sum::<f32>() + rest
}

/// The largest element; −∞ of none.
#[inline(always)]
pub(crate) fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut chunks = x.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane = if v > *lane { v } else { *lane };
        }
    }
    let all = lanes.iter().chain(chunks.remainder());
    all.fold(f32::NEG_INFINITY, |max, &v| if v > max { v } else { max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_over_its_range() {
        for i in -8700..8800 {
            let x = i as f32 / 100.0;
            let exact = f64::from(x).exp();
            let got = f64::from(vectorized!(exp(x)));
            assert!(((got - exact) / exact).abs() < 4e-7, "exp({x}) = {got}, not {exact}");
        }
        assert!(exp(-1e30) > 0.0 && exp(1e30).is_finite());
    }

    #[test]
    fn reductions_cover_the_remainder() {
        for len in [0, 1, 15, 16, 17, 33] {
            let x: Vec<f32> = (0..len).map(|i| i as f32).collect();
            assert_eq!(sum(&x, |v| v), (0..len).sum::<usize>() as f32);
            assert_eq!(sum2(&x, &x, |a, b| a + b), 2.0 * sum(&x, |v| v));
            assert_eq!(sum_both(&x, |v| (v, 3.0 * v)), (sum(&x, |v| v), 3.0 * sum(&x, |v| v)));
            assert_eq!(max(&x), if len == 0 { f32::NEG_INFINITY } else { len as f32 - 1.0 });
        }
    }
}
