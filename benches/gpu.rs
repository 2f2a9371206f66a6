//! Training steps and decoding in bfloat16 on a CUDA device, beside its own measured rates.
//!
//! ```text
//! cargo bench --features cuda --bench gpu -- [--rounds 5] [--quick]
//! ```
//!
//! Prints a JSON object a line: the device's bfloat16 matrix rate and copy bandwidth; for the shapes of SmolLM2 135M and
//! Qwen2.5-Coder 0.5B a training step on rows of 1,024 tokens, with the share of the matrix rate that its model operations
//! come to; and decoding of 1, 32, 256 and 1,024 rows, with the share of the bandwidth that reading weights, keys and values
//! comes to. Times are medians. `--quick` runs the same on a tiny shape, to see that it runs.

use std::time::Instant;

use half::bf16;
use pspo::data::numbers::Temperature;
use pspo::data::{Seed, Sequence};
use pspo::kernels::product::{self, Shape, WeightLayout};
use pspo::kernels::{Buffer, Device, KernelError};
use pspo::model::tensor::{SumTo, vector};
use pspo::model::{AdamW, AdamWConfig, Arch, Batch, Dims, Policy, Precision, Tokenizer, backward};
use pspo::pretrained::presets::{Qwen25Coder05B, SmolLm2135M};
use pspo::rollouts::{Sampling, sample};
use serde_json::json;

#[path = "side_by_side/shapes.rs"]
#[allow(dead_code)] // shapes of the CPU's comparisons
mod shapes;

use shapes::Operations;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

pspo::arch! {
    struct Tiny {
        name: "tiny", vocabulary: 96, width: 64, layers: 2, heads: 2, kv_heads: 1, head_size: 32, hidden: 80,
        positions: 256,
    }
}

/// How much is measured.
struct Scale {
    rounds: usize,
    matrix: usize,
    copied: usize,
    rows: usize,
    len: usize,
    decoded: &'static [usize],
    steps: usize,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let device = match Device::named("cuda:0") {
        Ok(device) => device,
        Err(why) => {
            println!("skipped: no CUDA device ({why})");
            return Ok(());
        }
    };
    let after =
        |name| arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1));
    let rounds = after("--rounds").map_or(Ok(5), |rounds| rounds.parse())?;
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let scale = if quick {
        Scale { rounds: 1, matrix: 64, copied: 1 << 16, rows: 2, len: 100, decoded: &[1, 3], steps: 3 }
    } else {
        let decoded = &[1, 32, 256, 1024];
        Scale { rounds, matrix: 8192, copied: 1 << 30, rows: 16, len: 1024, decoded, steps: 64 }
    };
    let rate = matrix_rate(&device, &scale)?;
    let bandwidth = bandwidth(&device, &scale)?;
    println!("{}", json!({"bf16_matrix_rate": rate, "copy_bandwidth": bandwidth}));
    if quick {
        return measure::<Tiny>(&device, &scale, rate, bandwidth);
    }
    measure::<SmolLm2135M>(&device, &scale, rate, bandwidth)?;
    measure::<Qwen25Coder05B>(&device, &scale, rate, bandwidth)
}

/// The median of the seconds that `work` takes, after one round that warms up.
fn seconds(rounds: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    work()?;
    let mut all = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begun = Instant::now();
        work()?;
        all.push(begun.elapsed().as_secs_f64());
    }
    all.sort_by(f64::total_cmp);
    Ok(all[all.len() / 2])
}

/// Waits until all that was queued is done.
fn wait(device: &Device, buffer: &Buffer) -> std::result::Result<(), KernelError> {
    device.download(buffer.slice(0..1)).map(|_| ())
}

/// Operations per second of a large product in bfloat16.
fn matrix_rate(device: &Device, scale: &Scale) -> Result<f64> {
    const TIMES: usize = 10;
    let n = scale.matrix;
    let (x, w): (Buffer<bf16>, Buffer<bf16>) = (device.zeros(n * n)?, device.zeros(n * n)?);
    let (mut y, one): (Buffer<bf16>, Buffer) = (device.zeros(n * n)?, device.zeros(1)?);
    let shape = Shape { rows: n, inputs: n, outputs: n, layout: WeightLayout::InOut };
    let time = seconds(scale.rounds, || {
        for _ in 0..TIMES {
            product::forward(device, shape, x.view(), w.view(), y.view_mut(), false)?;
        }
        Ok(wait(device, &one)?)
    })?;
    Ok(2.0 * (n as f64).powi(3) * TIMES as f64 / time)
}

