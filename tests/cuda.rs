//! Models on a CUDA device: the same numbers as on the CPU, whatever is trained of them and however it is held. Skipped
//! where there is no such device.
#![cfg(feature = "cuda")]

use std::num::NonZeroUsize;

use pspo::data::numbers::{LearningRate, LoraAlpha, Temperature, TopP};
use pspo::data::{Problem, ProblemSet, Seed, Sequence, Task, TestCase};
use pspo::kernels::{Device, KernelError};
use pspo::model::decode::Row;
use pspo::model::tensor::{SumTo, vector};
use pspo::model::{
    AdamW, AdamWConfig, Arch, Batch, Lora, Policy, Precision, Projection, ScalarModel, Tokenizer, Tuning,
    backward, init,
};
use pspo::plugin::{Outcome, Submission, Verdict, verifier_fn};
use pspo::rollouts::{Sampling, sample};
use pspo::sft::{Sft, SftConfig};
use pspo::steps::Lines;
use pspo::trainer::events::{Events, Recorder, metrics};
use pspo::trainer::{PpoConfig, Stage, Trainer};
use pspo::value::FromPolicy;

pspo::arch! {
    struct Grouped {
        name: "grouped", vocabulary: 300, width: 48, layers: 3, heads: 3, kv_heads: 1, head_size: 16, hidden: 80,
        positions: 200,
    }
}

pspo::arch! {
    struct Tied {
        name: "tied", vocabulary: 130, width: 40, layers: 2, heads: 2, kv_heads: 2, head_size: 20, hidden: 33,
        positions: 200, tied: true, qkv_bias: true,
    }
}

const HOT: Temperature = Temperature::new(0.8);

