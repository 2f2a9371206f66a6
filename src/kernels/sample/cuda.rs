//! Drawing tokens on CUDA: a block for each draw, which computes its number of the stream itself.

use cudarc::driver::PushKernelArg;
use cudarc::driver::sys::CUdeviceptr;
use rand_chacha::ChaCha8Rng;

use super::Choice;
use crate::kernels::KernelError;
use crate::kernels::cuda::{Cuda, Source, run};

pub(in crate::kernels) const SOURCE: &Source = &Source { file: "sample.cu", code: include_str!("sample.cu") };

/// Threads of a block: a draw goes over the vocabulary some times.
const fn threads(vocabulary: u32) -> u32 {
    if vocabulary > 4096 { 1024 } else { 256 }
}

/// Numbers that describe a draw: the stream's key, its number, the place in it, and the row of the logits.
pub(crate) const DRAW: usize = 13;

/// The draw of the next number of `rng` for a row. The number is taken out of the stream.
pub(crate) fn describe(rng: &mut ChaCha8Rng, row: usize) -> [u32; DRAW] {
    let halves = |number: u64| [number as u32, (number >> 32) as u32];
    let word = rng.get_word_pos();
    let mut draw = [0; DRAW];
    for (to, key) in draw.iter_mut().zip(rng.get_seed().as_chunks::<4>().0) {
        *to = u32::from_le_bytes(*key);
    }
    draw[8..10].copy_from_slice(&halves(rng.get_stream()));
    draw[10..12].copy_from_slice(&halves(word as u64));
    draw[12] = row as u32;
    rng.set_word_pos(word + 1);
    draw
}

