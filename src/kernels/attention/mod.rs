//! Causal attention with grouped queries over packed rows of different lengths.
//!
//! For query i of a row and each head: s_j = q_i · k_j / √d over the keys j ≤ i of the same row,
//! p = softmax(s), o_i = Σ_j p_j v_j. Heads h·g … h·g + g − 1 share key/value head h (Ainslie et al.,
//! 2023). Only ln Σ e^s is kept for the backward pass, which computes p again (Dao et al., 2022), so
//! memory grows linearly with the number of tokens.

mod cpu;
#[cfg(feature = "cuda")]
pub(super) mod cuda;
mod decode;
#[cfg(feature = "cuda")]
pub(super) mod mma;
#[cfg(feature = "cuda")]
pub(crate) mod pages;
#[cfg(feature = "cuda")]
pub(super) mod pages_mma;
mod rows;

use super::{Device, KernelError, Numbers, NumbersMut, View, ViewMut, dispatch};

pub(crate) use decode::{BLOCK, Cached, decode};
pub use rows::Rows;

/// The heads of an attention layer. Each row of `qkv` holds the queries of all heads, then the keys,
/// then the values of all key/value heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub queries: usize,
    /// Key/value heads, a divisor of the query heads.
    pub keys: usize,
    /// Numbers per head.
    pub size: usize,
}

impl Heads {
    /// Width of a row of `qkv`.
    pub const fn qkv_width(&self) -> usize {
        (self.queries + 2 * self.keys) * self.size
    }

    /// Width of a row of the result.
    pub const fn out_width(&self) -> usize {
        self.queries * self.size
    }

    /// Query heads per key/value head.
    pub const fn group(&self) -> usize {
        self.queries / self.keys
    }

    fn scale(&self) -> f32 {
        1.0 / (self.size as f32).sqrt()
    }
}

/// out `[n, queries · size]` from qkv `[n, qkv_width]`, in which `rows` lie; `log_sum` `[n, queries]` is kept for the backward pass.
///
/// # Errors
/// If a buffer has another length.
pub fn forward<'a, 'o>(
    device: &Device,
    heads: Heads,
    rows: &Rows,
    qkv: impl Into<Numbers<'a>>,
    out: impl Into<NumbersMut<'o>>,
    log_sum: ViewMut<'_>,
) -> Result<(), KernelError> {
    const OP: &str = "attention";
    let (qkv, out) = (qkv.into(), out.into());
    let n = rows.tokens();
    qkv.expect(OP, "qkv", n * heads.qkv_width())?;
    out.expect(OP, "out", n * heads.out_width())?;
    log_sum.expect(OP, "log_sum", n * heads.queries)?;
    dispatch!(device,
        cpu(threads) => {
            let rows = rows.ranges();
            cpu::forward(threads, heads, &rows, qkv.float32(OP)?, out.host(OP)?, log_sum.host(OP)?)
        },
        cuda(cuda) => cuda::forward(cuda, OP, heads, rows, qkv, out, log_sum),
    )
}