fn cuda() -> Option<Device> {
    match Device::cuda(0) {
        Ok(device) => Some(device),
        Err(
            why @ (KernelError::MissingLibrary { .. }
            | KernelError::NoDevice { .. }
            | KernelError::OldDriver { .. }),
        ) => {
            println!("skipped: no CUDA device ({why})");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Rows of many lengths, one of them longer than a tile of attention.
fn rows(vocabulary: u32) -> Vec<Sequence> {
    let tokens = |from: u32, len: u32| (from..from + len).map(|i| (i * i * 5 + i * 3) % vocabulary).collect();
    let row = |prompt, response| Sequence {
        prompt: tokens(prompt, prompt),
        response: tokens(response + 7, response),
    };
    vec![row(3, 4), row(1, 1), row(2, 0), row(60, 75), row(2, 31)]
}

fn lora() -> Tuning {
    let (rank, alpha) = (NonZeroUsize::new(3).unwrap(), LoraAlpha::new(4.5));
    Tuning::Lora(Lora { rank, alpha, targets: Projection::ALL.into_iter().collect() })
}

/// What a training comes to.
#[derive(Debug)]
struct Trained {
    log_probs: Vec<f32>,
    entropy: Vec<f32>,
    gradient: Vec<f32>,
    after: Vec<f32>,
}

fn train<A: Arch>(device: &Device, precision: Precision, tuning: &Tuning, recompute: bool) -> Trained {
    let parameters = init::random(A::DIMS.policy_layout(), A::DIMS.layers, Seed::root(1));
    let policy = Policy::<A>::new(device, &parameters).unwrap().in_precision(precision).unwrap();
    let mut policy = policy.tuned(tuning, Seed::root(2)).unwrap();
    let mut trained = policy.trained().unwrap();
    // so that biases, norms and adapters count
    for (place, value) in trained.values_mut().iter_mut().enumerate() {
        *value += 0.05 * (place as f32).sin();
    }
    policy.set_trained(&trained).unwrap();
    policy.set_recompute(recompute);
    let batch = Batch::responses(&A::DIMS, &rows(A::DIMS.vocabulary as u32)).unwrap();
    let n = batch.scored().values().len();
    let (a, b): (Vec<f32>, Vec<f32>) =
        (0..n).map(|i| ((i as f32).sin() / n as f32, (i as f32).cos() / n as f32)).unzip();
    let pass = |policy: &Policy<A>| {
        let out = policy.log_probs(&batch, HOT).unwrap();
        backward((out.log_probs * vector(a.clone()) + out.entropy * vector(b.clone())).sum()).unwrap();
    };
    let before = policy.log_probs_no_grad(&batch, HOT).unwrap();
    pass(&policy);
    let gradient = policy.gradient().unwrap();
    let mut optimizer = AdamW::new(AdamWConfig::default(), &mut policy).unwrap();
    optimizer.step(&mut policy, 1e-3).unwrap();
    for _ in 0..2 {
        pass(&policy);
        optimizer.step(&mut policy, 1e-3).unwrap();
    }
    let after = policy.log_probs_no_grad(&batch, HOT).unwrap().log_probs;
    Trained { log_probs: before.log_probs, entropy: before.entropy, gradient, after }
}

/// Relative to the root mean square of what is exact.
#[track_caller]
fn assert_near(what: &str, got: &[f32], exact: &[f32], tolerance: f64) {
    assert_eq!(got.len(), exact.len());
    let square = |x: f32| f64::from(x).powi(2);
    let size = exact.iter().copied().map(square).sum::<f64>().sqrt();
    let off = got.iter().zip(exact).map(|(g, e)| square(g - e)).sum::<f64>().sqrt();
    assert!(off <= tolerance * size, "{what}: off by {off:.3e} of {size:.3e}, more than {tolerance}");
}

fn agree<A: Arch>(precision: Precision, tuning: &Tuning, recompute: bool, tolerance: f64) {
    let Some(cuda) = cuda() else { return };
    let got = train::<A>(&cuda, precision, tuning, recompute);
    let exact = train::<A>(&Device::cpu(), precision, tuning, recompute);
    assert_near("log-probabilities", &got.log_probs, &exact.log_probs, tolerance);
    assert_near("entropy", &got.entropy, &exact.entropy, tolerance);
    assert_near("gradient", &got.gradient, &exact.gradient, 10.0 * tolerance);
    assert_near("log-probabilities after three updates", &got.after, &exact.after, 10.0 * tolerance);
    let again = train::<A>(&cuda, precision, tuning, recompute);
    assert_eq!(format!("{got:?}"), format!("{again:?}"), "the same bits on every run");
}

#[test]
fn a_policy_trains_as_on_the_cpu() {
    agree::<Grouped>(Precision::Float32, &Tuning::Full, false, 2e-5);
    agree::<Tied>(Precision::Float32, &Tuning::Full, true, 2e-5);
}

#[test]
fn adapters_and_upper_layers_train_as_on_the_cpu() {
    agree::<Tied>(Precision::Float32, &lora(), false, 2e-5);
    let upper = Tuning::UpperLayers { layers: NonZeroUsize::new(1).unwrap() };
    agree::<Grouped>(Precision::Float32, &upper, false, 2e-5);
}

#[test]
fn in_bfloat16_as_well() {
    // activations are rounded to 8 bits where products read them
    agree::<Grouped>(Precision::Bfloat16, &Tuning::Full, false, 1e-2);
    agree::<Tied>(Precision::Bfloat16, &lora(), true, 1e-2);
}

#[test]
fn a_scalar_model_has_the_same_values_and_gradient() {
    let Some(cuda) = cuda() else { return };
    let parameters = init::random(Grouped::DIMS.scalar_layout(), 3, Seed::root(2));
    let rows = rows(300);
    let run = |device: &Device| {
        let model = ScalarModel::<Grouped>::new(device, &parameters).unwrap();
        let batch = Batch::at(&Grouped::DIMS, [(&rows[0], &[1, 3][..]), (&rows[3], &[0, 74][..])]).unwrap();
        let target = vector(vec![0.5, -1.0, 0.25, 1.0]);
        backward((model.values(&batch).unwrap() - target).square().sum()).unwrap();
        (model.values_no_grad(&batch).unwrap(), model.gradient().unwrap(), model.parameters().unwrap())
    };
    let (got, exact) = (run(&cuda), run(&Device::cpu()));
    assert_near("values", &got.0, &exact.0, 2e-5);
    assert_near("gradient", &got.1, &exact.1, 2e-4);
    assert_eq!(got.2.values(), exact.2.values(), "parameters come back as they went");
}

pspo::arch! {
    /// More query heads to a key head than a block attends for, and rows of several splits.
    struct Long {
        name: "long", vocabulary: 50, width: 324, layers: 2, heads: 9, kv_heads: 1, head_size: 36, hidden: 20,
        positions: 700,
    }
}

/// Logits of rows that share prefixes, part and go on, over the bounds of pages and splits; step by step.
fn decode<A: Arch>(
    device: &Device,
    precision: Precision,
    tuning: &Tuning,
    rows_alone: bool,
) -> Vec<Vec<f32>> {
    let dims = &A::DIMS;
    let policy = Policy::<A>::random(device, Seed::root(4)).unwrap().in_precision(precision).unwrap();
    let mut policy = policy.tuned(tuning, Seed::root(5)).unwrap();
    let mut trained = policy.trained().unwrap();
    for (place, value) in trained.values_mut().iter_mut().enumerate() {
        *value += 0.05 * (place as f32).sin();
    }
    policy.set_trained(&trained).unwrap();
    let mut decoder = policy.decoder().unwrap();
    let vocabulary = dims.vocabulary as u32;
    let tokens = |from: usize, len: usize| -> Vec<u32> {
        (from..from + len).map(|i| (i * i * 5 + i * 3) as u32 % vocabulary).collect()
    };
    let longest = dims.positions - 60;
    let prompts = [tokens(1, 5), tokens(2, longest), tokens(3, 32), tokens(4, 1)];
    let prefixes: Vec<_> = if rows_alone {
        prompts.iter().flat_map(|prompt| decoder.prefill(&[prompt]).unwrap()).collect()
    } else {
        decoder.prefill(&prompts.each_ref().map(Vec::as_slice)).unwrap()
    };
    // (prefix, tokens shared): from the end, from within, from nothing, several from one
    let forks = [(0, 5), (1, longest), (1, 30), (2, 32), (2, 31), (3, 1), (3, 0), (1, longest - 7)];
    let mut rows: Vec<Row> =
        forks.map(|(prefix, shared)| Row::fork(dims, prefixes[prefix].clone(), shared, 50)).into();
    let mut all = Vec::new();
    for step in 0..40 {
        if step == 3 {
            // a row parts from another in the middle of a page
            let parted = rows[0].clone();
            rows.push(parted);
        }
        let next: Vec<u32> = (0..rows.len()).map(|row| (row * 11 + step * 7) as u32 % vocabulary).collect();
        let mut logits = Vec::new();
        if rows_alone {
            for (row, &token) in rows.iter_mut().zip(&next) {
                logits.extend(decoder.step(&mut [row], &[token]).unwrap().to_vec());
            }
        } else {
            logits.extend(decoder.step(&mut rows.iter_mut().collect::<Vec<_>>(), &next).unwrap().to_vec());
        }
        all.push(logits);
    }
    all
}

fn decoding_agrees<A: Arch>(precision: Precision, tuning: &Tuning, tolerance: f64) {
    let Some(cuda) = cuda() else { return };
    let got = decode::<A>(&cuda, precision, tuning, false);
    let exact = decode::<A>(&Device::cpu(), precision, tuning, false);
    for (step, (got, exact)) in got.iter().zip(&exact).enumerate() {
        assert_near(&format!("logits of step {step}"), got, exact, tolerance);
    }
    let bits = |steps: Vec<Vec<f32>>| -> Vec<u32> { steps.into_iter().flatten().map(f32::to_bits).collect() };
    assert!(
        bits(got) == bits(decode::<A>(&cuda, precision, tuning, true)),
        "the same bits alone and together"
    );
}

#[test]
fn decoding_agrees_with_the_cpu() {
    decoding_agrees::<Grouped>(Precision::Float32, &Tuning::Full, 2e-5);
    decoding_agrees::<Tied>(Precision::Float32, &lora(), 2e-5);
    decoding_agrees::<Long>(Precision::Float32, &Tuning::Full, 2e-5);
}

#[test]
fn decoding_in_bfloat16_agrees_with_the_cpu() {
    decoding_agrees::<Tied>(Precision::Bfloat16, &Tuning::Full, 2e-2);
    decoding_agrees::<Grouped>(Precision::Bfloat16, &lora(), 2e-2);
    decoding_agrees::<Long>(Precision::Bfloat16, &Tuning::Full, 2e-2);
}

#[test]
fn a_row_of_another_device_or_precision_is_an_error() {
    let Some(cuda) = cuda() else { return };
    let policy = |device: &Device| Policy::<Tied>::random(device, Seed::root(1)).unwrap();
    let (here, there) = (policy(&cuda), policy(&Device::cpu()));
    let rounded = here.in_precision(Precision::Bfloat16).unwrap();
    let of = |policy: &Policy<Tied>| {
        let prefix = policy.decoder().unwrap().prefill(&[&[1, 2]]).unwrap().remove(0);
        Row::fork(&Tied::DIMS, prefix, 2, 5)
    };
    for (policy, mut row) in [(&here, of(&there)), (&there, of(&here)), (&rounded, of(&here))] {
        let error = policy.decoder().unwrap().step(&mut [&mut row], &[1]).unwrap_err().to_string();
        assert!(error.contains("another device"), "{error}");
    }
    let error = here.decoder().unwrap().step(&mut [&mut of(&here)], &[130]).unwrap_err().to_string();
    assert!(error.contains("token 130 is not in a vocabulary of 130"), "{error}");
}

#[test]
fn both_devices_sample_the_same_responses() {
    let Some(cuda) = cuda() else { return };
    let tokenizer = Tokenizer::train(["x"], 257).unwrap();
    let sampling = |top_p, top_k| Sampling {
        top_p,
        top_k: NonZeroUsize::new(top_k),
        max_new_tokens: NonZeroUsize::new(40).unwrap(),
        stop: vec!["e".into()],
        ..Sampling::default()
    };
    let prompts: Vec<Vec<u32>> =
        (0..12).map(|prompt| vec![1 + prompt % 7; 1 + prompt as usize * 5]).collect();
    for sampling in [sampling(TopP::new(1.0), 0), sampling(TopP::new(0.9), 20)] {
        let responses = |device: &Device, prompts: &[Vec<u32>]| {
            let policy = Policy::<Grouped>::random(device, Seed::root(1)).unwrap();
            sample(&policy, &tokenizer, prompts, 4, &sampling, Seed::root(2)).unwrap()
        };
        let (got, exact) = (responses(&cuda, &prompts), responses(&Device::cpu(), &prompts));
        let same = got.iter().zip(&exact).filter(|(got, exact)| got.sequence == exact.sequence).count();
        // a number of a stream may fall just where two tokens meet
        assert!(same >= 47, "{same} of 48 are the same");
        for (got, exact) in got.iter().zip(&exact).filter(|(got, exact)| got.sequence == exact.sequence) {
            assert_near("log-probabilities", &got.log_probs, &exact.log_probs, 2e-5);
        }
        assert_eq!(responses(&cuda, &prompts[..2]), got[..8], "whatever is sampled beside them");
    }
}

/// Says what becomes of a device, for the test that runs this one alone.
#[test]
fn probe() {
    match Device::cuda(0) {
        Err(error) => println!("no device: {error}"),
        Ok(device) => match device.zeros::<f32>(1 << 22) {
            Err(error) => println!("no memory: {error}"),
            Ok(_) => println!("a device with room"),
        },
    }
}

#[test]
fn what_is_missing_is_told() {
    if std::env::var_os("EMULATOR_HOME").is_none() {
        println!("skipped: nothing is missing on demand but on the emulated device");
        return;
    }
    for (name, value, message) in [
        ("EMULATOR_DEVICES", "1", "a device with room"),
        ("EMULATOR_DEVICES", "0", "no device: there is no device `cuda:0`: the driver finds 0"),
        (
            "EMULATOR_DRIVER",
            "12080",
            "the driver supports CUDA 12.8, and 13.0 is needed: install NVIDIA's driver",
        ),
        ("EMULATOR_MEMORY", "40000000", "no memory: the device has no room for 16777216 bytes more"),
        ("LD_LIBRARY_PATH", "/nowhere", "the CUDA driver (libcuda) was not found: install NVIDIA's driver"),
    ] {
        let probe = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "probe", "--nocapture"])
            .env(name, value)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&probe.stdout);
        assert!(told.contains(message), "{name}={value}: {told}");
    }
}

