//! What PPO on a pretrained model takes, in memory and time.
//!
//! `cargo bench --bench real_model -- MODEL full|lora [recompute] [bf16]` runs two iterations of PPO from the model in MODEL, a
//! folder or a GGUF file: 4 prompts of about 200 tokens, 2 responses each of at most 128, in passes of 1,024 tokens, with a
//! critic that starts from the policy. Programs are not run: every other response passes. It prints the seconds of each
//! iteration, and the most memory that the process had at any time.

use std::error::Error;
use std::time::Instant;

use pspo::data::{Problem, ProblemSet, Seed};
use pspo::kernels::Device;
use pspo::model::{Arch, Lora, Precision, Tuning};
use pspo::plugin::{Outcome, Submission, Verdict, verifier_fn};
use pspo::pretrained::Pretrained;
use pspo::pretrained::presets::Visitor;
use pspo::steps::Lines;
use pspo::trainer::events::{Events, Recorder, metrics};
use pspo::trainer::{PpoConfig, Stage};
use pspo::value::FromPolicy;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let mut words = arguments.iter().map(String::as_str);
    let (Some(path), Some(tuning)) = (words.next(), words.next()) else {
        // `cargo bench` runs every bench: without a model this one has nothing to do.
        eprintln!("real_model: give a model, and `full` or `lora`");
        return Ok(());
    };
    let tuning = match tuning {
        "full" => Tuning::Full,
        "lora" => Tuning::Lora(Lora::default()),
        other => return Err(format!("{other} is not `full` or `lora`").into()),
    };
    let model = Pretrained::open(path)?;
    let (mut recompute, mut precision) = (false, Precision::Float32);
    for word in words {
        match word {
            "recompute" => recompute = true,
            "bf16" => precision = Precision::Bfloat16,
            other => return Err(format!("{other} is not `recompute` or `bf16`").into()),
        }
    }
    model.visit(Train { model: &model, tuning, recompute, precision })?
}

struct Train<'a> {
    model: &'a Pretrained,
    tuning: Tuning,
    recompute: bool,
    precision: Precision,
}

impl Visitor for Train<'_> {
    type Output = Result<(), Box<dyn Error>>;

    fn visit<A: Arch>(self) -> Self::Output {
        let tokenizer = self.model.tokenizer()?;
        let policy = self.model.policy_in::<A>(&Device::cpu(), self.precision)?;
        println!("loaded: {} MiB at most", peak()?);
        let mut config = PpoConfig {
            iterations: 2,
            prompts: 4.try_into()?,
            responses: 2.try_into()?,
            tuning: self.tuning,
            recompute: self.recompute,
            ..PpoConfig::default()
        };
        config.sampling.max_new_tokens = 128.try_into()?;
        config.update.minibatches = 1.try_into()?;
        config.update.micro_batch_tokens = 1024.try_into()?;
        config.update.policy_learning_rate = 1e-5.try_into()?;
        config.update.critic_learning_rate = 1e-5.try_into()?;
        let passes = |submission: Submission<'_>| {
            let passed = submission.program.len() % 2;
            let outcome = if passed == 1 { Outcome::Pass } else { Outcome::Wrong };
            Ok(Verdict { outcome, passed, total: 1, detail: String::new(), seconds: 0.0 })
        };
        let mut trainer = pspo::trainer::builder(&policy, &tokenizer)
            .problems(problems()?)
            .splitter(Lines::python())
            .verifier(verifier_fn(passes))
            .sparse_rewards()
            .value_init(FromPolicy::default())
            .config(config)
            .seed(Seed::root(0))
            .build()?;
        drop(policy);
        println!("trainer made: {} MiB at most", peak()?);
        let recorder = Recorder::default();
        let mut events = Events::default().with(recorder.clone());
        while trainer.done() < trainer.total() {
            let start = Instant::now();
            trainer.advance(&mut events)?;
            println!("iteration: {:.1} s, {} MiB at most", start.elapsed().as_secs_f64(), peak()?);
        }
        for event in recorder.events() {
            let metric = |name| event.metric(name).unwrap_or(f64::NAN);
            let (length, gap) = (metric(metrics::RESPONSE_TOKENS), metric(metrics::SAMPLER_GAP));
            println!("mean response {length:.0} tokens; sampler and update differ by {gap:.1e} at most");
        }
        Ok(())
    }
}

/// Prompts of about 200 tokens.
fn problems() -> Result<ProblemSet, Box<dyn Error>> {
    let problems = (0..8).map(|number| {
        let lines: String =
            (0..12).map(|line| format!("assert count_{number}([1, 2, {line}], {line}) == {line}\n")).collect();
        let prompt = format!("\"\"\"\nCount the numbers of a list above another one.\n{lines}\"\"\"\n");
        let json = serde_json::json!({
            "id": number.to_string(), "prompt": prompt, "tests": [{ "kind": "assert", "code": "assert True" }],
        });
        serde_json::from_value::<Problem>(json)
    });
    Ok(ProblemSet::new(problems.collect::<Result<Vec<_>, _>>()?)?)
}

/// The most memory that the process had at any time, in MiB (Linux).
fn peak() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    let kib: u64 = line.split_whitespace().next().ok_or("no number")?.parse()?;
    Ok(kib / 1024)
}
