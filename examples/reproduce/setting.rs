//! What is the same for all seeds: problems, tokenizer, verifier.

use std::num::NonZeroUsize;

use pspo::data::numbers::{Fraction, Temperature, TopP};
use pspo::data::{ProblemSet, Seed};
use pspo::model::Tokenizer;
use pspo::plugin::{CheckedVerifier, VerifierConfig};
use pspo::rollouts::Sampling;
use pspo::verify::{ErrorLimit, VerifierPool};
use pspo_monty_verifier::MontyConfig;

use crate::Result;
use crate::config::Config;
use crate::corpus::Habits;

pspo::arch! {
    /// 0.19 M parameters, as in the quickstart.
    pub struct Tiny {
        name: "tiny",
        vocabulary: 384,
        width: 64,
        layers: 3,
        heads: 4,
        kv_heads: 2,
        head_size: 16,
        hidden: 176,
        positions: 640,
    }
}

/// The temperatures of evaluation.
pub const TEMPERATURES: [Temperature; 2] = [Temperature::new(0.2), Temperature::new(1.0)];

/// Problems are drawn once: seeds differ in the policy's start and in all that is sampled.
pub struct Setting {
    pub config: Config,
    pub tokenizer: Tokenizer,
    /// Prompts and programs that SFT learns from.
    pub corpus: Vec<(String, String)>,
    pub rl: ProblemSet,
    pub held_out: ProblemSet,
}

impl Setting {
    pub fn new(config: Config) -> Result<Self> {
        let habits = Habits::new(config.habits)?;
        let splits = config.problems.splits(Seed::root(0), config.sizes)?;
        let corpus = splits.sft.iter().enumerate().map(|(number, problem)| {
            let seed = Seed::root(0).child("corpus").index(number as u64);
            let solution = problem.solution.as_deref().unwrap_or_default();
            (problem.prompt.clone(), habits.write(solution, seed))
        });
        let corpus: Vec<_> = corpus.collect();
        let texts = corpus.iter().take(1500).flat_map(|(prompt, program)| [prompt.clone(), program.clone()]);
        Ok(Self {
            tokenizer: Tokenizer::train(texts, 384)?,
            corpus,
            rl: splits.rl,
            held_out: splits.held_out,
            config,
        })
    }

    /// A verifier that stops at the first test that fails, or, where they are counted, runs them all. Right programs pass
    /// with 256 instructions of the interpreter; their number stops one that never ends. Half of the programs may be such as
    /// monty does not judge: a policy that is rewarded for lines alone (study 5) has come to a quarter, with `print` as a value.
    pub fn verifier(&self, run_all: bool) -> Result<VerifierPool> {
        let config = MontyConfig { steps: 20_000, run_all, ..MontyConfig::default() };
        let limit = ErrorLimit { share: Fraction::new(0.5), ..ErrorLimit::default() };
        Ok(VerifierPool::new(CheckedVerifier::new(config.build()?), limit))
    }

    /// How evaluation samples.
    pub fn testing(&self, temperature: Temperature) -> Sampling {
        let top_k = NonZeroUsize::new(128);
        Sampling { temperature, top_p: TopP::new(0.95), top_k, ..self.config.ppo.sampling.clone() }
    }
}
