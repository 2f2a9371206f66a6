//! The innermost product: a few rows by [`PANEL`] columns, whose sums stay in registers.

use pulp::{Arch, Simd, WithSimd};

/// Columns of a tile: one register of AVX-512, two of AVX2, four of NEON.
pub(crate) const PANEL: usize = 16;
/// Rows of a tile at most: with 16 registers those of AVX2 hold six rows of sums, with 32 those of AVX-512 twelve.
pub(crate) const ROWS: usize = 12;

/// Work that is made of tiles.
pub(crate) trait Tiled {
    /// What it gives.
    type Output;

    /// Does it with `V` registers to a row of a tile, and at most `most` rows in one. Everything that it calls must be
    /// inlined into it, or it is compiled for the oldest processor.
    fn run<S: Simd, const V: usize>(self, simd: S, most: usize) -> Self::Output;
}

/// Does work with the widest vectors that the processor has.
pub(crate) fn tiled<T: Tiled>(work: T) -> T::Output {
    struct Run<T>(T);
    impl<T: Tiled> WithSimd for Run<T> {
        type Output = T::Output;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> T::Output {
            match S::F32_LANES {
                16 => self.0.run::<S, 1>(simd, ROWS),
                8 => self.0.run::<S, 2>(simd, ROWS / 2),
                4 => self.0.run::<S, 4>(simd, ROWS / 2),
                _ => self.0.run::<S, PANEL>(simd, 1),
            }
        }
    }
    Arch::new().dispatch(Run(work))
}

/// The left matrix of a tile: its first element, and how far apart rows and inputs are.
#[derive(Clone, Copy)]
pub(crate) struct Left {
    pub(crate) data: *const f32,
    pub(crate) row: usize,
    pub(crate) input: usize,
}

/// The right matrix of a tile: its first element, and how far apart inputs are; columns follow one another.
#[derive(Clone, Copy)]
pub(crate) struct Right {
    pub(crate) data: *const f32,
    pub(crate) input: usize,
}

/// sums += A B: one multiplication and addition after another, in the order of the inputs.
///
/// # Safety
/// `R` rows of `depth` inputs of A and `depth` rows of [`PANEL`] columns of B, by their distances, lie within live
/// memory that nothing writes meanwhile.
#[inline(always)]
pub(crate) unsafe fn multiply<S: Simd, const R: usize, const V: usize>(
    simd: S,
    depth: usize,
    a: Left,
    b: Right,
    sums: &mut [[f32; PANEL]; R],
) {
    assert_eq!(V * S::F32_LANES, PANEL, "the registers of a row hold a panel's columns");
    let mut lanes = [[simd.splat_f32s(0.0); V]; R];
    for (lanes, sums) in lanes.iter_mut().zip(&*sums) {
        lanes.copy_from_slice(S::as_simd_f32s(sums).0);
    }
    for input in 0..depth {
        // SAFETY: the caller vouches for the PANEL numbers of a row of B, which by the assertion are V vectors.
        let w = unsafe { b.data.add(input * b.input).cast::<[S::f32s; V]>().read_unaligned() };
        for (r, lanes) in lanes.iter_mut().enumerate() {
            // SAFETY: the caller vouches for A.
            let x = simd.splat_f32s(unsafe { *a.data.add(r * a.row + input * a.input) });
            for (lane, w) in lanes.iter_mut().zip(w) {
                *lane = simd.mul_add_e_f32s(x, w, *lane);
            }
        }
    }
    for (lanes, sums) in lanes.iter().zip(sums) {
        S::as_mut_simd_f32s(sums).0.copy_from_slice(lanes);
    }
}

/// The right matrix of a tile in bfloat16: each word holds a column's numbers of two inputs, the first in its lower half.
/// So the words of a pair of inputs are loaded as numbers of one are, and each half is one instruction away from f32.
#[derive(Clone, Copy)]
pub(crate) struct Pairs {
    pub(crate) data: *const u32,
    /// How far apart pairs are.
    pub(crate) pair: usize,
}

/// [`multiply`] with a right matrix in bfloat16: the same sums in the same order.
///
/// # Safety
/// As for [`multiply`], with `depth / 2` rows of [`PANEL`] words of B, one more where `depth` is odd.
#[inline(always)]
pub(crate) unsafe fn multiply_pairs<S: Simd, const R: usize, const V: usize>(
    simd: S,
    depth: usize,
    a: Left,
    b: Pairs,
    sums: &mut [[f32; PANEL]; R],
) {
    assert_eq!(V * S::F32_LANES, PANEL, "the registers of a row hold a panel's columns");
    let mut lanes = [[simd.splat_f32s(0.0); V]; R];
    for (lanes, sums) in lanes.iter_mut().zip(&*sums) {
        lanes.copy_from_slice(S::as_simd_f32s(sums).0);
    }
    let (half, upper) = (simd.splat_u32s(16), simd.splat_u32s(0xffff_0000));
    let first = |word| simd.transmute_f32s_u32s(simd.wrapping_dyn_shl_u32s(word, half));
    let second = |word| simd.transmute_f32s_u32s(simd.and_u32s(word, upper));
    // SAFETY: the caller vouches for the PANEL words of a pair, which by the assertion are V vectors.
    let words = |pair: usize| unsafe { b.data.add(pair * b.pair).cast::<[S::u32s; V]>().read_unaligned() };
    let mut add = |input: usize, w: [S::f32s; V]| {
        for (r, lanes) in lanes.iter_mut().enumerate() {
            // SAFETY: the caller vouches for A.
            let x = simd.splat_f32s(unsafe { *a.data.add(r * a.row + input * a.input) });
            for (lane, w) in lanes.iter_mut().zip(w) {
                *lane = simd.mul_add_e_f32s(x, w, *lane);
            }
        }
    };
    for pair in 0..depth / 2 {
        let words = words(pair);
        add(2 * pair, words.map(first));
        add(2 * pair + 1, words.map(second));
    }
    if depth % 2 == 1 {
        add(depth - 1, words(depth / 2).map(first));
    }
    for (lanes, sums) in lanes.iter().zip(sums) {
        S::as_mut_simd_f32s(sums).0.copy_from_slice(lanes);
    }
}

/// Evaluates an expression with a constant that is the number of rows, of 1 to [`ROWS`].
macro_rules! with_rows {
    ($rows:expr, $R:ident => $work:expr) => {{
        macro_rules! arm {
            ($n:literal) => {{
                const $R: usize = $n;
                $work
            }};
        }
        match $rows {
            1 => arm!(1),
            2 => arm!(2),
            3 => arm!(3),
            4 => arm!(4),
            5 => arm!(5),
            6 => arm!(6),
            7 => arm!(7),
            8 => arm!(8),
            9 => arm!(9),
            10 => arm!(10),
            11 => arm!(11),
            rows => {
                debug_assert_eq!(rows, $crate::kernels::product::ROWS);
                arm!(12)
            }
        }
    }};
}
pub(crate) use with_rows;
