//! Log-probabilities and entropies on CUDA: the logits of a block of tokens at a time, each token a block of threads.

use std::ops::Range;

use cudarc::driver::{CudaSlice, DevicePtr, PushKernelArg};
use half::bf16;

use super::OutputLayer;
use crate::kernels::cuda::{Cuda, Pointer, Source, run};
use crate::kernels::product::cuda as product;
use crate::kernels::{Indices, KernelError, Numbers, NumbersMut, View, ViewMut};

pub(in crate::kernels) const SOURCE: &Source =
    &Source { file: "token_log_prob.cu", code: include_str!("token_log_prob.cu") };

const THREADS: u32 = 256;
/// Logits held at once where they are not kept, 256 MiB; or those of [`FEWEST`] tokens.
const HELD: usize = 1 << 26;
/// Tokens of a block at least: a product of fewer rows leaves a part of a large device idle.
const FEWEST: usize = 512;
/// And at most.
const MOST: usize = 8192;

/// Tokens of a block: by the vocabulary alone, so that a group's sums are the same in all runs.
fn block(vocabulary: usize) -> usize {
    (HELD / vocabulary.max(1)).clamp(FEWEST, MOST)
}

/// Where logits are: the caller's, of all tokens, or room for a block of them.
struct Logits {
    first: Pointer,
    all: bool,
    _held: Option<CudaSlice<f32>>,
}

impl Logits {
    fn new(
        cuda: &Cuda,
        op: &'static str,
        kept: Option<ViewMut<'_>>,
        block: usize,
        vocabulary: usize,
    ) -> Result<Self, KernelError> {
        if let Some(kept) = kept {
            return Ok(Self { first: NumbersMut::from(kept).pointer(op, cuda)?, all: true, _held: None });
        }
        let held = cuda.scratch::<f32>((block * vocabulary).max(1))?;
        let first = Pointer { address: held.device_ptr(cuda.stream()).0, bfloat16: false };
        Ok(Self { first, all: false, _held: Some(held) })
    }
}