/// Bytes read and written per second by a copy.
fn bandwidth(device: &Device, scale: &Scale) -> Result<f64> {
    const TIMES: usize = 10;
    let count = scale.copied / size_of::<f32>();
    let (from, mut to): (Buffer, Buffer) = (device.zeros(count)?, device.zeros(count)?);
    let time = seconds(scale.rounds, || {
        for _ in 0..TIMES {
            device.copy(from.view(), to.view_mut())?;
        }
        Ok(wait(device, &to)?)
    })?;
    Ok((2 * scale.copied * TIMES) as f64 / time)
}

fn measure<A: Arch>(device: &Device, scale: &Scale, rate: f64, bandwidth: f64) -> Result<()> {
    let policy = Policy::<A>::random(device, Seed::root(1))?.in_precision(Precision::Bfloat16)?;
    step(policy.fork(), scale, rate)?;
    scale.decoded.iter().try_for_each(|&rows| decode(&policy, scale, rows, bandwidth))
}

/// A training step: log-probabilities of all tokens but the first, a loss, its gradient, AdamW.
fn step<A: Arch>(mut policy: Policy<A>, scale: &Scale, rate: f64) -> Result<()> {
    const SAMPLED_AT: Temperature = Temperature::new(1.0);
    let (rows, len, vocabulary) = (scale.rows, scale.len, A::DIMS.vocabulary as u32);
    let token = |place: usize| (place * place * 7 + place) as u32 % vocabulary;
    let row = |row: usize| Sequence {
        prompt: vec![token(row)],
        response: (1..len).map(|place| token(row + 31 * place)).collect(),
    };
    let sequences: Vec<Sequence> = (0..rows).map(row).collect();
    let batch = Batch::responses(&A::DIMS, &sequences)?;
    let weights = vector(vec![-1.0 / (rows * (len - 1)) as f32; rows * (len - 1)]);
    let mut optimizer = AdamW::new(AdamWConfig::default(), &mut policy)?;
    let time = seconds(scale.rounds, || {
        let out = policy.log_probs(&batch, SAMPLED_AT)?;
        backward((out.log_probs * weights.clone()).sum())?;
        optimizer.step(&mut policy, 1e-5)?;
        Ok(())
    })?;
    let operations = Operations(A::DIMS).training(rows, len, len - 1);
    let line = json!({
        "training_step": A::NAME, "rows": rows, "len": len, "seconds": time,
        "tokens_per_second": (rows * len) as f64 / time, "of_matrix_rate": operations / time / rate,
    });
    println!("{line}");
    Ok(())
}

/// Bytes that a step of decoding must read: the weights, and keys and values of rows of `len` tokens.
fn bytes(dims: &Dims, rows: usize, len: usize) -> f64 {
    let operations = Operations(*dims);
    let weights = operations.layer_weights() + operations.output_weights();
    let cached = rows * len * 2 * dims.layers * dims.kv_heads * dims.head_size;
    2.0 * (weights + cached as f64)
}

/// Responses to as many prompts as there are rows. What comes before the first step and after the last is left out by
/// sampling short ones and longer ones. An untrained policy hardly ever draws the end.
fn decode<A: Arch>(policy: &Policy<A>, scale: &Scale, rows: usize, bandwidth: f64) -> Result<()> {
    const SAMPLED_AT: Temperature = Temperature::new(1.0);
    let tokenizer = Tokenizer::train(["x"], 257)?;
    let len = 64.min(scale.len);
    let prompt = |row: usize| (0..len).map(|place| ((row + 31 * place) % 96) as u32).collect();
    let prompts: Vec<Vec<u32>> = (0..rows).map(prompt).collect();
    let time = |steps: usize| {
        let sampling = Sampling::training(SAMPLED_AT, steps.try_into()?);
        seconds(scale.rounds, || {
            sample(policy, &tokenizer, &prompts, 1, &sampling, Seed::root(2))?;
            Ok(())
        })
    };
    let (few, many) = (time(scale.steps)?, time(2 * scale.steps)?);
    let (time, steps) = (many - few, scale.steps as f64);
    let line = json!({
        "decoding": A::NAME, "rows": rows, "prompt": len, "from_step": scale.steps, "steps": scale.steps,
        "seconds_per_step": time / steps, "tokens_per_second": rows as f64 * steps / time,
        "of_bandwidth": bytes(&A::DIMS, rows, len + scale.steps * 3 / 2) * steps / time / bandwidth,
        "tokens_per_second_in_all": rows as f64 * 2.0 * steps / many,
    });
    println!("{line}");
    Ok(())
}
