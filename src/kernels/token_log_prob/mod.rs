//! The output layer, softmax, log-probability and entropy of tokens in one op, which holds the logits of no more
//! than a block of tokens. Where those of all tokens are few ([`OutputLayer::keeps`]), the forward pass can keep them
//! for the backward pass, which otherwise computes them again.
//!
//! With z = h W / temperature: log π(y) = z_y − ln Σ e^z and H = ln Σ e^z − Σ π z. Backward, with the
//! gradients a of log π and b of H: dz_j = a (1[j = y] − π_j) − b π_j (z_j − ln Σ e^z + H).

mod cpu;
#[cfg(feature = "cuda")]
pub(super) mod cuda;

use std::ops::Range;

use super::product::{Shape, WeightLayout};
use super::{Device, Indices, KernelError, Numbers, View, ViewMut, dispatch};

/// The output layer's sizes, and the sampling temperature that logits are divided by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutputLayer {
    /// Columns of the hidden states.
    pub width: usize,
    /// Tokens that there are.
    pub vocabulary: usize,
    /// How the weight lies: `InOut` is `[width, vocabulary]`.
    pub layout: WeightLayout,
    /// Logits are divided by it.
    pub temperature: f32,
}

/// Logits kept for the backward pass at most: 64 MiB.
const KEPT: usize = 1 << 24;

impl OutputLayer {
    /// Whether the logits of n tokens are few enough to be kept.
    pub fn keeps(&self, n: usize) -> bool {
        n * self.vocabulary <= KEPT
    }

    fn check(&self, op: &'static str, n: usize, hidden: usize, weight: usize) -> Result<(), KernelError> {
        for (buffer, got, needed) in
            [("hidden", hidden, n * self.width), ("weight", weight, self.width * self.vocabulary)]
        {
            if got != needed {
                return Err(KernelError::Shape { op, buffer, got, needed });
            }
        }
        Ok(())
    }

    /// Of the product of that many rows.
    fn shape(self, rows: usize) -> Shape {
        Shape { rows, inputs: self.width, outputs: self.vocabulary, layout: self.layout }
    }

    fn check_tokens(&self, op: &'static str, targets: &Indices) -> Result<(), KernelError> {
        match targets.first_from(self.vocabulary) {
            Some(token) => Err(KernelError::Token { op, token, vocabulary: self.vocabulary }),
            None => Ok(()),
        }
    }
}

/// `log_prob` and `entropy` `[n]` of the targets `[n]` from hidden states `[n, width]`; `log_sum` `[n]`,
/// which is ln Σ e^z, is kept for the backward pass, and so are the logits `[n, vocabulary]`, not yet divided by the
/// temperature, if there is room for them.
///
/// # Errors
/// If a buffer has another length or a target is not in the vocabulary.
pub fn forward<'a>(
    device: &Device,
    layer: OutputLayer,
    hidden: View<'_>,
    weight: impl Into<Numbers<'a>>,
    targets: &Indices,
    log_prob: ViewMut<'_>,
    entropy: ViewMut<'_>,
    log_sum: ViewMut<'_>,
    logits: Option<ViewMut<'_>>,
) -> Result<(), KernelError> {
    const OP: &str = "token_log_prob";
    let (n, weight) = (targets.len(), weight.into());
    layer.check(OP, n, hidden.len(), weight.len())?;
    log_prob.expect(OP, "log_prob", n)?;
    entropy.expect(OP, "entropy", n)?;
    log_sum.expect(OP, "log_sum", n)?;
    logits.as_ref().map_or(Ok(()), |logits| logits.expect(OP, "logits", n * layer.vocabulary))?;
    layer.check_tokens(OP, targets)?;
    dispatch!(device,
        cpu(threads) => cpu::forward(
            threads, layer, hidden.host(OP)?, weight.host(OP)?, targets.host(),
            log_prob.host(OP)?, entropy.host(OP)?, log_sum.host(OP)?,
            logits.map(|logits| logits.host(OP)).transpose()?,
        ),
        cuda(cuda) => cuda::forward(
            cuda, OP, layer, hidden, weight, targets, (log_prob, entropy, log_sum), logits,
        ),
    )
}