pub(super) fn forward(
    cuda: &Cuda,
    op: &'static str,
    layer: OutputLayer,
    hidden: View<'_>,
    weight: Numbers<'_>,
    targets: &Indices,
    (log_prob, entropy, log_sum): (ViewMut<'_>, ViewMut<'_>, ViewMut<'_>),
    kept: Option<ViewMut<'_>>,
) -> Result<(), KernelError> {
    let OutputLayer { width, vocabulary, temperature, .. } = layer;
    let (mut log_prob, mut entropy) = (log_prob.cuda(op, cuda)?, entropy.cuda(op, cuda)?);
    let (n, mut log_sum, indices) = (targets.len(), log_sum.cuda(op, cuda)?, targets.cuda(op, cuda)?);
    let (hidden, weight) = (Numbers::from(hidden).pointer(op, cuda)?, weight.pointer(op, cuda)?);
    // Where all logits are kept, there is room for all at once.
    let block = if kept.is_some() { n.max(1) } else { block(vocabulary) };
    let logits = Logits::new(cuda, op, kept, block.min(n), vocabulary)?;
    let kernel = cuda.kernel(SOURCE, "token_log_prob_forward")?;
    let inverse = 1.0 / temperature;
    for start in (0..n).step_by(block) {
        let end = n.min(start + block);
        let (shape, z) = (layer.shape(end - start), logits.first);
        // SAFETY: the op has checked hidden states and weight against the layer, and there is room for the logits of the
        // block, which nothing else uses.
        unsafe { product::forward_at(cuda, shape, hidden.from(start * width), weight, z, false) }?;
        let (mut log_prob, mut entropy) = (log_prob.slice_mut(start..end), entropy.slice_mut(start..end));
        let (mut log_sum, indices) = (log_sum.slice_mut(start..end), indices.slice(start..end));
        let mut call = cuda.call(&kernel);
        call.arg(&z.address).arg(&indices).arg(&mut log_prob).arg(&mut entropy).arg(&mut log_sum);
        call.arg(&vocabulary).arg(&inverse);
        // SAFETY: the kernel's arguments; each of the block's tokens has a block of threads, a row of z and one number of
        // each of the others, and the op has checked the targets against the vocabulary.
        unsafe { run(call, (end - start, 1), THREADS) }?;
    }
    Ok(())
}

pub(super) fn backward(
    cuda: &Cuda,
    op: &'static str,
    layer: OutputLayer,
    hidden: View<'_>,
    weight: Numbers<'_>,
    targets: &Indices,
    (entropy, log_sum): (View<'_>, View<'_>),
    (d_log_prob, d_entropy): (View<'_>, View<'_>),
    groups: &[Range<usize>],
    d_hidden: ViewMut<'_>,
    d_weight: Option<ViewMut<'_>>,
    kept: Option<ViewMut<'_>>,
) -> Result<(), KernelError> {
    let OutputLayer { width, vocabulary, temperature, .. } = layer;
    let (hidden, weight) = (Numbers::from(hidden).pointer(op, cuda)?, weight.pointer(op, cuda)?);
    let d_hidden = NumbersMut::from(d_hidden).pointer(op, cuda)?;
    let d_weight = d_weight.map(|d_weight| NumbersMut::from(d_weight).pointer(op, cuda)).transpose()?;
    let (entropy, log_sum) = (entropy.cuda(op, cuda)?, log_sum.cuda(op, cuda)?);
    let (d_log_prob, d_entropy) = (d_log_prob.cuda(op, cuda)?, d_entropy.cuda(op, cuda)?);
    let (n, indices, block) = (targets.len(), targets.cuda(op, cuda)?, block(vocabulary));
    let logits = Logits::new(cuda, op, kept, block.min(n), vocabulary)?;
    // the gradient of the logits, in the precision in which it is multiplied: in float in their place
    let longest = groups.iter().map(Range::len).max().unwrap_or(0).min(block);
    let rounded = match weight.bfloat16 {
        true => Some(cuda.scratch::<bf16>((longest * vocabulary).max(1))?),
        false => None,
    };
    let name = weight.pick(["token_log_prob_backward_float32", "token_log_prob_backward_bfloat16"]);
    let kernel = cuda.kernel(SOURCE, name)?;
    let inverse = 1.0 / temperature;
    let blocks = groups
        .iter()
        .flat_map(|group| group.clone().step_by(block).map(move |start| start..group.end.min(start + block)));
    for Range { start, end } in blocks {
        let (shape, hidden) = (layer.shape(end - start), hidden.from(start * width));
        let z = if logits.all { logits.first.from(start * vocabulary) } else { logits.first };
        if !logits.all {
            // SAFETY: as in the forward pass.
            unsafe { product::forward_at(cuda, shape, hidden, weight, z, false) }?;
        }
        let dz = rounded
            .as_ref()
            .map_or(z, |rounded| Pointer { address: rounded.device_ptr(cuda.stream()).0, bfloat16: true });
        let (indices, entropy) = (indices.slice(start..end), entropy.slice(start..end));
        let (log_sum, d_log_prob) = (log_sum.slice(start..end), d_log_prob.slice(start..end));
        let d_entropy = d_entropy.slice(start..end);
        let mut call = cuda.call(&kernel);
        call.arg(&z.address).arg(&dz.address).arg(&indices).arg(&entropy).arg(&log_sum);
        call.arg(&d_log_prob).arg(&d_entropy).arg(&vocabulary).arg(&inverse);
        // SAFETY: as in the forward pass; dz is z, or has room for the longest block.
        unsafe { run(call, (end - start, 1), THREADS) }?;
        // SAFETY: as above; the op has checked both gradients' lengths as well.
        unsafe {
            product::backward_input_at(cuda, shape, dz, weight, d_hidden.from(start * width), false)?;
            if let Some(d_weight) = d_weight {
                product::backward_weight_at(cuda, shape, hidden, dz, d_weight)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{OutputLayer, backward, forward};
    use crate::kernels::product::WeightLayout;
    use crate::kernels::test_values::{activation_of, poisoned, twins, uniform, wide};
    use crate::kernels::{Buffer, ViewMut};

    #[test]
    fn both_devices_agree_with_logits_kept_and_without() {
        for (n, width, vocabulary) in [(0, 3, 5), (1, 1, 1), (33, 16, 31), (7, 8, 300), (1100, 4, 33)] {
            for (layout, keep, bfloat16) in [
                (WeightLayout::InOut, true, false),
                (WeightLayout::OutIn, false, false),
                (WeightLayout::OutIn, false, true),
                (WeightLayout::InOut, true, true),
            ] {
                let layer = OutputLayer { width, vocabulary, layout, temperature: 0.7 };
                // logits of some 50, of which the last bit is 4e-6; in bfloat16 each term of a gradient is some 4e-3 off,
                // and there are as many as tokens or as tokens of the vocabulary
                let gradient = if bfloat16 { 4e-3 * (n.max(vocabulary).max(9) as f32).sqrt() } else { 1e-4 };
                twins([2e-5, 2e-5, 1e-5, gradient, gradient], |device| {
                    let scaled = |name, len| {
                        let values: Vec<f32> = uniform(name, len).iter().map(|x| 3.0 * x).collect();
                        activation_of(device, bfloat16, &values)
                    };
                    let (hidden, weight) =
                        (wide(device, scaled("hidden", n * width)?)?, scaled("weight", width * vocabulary)?);
                    let tokens: Vec<u32> = (0..n as u32).map(|i| i * 7 % vocabulary as u32).collect();
                    let targets = device.indices(&tokens)?;
                    let mut results = [poisoned(device, n)?, poisoned(device, n)?, poisoned(device, n)?];
                    let mut logits = keep.then(|| poisoned(device, n * vocabulary)).transpose()?;
                    let [log_prob, entropy, log_sum] = &mut results;
                    let views = (log_prob.view_mut(), entropy.view_mut(), log_sum.view_mut());
                    let kept = logits.as_mut().map(Buffer::view_mut);
                    forward(
                        device,
                        layer,
                        hidden.view(),
                        weight.numbers(),
                        &targets,
                        views.0,
                        views.1,
                        views.2,
                        kept,
                    )?;
                    let (d_log_prob, d_entropy) =
                        (device.upload(&uniform("a", n))?, device.upload(&uniform("b", n))?);
                    let (mut d_hidden, mut d_weight) =
                        (poisoned(device, n * width)?, device.upload(&vec![1.0; width * vocabulary])?);
                    let kept: Option<ViewMut<'_>> = logits.as_mut().map(Buffer::view_mut);
                    backward(
                        device,
                        layer,
                        hidden.view(),
                        weight.numbers(),
                        &targets,
                        (entropy.view(), log_sum.view()),
                        (d_log_prob.view(), d_entropy.view()),
                        &[0..n / 3, n / 3..n],
                        d_hidden.view_mut(),
                        Some(d_weight.view_mut()),
                        kept,
                    )?;
                    let [log_prob, entropy, log_sum] = results;
                    Ok([log_prob, entropy, log_sum, d_hidden, d_weight])
                });
            }
        }
    }
}