/// Draws `count` tokens and their log-probabilities.
///
/// # Safety
/// The logits have `vocabulary` numbers for each row of the `draws`, which are `count` of [`describe`]'s, and both results
/// have room for `count` numbers. All are memory of the device, borrowed until this returns.
pub(crate) unsafe fn draw(
    cuda: &Cuda,
    choice: Choice,
    vocabulary: usize,
    logits: CUdeviceptr,
    draws: CUdeviceptr,
    (tokens, log_probs): (CUdeviceptr, CUdeviceptr),
    count: usize,
) -> Result<(), KernelError> {
    let Choice { temperature, top_p, top_k } = choice;
    let inverse = 1.0 / temperature;
    let top_k = top_k.map_or(0, |top_k| top_k.get().min(vocabulary)) as u32;
    let vocabulary = vocabulary as u32;
    let kernel = cuda.kernel(SOURCE, "sample_draw")?;
    let mut call = cuda.call(&kernel);
    call.arg(&logits).arg(&draws).arg(&tokens).arg(&log_probs);
    call.arg(&vocabulary).arg(&inverse).arg(&top_p).arg(&top_k);
    // SAFETY: the kernel's arguments; by the caller's promise each block finds its draw and its row, and has a place in
    // the results.
    unsafe { run(call, (count, 1), threads(vocabulary)) }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use cudarc::driver::DevicePtr;
    use rand::RngExt;

    use super::super::draw_each;
    use super::*;
    use crate::data::Seed;
    use crate::kernels::Backend;
    use crate::kernels::cuda::test_device;

    /// Tokens and log-probabilities that CUDA draws, each stream from logits of its own.
    fn on_cuda(cuda: &Cuda, choice: Choice, logits: &[Vec<f32>], rngs: &mut [ChaCha8Rng]) -> Vec<(u32, f32)> {
        let (count, vocabulary) = (rngs.len(), logits[0].len());
        let logits = cuda.numbers(&logits.concat()).unwrap();
        let draws: Vec<u32> = rngs.iter_mut().enumerate().flat_map(|(row, rng)| describe(rng, row)).collect();
        let draws = cuda.numbers(&draws).unwrap();
        let (tokens, log_probs) = (cuda.scratch::<u32>(count).unwrap(), cuda.scratch::<f32>(count).unwrap());
        let stream = cuda.stream();
        let results = (tokens.device_ptr(stream).0, log_probs.device_ptr(stream).0);
        let (logits, draws) = (logits.device_ptr(stream).0, draws.device_ptr(stream).0);
        // SAFETY: the buffers are as long as they must be, and live until this function's end.
        unsafe { draw(cuda, choice, vocabulary, logits, draws, results, count) }.unwrap();
        cuda.read(&tokens).unwrap().into_iter().zip(cuda.read(&log_probs).unwrap()).collect()
    }

    #[test]
    fn both_devices_draw_the_same_from_the_same_stream() {
        let Some(device) = test_device() else { return };
        let Backend::Cuda(cuda) = device.backend() else { unreachable!() };
        let (mut same, mut close) = (0, 0);
        for vocabulary in [1, 2, 31, 33, 300, 5000] {
            for (top_p, top_k) in [(1.0, None), (1.0, Some(7)), (0.9, None), (0.95, Some(128)), (1e-3, None)]
            {
                let choice = Choice { temperature: 0.7, top_p, top_k: top_k.and_then(NonZeroUsize::new) };
                let seed = Seed::root(7).child("draws").index(vocabulary as u64);
                let mut rng = seed.rng();
                let rows = 40;
                // every third row has weights that are equal, or that are nothing
                let logits: Vec<Vec<f32>> = (0..rows)
                    .map(|row| {
                        let number = |_| match row % 3 {
                            0 => (rng.random_range(0..4) as f32) * if row % 2 == 0 { 0.5 } else { 30.0 },
                            _ => rng.random_range(-4.0..4.0),
                        };
                        (0..vocabulary).map(number).collect()
                    })
                    .collect();
                let mut streams: Vec<ChaCha8Rng> = (0..rows).map(|row| seed.index(row).rng()).collect();
                // streams that have come far, over the bound of a block
                for (row, stream) in streams.iter_mut().enumerate() {
                    stream.set_word_pos(13 + row as u128 + if row % 5 == 0 { 1 << 40 } else { 0 });
                }
                let mut on_host = streams.clone();
                let got = on_cuda(cuda, choice, &logits, &mut streams);
                assert_eq!(
                    streams,
                    on_host
                        .iter_mut()
                        .map(|rng| {
                            let _ = rng.random::<f32>();
                            rng.clone()
                        })
                        .collect::<Vec<_>>()
                );
                for (row, ((token, log_prob), logits)) in got.into_iter().zip(logits).enumerate() {
                    let place = on_host[row].get_word_pos();
                    on_host[row].set_word_pos(place - 1);
                    let drawn = draw_each(choice, &mut logits.clone(), [&mut on_host[row]])[0];
                    let case = format!("{vocabulary} tokens, top-p {top_p}, top-k {top_k:?}, row {row}");
                    if token != drawn.token {
                        // sums of thousands of weights in f32 may fall a token short of, or beyond, the exact ones
                        let apart = between(choice, &logits, token, drawn.token);
                        assert!(apart < 1e-5, "{case}: {token}, not {}, {apart} apart", drawn.token);
                        close += 1;
                        continue;
                    }
                    same += 1;
                    let exact = drawn.log_prob;
                    assert!((log_prob - exact).abs() < 1e-5, "{case}: {log_prob}, not {exact}");
                }
            }
        }
        assert!(close * 50 < same, "{close} of {same} were another token");
    }

    /// How much of all probability lies between two tokens, in the order in which they are drawn from.
    fn between(choice: Choice, logits: &[f32], a: u32, b: u32) -> f64 {
        let weights: Vec<f64> =
            logits.iter().map(|&z| (f64::from(z) / f64::from(choice.temperature)).exp()).collect();
        let mut order: Vec<usize> = (0..logits.len()).collect();
        if choice.top_p < 1.0 || choice.top_k.is_some() {
            order.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]).then(a.cmp(&b)));
        }
        let place = |token: u32| order.iter().position(|&t| t == token as usize).unwrap();
        let (first, last) = (place(a).min(place(b)), place(a).max(place(b)));
        let mass: f64 = order[first + 1..last].iter().map(|&token| weights[token]).sum();
        mass / weights.iter().sum::<f64>()
    }
}