/// `d_hidden` (written) and, where it is wanted, `d_weight` (added to) from the gradients of both results. `logits` are
/// those that the forward pass kept, if it did; their gradient takes their place.
///
/// `groups` cut the n tokens, in order: `d_weight` is summed over each of them by itself and then over them, so that its
/// bits are the same when they come in several calls. A row of `d_hidden` depends on that row alone.
///
/// # Errors
/// If a buffer has another length, a target is not in the vocabulary, or the groups do not hold every token once, in
/// order.
pub fn backward<'a>(
    device: &Device,
    layer: OutputLayer,
    hidden: View<'_>,
    weight: impl Into<Numbers<'a>>,
    targets: &Indices,
    kept: (View<'_>, View<'_>),
    gradients: (View<'_>, View<'_>),
    groups: &[Range<usize>],
    d_hidden: ViewMut<'_>,
    d_weight: Option<ViewMut<'_>>,
    logits: Option<ViewMut<'_>>,
) -> Result<(), KernelError> {
    const OP: &str = "token_log_prob, gradient";
    let (n, weight) = (targets.len(), weight.into());
    let ((entropy, log_sum), (d_log_prob, d_entropy)) = (kept, gradients);
    layer.check(OP, n, hidden.len(), weight.len())?;
    layer.check(OP, n, d_hidden.len(), d_weight.as_ref().map_or(weight.len(), ViewMut::len))?;
    logits.as_ref().map_or(Ok(()), |logits| logits.expect(OP, "logits", n * layer.vocabulary))?;
    for view in [entropy, log_sum, d_log_prob, d_entropy] {
        view.expect(OP, "a number per target", n)?;
    }
    let held = groups.iter().try_fold(0, |held, group| match group.start == held && group.end >= held {
        true => Ok(group.end),
        false => Err(held),
    });
    if held != Ok(n) {
        let (Ok(got) | Err(got)) = held;
        return Err(KernelError::Shape { op: OP, buffer: "groups", got, needed: n });
    }
    layer.check_tokens(OP, targets)?;
    dispatch!(device,
        cpu(threads) => cpu::backward(
            threads, layer, hidden.host(OP)?, weight.host(OP)?, targets.host(),
            (entropy.host(OP)?, log_sum.host(OP)?), (d_log_prob.host(OP)?, d_entropy.host(OP)?),
            groups, d_hidden.host(OP)?, d_weight.map(|d_weight| d_weight.host(OP)).transpose()?,
            logits.map(|logits| logits.host(OP)).transpose()?,
        ),
        cuda(cuda) => cuda::backward(
            cuda, OP, layer, hidden, weight, targets, (entropy, log_sum), (d_log_prob, d_entropy), groups,
            d_hidden, d_weight, logits,
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_values::{assert_close, assert_gradient, uniform, weighted};

    fn run(layer: OutputLayer, hidden: &[f32], weight: &[f32], targets: &[u32]) -> [Vec<f32>; 3] {
        let mut results = [(); 3].map(|()| vec![f32::NAN; targets.len()]);
        let [log_prob, entropy, log_sum] = &mut results;
        let m = ViewMut::Host;
        let (h, w) = (View::Host(hidden), View::Host(weight));
        let t = &Device::cpu().indices(targets).unwrap();
        forward(&Device::cpu(), layer, h, w, t, m(log_prob), m(entropy), m(log_sum), None).unwrap();
        results
    }

    #[test]
    fn agrees_with_the_definition_and_its_gradient_with_differences() {
        // The last has more tokens than a block.
        for (n, width, vocabulary) in [(0, 3, 5), (1, 1, 1), (31, 8, 33), (300, 5, 31), (258, 3, 4100)] {
            for layout in [WeightLayout::InOut, WeightLayout::OutIn] {
                let layer = OutputLayer { width, vocabulary, layout, temperature: 0.7 };
                let (hidden, weight) = (uniform("h", n * width), uniform("w", width * vocabulary));
                let targets: Vec<u32> = (0..n).map(|i| (i * 7 % vocabulary) as u32).collect();
                let kept = run(layer, &hidden, &weight, &targets);
                for (i, &target) in targets.iter().enumerate() {
                    let logit = |v: usize| -> f64 {
                        let w = |c: usize| match layout {
                            WeightLayout::InOut => weight[c * vocabulary + v],
                            WeightLayout::OutIn => weight[v * width + c],
                        };
                        (0..width).map(|c| f64::from(hidden[i * width + c] * w(c))).sum::<f64>() / 0.7
                    };
                    let sum: f64 = (0..vocabulary).map(|v| logit(v).exp()).sum();
                    let log_prob = |v: usize| logit(v) - sum.ln();
                    let entropy: f64 = (0..vocabulary).map(|v| -log_prob(v).exp() * log_prob(v)).sum();
                    let needed = [log_prob(target as usize) as f32, entropy as f32, sum.ln() as f32];
                    assert_close(&[kept[0][i], kept[1][i], kept[2][i]], &needed, 1e-5);
                }

                let (a, b) = (uniform("a", n), uniform("b", n));
                let groups = [0..n / 3, n / 3..n / 3, n / 3..n];
                let (mut dh, mut dw) = (vec![f32::NAN; hidden.len()], vec![0.0; weight.len()]);
                let v = View::Host;
                let (dhv, dwv) = (ViewMut::Host(&mut dh), ViewMut::Host(&mut dw));
                let (kept, gradients) = ((v(&kept[1]), v(&kept[2])), (v(&a), v(&b)));
                backward(
                    &Device::cpu(),
                    layer,
                    v(&hidden),
                    v(&weight),
                    &Device::cpu().indices(&targets).unwrap(),
                    kept,
                    gradients,
                    &groups,
                    dhv,
                    Some(dwv),
                    None,
                )
                .unwrap();
                let mut logits = vec![f32::NAN; n * vocabulary];
                let mut unused = [(); 3].map(|()| vec![0.0; n]);
                let [p, q, r] = &mut unused;
                let (h, w) = (v(&hidden), v(&weight));
                let t = &Device::cpu().indices(&targets).unwrap();
                let (p, q, r) = (ViewMut::Host(p), ViewMut::Host(q), ViewMut::Host(r));
                let kept_logits = Some(ViewMut::Host(&mut logits));
                forward(&Device::cpu(), layer, h, w, t, p, q, r, kept_logits).unwrap();
                let (mut dh2, mut dw2) = (vec![f32::NAN; hidden.len()], vec![0.0; weight.len()]);
                let (dhv, dwv) = (ViewMut::Host(&mut dh2), ViewMut::Host(&mut dw2));
                let kept_logits = Some(ViewMut::Host(&mut logits));
                backward(
                    &Device::cpu(),
                    layer,
                    h,
                    w,
                    t,
                    kept,
                    gradients,
                    &groups,
                    dhv,
                    Some(dwv),
                    kept_logits,
                )
                .unwrap();
                assert_eq!((dh2, dw2), (dh.clone(), dw.clone()), "whether or not logits are kept");
                let (mut dh3, d) = (vec![f32::NAN; hidden.len()], Device::cpu_single_thread());
                backward(&d, layer, h, w, t, kept, gradients, &groups, ViewMut::Host(&mut dh3), None, None)
                    .unwrap();
                assert_eq!(dh3, dh, "whether or not the weight's gradient is wanted");
                let loss = |hidden: &[f32], weight: &[f32]| {
                    let [log_prob, entropy, _] = run(layer, hidden, weight, &targets);
                    weighted(&log_prob, &a) + weighted(&entropy, &b)
                };
                assert_gradient(&hidden, &dh, 5e-3, |h| loss(h, &weight));
                assert_gradient(&weight, &dw, 2e-2, |w| loss(&hidden, w));
            }
        }
    }

    /// Log-probabilities, and the gradients of hidden states and weight, from passes over so many tokens of `n`.
    fn in_passes(layer: OutputLayer, n: usize, passes: &[usize], keep: bool) -> [Vec<f32>; 3] {
        const GROUP: usize = 300;
        let OutputLayer { width, vocabulary, .. } = layer;
        let (hidden, weight) = (uniform("h", n * width), uniform("w", width * vocabulary));
        let targets: Vec<u32> = (0..n).map(|i| (i * 7 % vocabulary) as u32).collect();
        let (a, b) = (uniform("a", n), uniform("b", n));
        let (mut log_probs, mut dh, mut dw) = (vec![], vec![], vec![0.0; weight.len()]);
        let (mut start, v) = (0, View::Host);
        fn m(values: &mut [f32]) -> ViewMut<'_> {
            ViewMut::Host(values)
        }
        for &count in passes {
            let rows = start..start + count;
            let h = &hidden[start * width..rows.end * width];
            let t = &Device::cpu().indices(&targets[rows.clone()]).unwrap();
            let [mut log_prob, mut entropy, mut log_sum] = [(); 3].map(|()| vec![f32::NAN; count]);
            let mut logits = vec![f32::NAN; if keep { count * vocabulary } else { 0 }];
            let (x, y, z) = (m(&mut log_prob), m(&mut entropy), m(&mut log_sum));
            let d = Device::cpu();
            forward(&d, layer, v(h), v(&weight), t, x, y, z, keep.then_some(m(&mut logits))).unwrap();
            let groups: Vec<_> = (0..count).step_by(GROUP).map(|at| at..count.min(at + GROUP)).collect();
            let stats = (View::Host(&entropy[..]), View::Host(&log_sum[..]));
            let gradients = (v(&a[rows.clone()]), v(&b[rows.clone()]));
            let mut d_hidden = vec![f32::NAN; h.len()];
            let (p, q, r) = (m(&mut d_hidden), Some(m(&mut dw)), keep.then_some(m(&mut logits)));
            backward(&d, layer, v(h), v(&weight), t, stats, gradients, &groups, p, q, r).unwrap();
            log_probs.extend(log_prob);
            dh.extend(d_hidden);
            start = rows.end;
        }
        [log_probs, dh, dw]
    }

    #[test]
    fn passes_of_whole_groups_add_up_to_the_same_bits() {
        // 603 tokens are groups of 300, 300 and 3. Blocks of logits are of 256 tokens for the larger vocabularies.
        for (width, vocabulary) in [(8, 33), (600, 50), (5, 4100), (16, 5000)] {
            for layout in [WeightLayout::InOut, WeightLayout::OutIn] {
                let layer = OutputLayer { width, vocabulary, layout, temperature: 0.7 };
                let whole = in_passes(layer, 603, &[603], true);
                for (passes, keep) in
                    [(&[603][..], false), (&[300, 303], true), (&[300, 300, 3], true), (&[600, 3], false)]
                {
                    let parts = in_passes(layer, 603, passes, keep);
                    assert!(parts == whole, "{width} x {vocabulary}, {layout:?}, passes of {passes:?}");
                }
            }
        }
    }

    #[test]
    fn groups_that_leave_out_a_token_are_an_error() {
        let layer = OutputLayer { width: 1, vocabulary: 2, layout: WeightLayout::InOut, temperature: 1.0 };
        let (v, two) = (View::Host, [0.0; 2]);
        for (groups, held) in [(vec![], 0), (vec![[0, 1]], 1), (vec![[0, 1], [0, 2]], 1), (vec![[0, 3]], 3)] {
            let groups: Vec<_> = groups.into_iter().map(|[start, end]| start..end).collect();
            let mut d_hidden = [0.0; 2];
            let (pair, d) = ((v(&two), v(&two)), ViewMut::Host(&mut d_hidden));
            let t = &Device::cpu().indices(&[0, 1]).unwrap();
            let error =
                backward(&Device::cpu(), layer, v(&two), v(&two), t, pair, pair, &groups, d, None, None);
            let message = format!("token_log_prob, gradient: `groups` holds {held} numbers, 2 are needed");
            assert_eq!(error.unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn an_unknown_target_is_an_error() {
        let layer = OutputLayer { width: 1, vocabulary: 2, layout: WeightLayout::InOut, temperature: 1.0 };
        let mut results = [[0.0]; 3];
        let [a, b, c] = &mut results;
        let (h, w) = (View::Host(&[0.0]), View::Host(&[0.0, 0.0]));
        let t = Device::cpu().indices(&[2]).unwrap();
        let m = |x| ViewMut::Host(x);
        let error = forward(&Device::cpu(), layer, h, w, &t, m(a), m(b), m(c), None).unwrap_err();
        assert!(error.to_string().contains("token 2 is not in a vocabulary of 2"));
    }
}
