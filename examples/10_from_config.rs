//! A training from a config file, and the same training from the builder: equal to the byte.
//!
//! ```text
//! cargo run --release --example 10_from_config
//! ```
//!
//! Writes problems, a tokenizer and `config.toml` to a temporary folder, trains a small policy for two
//! iterations from the file and once more from the builder, and prints the config, each run's events and
//! whether they are the same.

use std::error::Error;

use pspo::config::Config;
use pspo::data::Seed;
use pspo::kernels::Device;
use pspo::model::{Policy, Tokenizer};
use pspo::plugin::VerifierConfig;
use pspo::problems::{Pseudocode, Sizes};
use pspo::reward::OutcomeReward;
use pspo::steps::Lines;
use pspo::trainer::events::{Event, Events, Recorder};
use pspo::trainer::{PpoConfig, Stage, Trainer};
use pspo::value::FromPolicy;
use pspo_monty_verifier::MontyConfig;

pspo::arch! {
    struct Small {
        name: "small",
        vocabulary: 320,
        width: 32,
        layers: 2,
        heads: 2,
        kv_heads: 1,
        head_size: 16,
        hidden: 64,
        positions: 512,
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let (problems, tokenizer) = (folder.path().join("problems.jsonl"), folder.path().join("tokenizer.json"));
    let sizes = Sizes { sft: 200, rl: 20, held_out: 1 };
    let splits = Pseudocode::default().splits(Seed::root(0), sizes)?;
    splits.rl.write_jsonl(std::fs::File::create(&problems)?)?;
    let texts =
        splits.sft.iter().flat_map(|problem| [Some(problem.prompt.clone()), problem.solution.clone()]);
    let trained = Tokenizer::train(texts.flatten(), 320)?;
    std::fs::write(&tokenizer, trained.to_json()?)?;

    // ANCHOR: config
    let text = format!(
        r#"
seed = 7
outcome = "levels"

[policy]
arch = "small"
tokenizer = '{}'

[problems]
path = '{}'

[splitter]
type = "lines"

[verifier]
type = "monty"
seconds = 0.5

[value_init]
type = "from_policy"

[ppo]
iterations = 2
prompts = 8
responses = 2
kl = 0.02

[ppo.sampling]
temperature = 1.0
max_new_tokens = 40

[ppo.update]
minibatches = 2
policy_learning_rate = 1e-3
"#,
        tokenizer.display(),
        problems.display()
    );
    let path = folder.path().join("config.toml");
    std::fs::write(&path, &text)?;
    let from_config = Config::read(&path)?.build::<Small>()?;
    // ANCHOR_END: config
    println!("{text}");

    let seed = Seed::root(7);
    let policy = Policy::<Small>::random(&Device::cpu(), seed.child("policy"))?;
    let mut config =
        PpoConfig { iterations: 2, prompts: 8.try_into()?, responses: 2.try_into()?, ..PpoConfig::default() };
    config.sampling.max_new_tokens = 40.try_into()?;
    config.update.minibatches = 2.try_into()?;
    config.update.policy_learning_rate = 1e-3.try_into()?;
    let from_builder = pspo::trainer::builder(&policy, &trained)
        .problems(splits.rl)
        .splitter(Lines::python())
        .verifier(MontyConfig { seconds: 0.5, ..MontyConfig::default() }.build()?)
        // ANCHOR: outcome
        .sparse_rewards()
        .outcome_reward(OutcomeReward::Levels)
        // ANCHOR_END: outcome
        .value_init(FromPolicy::default())
        .config(config)
        .seed(seed.child("rl"))
        .build()?;

    let (events_a, parameters_a) = train(from_config)?;
    let (events_b, parameters_b) = train(from_builder)?;
    for event in &events_a {
        println!("{}", serde_json::to_string(event)?);
    }
    println!("events are {}", if events_a == events_b { "the same" } else { "NOT the same" });
    println!("parameters are {}", if parameters_a == parameters_b { "the same" } else { "NOT the same" });
    if events_a == events_b && parameters_a == parameters_b { Ok(()) } else { Err("the runs differ".into()) }
}

/// Runs a training to its end: its events, and the policy's parameters as bytes.
fn train(mut trainer: Trainer<Small>) -> Result<(Vec<Event>, Vec<u32>), Box<dyn Error>> {
    let recorder = Recorder::default();
    let mut events = Events::default().with(recorder.clone());
    while trainer.done() < trainer.total() {
        trainer.advance(&mut events)?;
    }
    let parameters = trainer.policy().parameters()?;
    Ok((recorder.events(), parameters.values().iter().map(|value| value.to_bits()).collect()))
}