pspo::arch! {
    struct Small {
        name: "small", vocabulary: 280, width: 32, layers: 1, heads: 2, kv_heads: 1, head_size: 16, hidden: 48,
        positions: 64,
    }
}

/// SFT, then PPO, on a device: a trainer whose policy answers with one of four letters and is rewarded for one of them.
fn ppo(device: &Device, precision: Precision, tuning: Tuning, iterations: usize) -> Trainer<Small> {
    let problem = |id: usize| Problem {
        id: format!("p{id}"),
        prompt: format!("say {}:", ["one", "two", "three"][id % 3]),
        task: Task::Code,
        tests: vec![TestCase::Assert { code: "x".into(), calls: vec![] }],
        held_out_tests: vec![],
        matching: Default::default(),
        solution: None,
        metadata: Default::default(),
    };
    let problems = ProblemSet::new((0..6).map(problem)).unwrap();
    let prompts: Vec<String> = problems.iter().map(|problem| problem.prompt.clone()).collect();
    let tokenizer = Tokenizer::train(prompts.iter(), 280).unwrap();
    let example =
        |i: usize| tokenizer.example(&prompts[i % 3], &format!("{}\n", ["a", "b", "x", "y"][i % 4]));
    let examples = (0..96).map(|i| example(i).unwrap()).collect();
    let (steps, batch) = (40, NonZeroUsize::new(24).unwrap());
    let sft =
        SftConfig { steps, batch, learning_rate: LearningRate::new(1e-2), warmup: 5, ..SftConfig::default() };
    let policy = Policy::<Small>::random(device, Seed::root(1)).unwrap();
    let mut sft = Sft::new(sft, policy, examples, Seed::root(2)).unwrap();
    while !sft.is_done() {
        sft.step().unwrap();
    }
    let policy = sft.into_policy().in_precision(precision).unwrap();
    let mut config = PpoConfig {
        iterations,
        prompts: 6.try_into().unwrap(),
        responses: 8.try_into().unwrap(),
        tuning,
        ..PpoConfig::default()
    };
    config.sampling.max_new_tokens = 6.try_into().unwrap();
    config.update.policy_learning_rate = LearningRate::new(5e-3);
    config.update.critic_learning_rate = LearningRate::new(3e-3);
    let verifier = verifier_fn(|submission: Submission<'_>| {
        let passes = submission.program.lines().next() == Some("x");
        let outcome = if passes { Outcome::Pass } else { Outcome::Wrong };
        Ok(Verdict { outcome, passed: usize::from(passes), total: 1, detail: String::new(), seconds: 0.0 })
    });
    let builder = pspo::trainer::builder(&policy, &tokenizer).problems(problems).splitter(Lines::python());
    let builder = builder.verifier(verifier).sparse_rewards().value_init(FromPolicy::default());
    builder.seed(Seed::root(3)).config(config).build().unwrap()
}