/// The gradient of qkv, written to `d_qkv`, from `d_out` and what [`forward`] read and wrote:
/// dv_j = Σ p_ij do_i; ds_ij = p_ij (do_i · v_j − do_i · o_i) / √d; dq_i = Σ ds_ij k_j; dk_j = Σ ds_ij q_i.
///
/// # Errors
/// If a buffer has another length.
pub fn backward<'a, 'd>(
    device: &Device,
    heads: Heads,
    rows: &Rows,
    qkv: impl Into<Numbers<'a>>,
    out: impl Into<Numbers<'a>>,
    log_sum: View<'_>,
    d_out: impl Into<Numbers<'a>>,
    d_qkv: impl Into<NumbersMut<'d>>,
) -> Result<(), KernelError> {
    const OP: &str = "attention, gradient";
    let (qkv, out, d_out, d_qkv) = (qkv.into(), out.into(), d_out.into(), d_qkv.into());
    let n = rows.tokens();
    qkv.expect(OP, "qkv", n * heads.qkv_width())?;
    out.expect(OP, "out", n * heads.out_width())?;
    log_sum.expect(OP, "log_sum", n * heads.queries)?;
    d_out.expect(OP, "d_out", out.len())?;
    d_qkv.expect(OP, "d_qkv", qkv.len())?;
    dispatch!(device,
        cpu(threads) => cpu::backward(
            threads, heads, &rows.ranges(), qkv.float32(OP)?, out.float32(OP)?, log_sum.host(OP)?, d_out.float32(OP)?,
            d_qkv.host(OP)?,
        ),
        cuda(cuda) => cuda::backward(cuda, OP, heads, rows, qkv, out, log_sum, d_out, d_qkv),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_values::{assert_close, assert_gradient, uniform, weighted};

    fn offsets(lengths: &[usize]) -> Vec<u32> {
        let ends = lengths.iter().scan(0, |end, len| {
            *end += *len as u32;
            Some(*end)
        });
        std::iter::once(0).chain(ends).collect()
    }

    fn run(heads: Heads, offsets: &[u32], qkv: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let n = qkv.len() / heads.qkv_width();
        let (mut out, mut log_sum) =
            (vec![f32::NAN; n * heads.out_width()], vec![f32::NAN; n * heads.queries]);
        let (o, l) = (ViewMut::Host(&mut out), ViewMut::Host(&mut log_sum));
        let rows = Rows::new(&Device::cpu(), offsets).unwrap();
        forward(&Device::cpu(), heads, &rows, View::Host(qkv), o, l).unwrap();
        (out, log_sum)
    }

    fn exact(heads: Heads, offsets: &[u32], qkv: &[f32]) -> Vec<f32> {
        let Heads { queries, keys, size } = heads;
        let width = heads.qkv_width();
        let mut out = Vec::new();
        for pair in offsets.windows(2) {
            for i in pair[0] as usize..pair[1] as usize {
                for h in 0..queries {
                    let q = &qkv[i * width + h * size..][..size];
                    let key = |j: usize| &qkv[j * width + (queries + h / heads.group()) * size..][..size];
                    let value =
                        |j: usize| &qkv[j * width + (queries + keys + h / heads.group()) * size..][..size];
                    let s: Vec<f64> =
                        (pair[0] as usize..=i).map(|j| weighted(q, key(j)) / (size as f64).sqrt()).collect();
                    let z: f64 = s.iter().map(|s| s.exp()).sum();
                    for c in 0..size {
                        let o: f64 = s
                            .iter()
                            .enumerate()
                            .map(|(j, s)| s.exp() / z * f64::from(value(pair[0] as usize + j)[c]))
                            .sum();
                        out.push(o as f32);
                    }
                }
            }
        }
        out
    }

    const SHAPES: [Heads; 3] = [
        Heads { queries: 1, keys: 1, size: 2 },
        Heads { queries: 4, keys: 2, size: 6 },
        Heads { queries: 3, keys: 1, size: 16 },
    ];
    const LENGTHS: [&[usize]; 5] = [&[], &[1], &[0, 3, 0, 1], &[31, 1, 33], &[2, 130, 5]];

    #[test]
    fn agrees_with_the_definition() {
        for heads in SHAPES {
            for lengths in LENGTHS {
                let offsets = offsets(lengths);
                let qkv = uniform("qkv", lengths.iter().sum::<usize>() * heads.qkv_width());
                assert_close(&run(heads, &offsets, &qkv).0, &exact(heads, &offsets, &qkv), 1e-5);
            }
        }
    }

    #[test]
    fn its_gradient_agrees_with_differences() {
        for heads in SHAPES {
            for lengths in LENGTHS {
                let offsets = offsets(lengths);
                let qkv = uniform("qkv", lengths.iter().sum::<usize>() * heads.qkv_width());
                let (out, log_sum) = run(heads, &offsets, &qkv);
                let d_out = uniform("d_out", out.len());
                let mut d_qkv = vec![f32::NAN; qkv.len()];
                let v = View::Host;
                let d = ViewMut::Host(&mut d_qkv);
                backward(
                    &Device::cpu(),
                    heads,
                    &Rows::new(&Device::cpu(), &offsets).unwrap(),
                    v(&qkv),
                    v(&out),
                    v(&log_sum),
                    v(&d_out),
                    d,
                )
                .unwrap();
                assert!(d_qkv.iter().all(|d| d.is_finite()), "every element is written");
                assert_gradient(&qkv, &d_qkv, 5e-3, |x| weighted(&run(heads, &offsets, x).0, &d_out));
            }
        }
    }

    #[test]
    fn nothing_leaks_between_rows_or_backwards_in_time() {
        let heads = SHAPES[1];
        let width = heads.qkv_width();
        let offsets = offsets(&[5, 7, 3]);
        let qkv = uniform("qkv", 15 * width);
        let before = run(heads, &offsets, &qkv).0;
        let mut changed = qkv.clone();
        changed[9 * width..10 * width].fill(3.0); // token 4 of the second row
        let after = run(heads, &offsets, &changed).0;
        let out = heads.out_width();
        assert_eq!(before[..9 * out], after[..9 * out]);
        assert_ne!(before[9 * out..12 * out], after[9 * out..12 * out]);
        assert_eq!(before[12 * out..], after[12 * out..]);
    }
}