/// The share of responses that pass, iteration by iteration.
fn pass_rates(trainer: &mut Trainer<Small>) -> Vec<f64> {
    let recorder = Recorder::default();
    let mut events = Events::default().with(recorder.clone());
    while trainer.done() < trainer.total() {
        trainer.advance(&mut events).unwrap();
    }
    recorder.events().iter().filter_map(|event| event.metric(metrics::PASS_RATE)).collect()
}

#[test]
fn ppo_learns_what_it_is_rewarded_for_as_on_the_cpu() {
    let Some(cuda) = cuda() else { return };
    for (precision, tuning) in [
        (Precision::Float32, Tuning::Full),
        (Precision::Bfloat16, Tuning::Full),
        (Precision::Bfloat16, Tuning::Lora(Lora::default())),
    ] {
        // few iterations: once all responses pass, whitened advantages are noise, and steps as long as these may undo it
        let mut on_cuda = ppo(&cuda, precision, tuning.clone(), 5);
        let mut on_cpu = ppo(&Device::cpu(), precision, tuning.clone(), 5);
        let (got, exact) = (pass_rates(&mut on_cuda), pass_rates(&mut on_cpu));
        let case = format!("{precision:?}, {tuning:?}: {got:?}, on the CPU {exact:?}");
        // nearly the same responses at first; then the two part, as rounding has them draw otherwise here and there
        assert!((got[0] - exact[0]).abs() < 0.1, "{case}");
        assert!(got[4] > got[0] + 0.2, "it learns: {case}");
        // what was trained on one device goes on on the other
        on_cpu.restore(&on_cuda.checkpoint().unwrap()).unwrap();
        let trained = |trainer: &Trainer<Small>| trainer.policy().trained().unwrap().values().to_vec();
        assert_eq!(trained(&on_cpu), trained(&on_cuda));
    }
}
