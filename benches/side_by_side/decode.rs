//! Responses of 192 tokens to prompts of 64.

use std::num::NonZeroUsize;
use std::path::Path;

use pspo::data::Seed;
use pspo::data::numbers::Temperature;
use pspo::kernels::Device;
use pspo::model::{Arch, Policy, Precision, Tokenizer};
use pspo::rollouts::{Rollout, Sampling, sample};
use serde_json::{Value, json};

use crate::Work;
use crate::shapes::{Operations, PROMPT, RESPONSE, rows, write};

pub(crate) struct Decode<A: Arch> {
    policy: Policy<A>,
    sampler: Sampler,
}

/// What is the same for every policy: prompts, and a tokenizer of bytes and an end, which a random policy draws now and
/// then: a response in twenty is shorter.
pub(crate) struct Sampler {
    pub(crate) prompts: Vec<Vec<u32>>,
    tokenizer: Tokenizer,
    rounds: u64,
}

impl Sampler {
    /// Writes the prompts to `prompts.json`.
    pub(crate) fn new<A: Arch>(folder: &Path, count: usize) -> Self {
        let prompts: Vec<Vec<u32>> = rows::<A>(count, PROMPT, 0).into_iter().map(|row| row.prompt).collect();
        let tokenizer = Tokenizer::train(["x"], 257).expect("bytes and an end");
        let json = json!({"prompts": prompts, "new_tokens": RESPONSE, "end": tokenizer.end()});
        std::fs::write(folder.join("prompts.json"), json.to_string()).expect("the folder can be written");
        Self { prompts, tokenizer, rounds: 0 }
    }

    /// Other responses in every round.
    pub(crate) fn sample<A: Arch>(&mut self, policy: &Policy<A>) -> Vec<Rollout> {
        self.rounds += 1;
        let sampling = Sampling::training(Temperature::new(1.0), NonZeroUsize::new(RESPONSE).expect("not 0"));
        sample(policy, &self.tokenizer, &self.prompts, 1, &sampling, Seed::root(self.rounds))
            .expect("the prompts fit")
    }
}

impl<A: Arch> Decode<A> {
    /// Writes `policy.safetensors` and `prompts.json`.
    pub(crate) fn new(folder: &Path, count: usize, precision: Precision) -> Self {
        let policy = Policy::<A>::random(&Device::cpu(), Seed::root(2)).expect("the CPU has room");
        let policy = policy.in_precision(precision).expect("the CPU has room");
        write::<A>(folder, "policy.safetensors", &policy.parameters().expect("they are on the host"));
        Self { policy, sampler: Sampler::new::<A>(folder, count) }
    }
}

impl<A: Arch> Work for Decode<A> {
    /// `bytes` are those of the weights that each step reads once.
    fn amount(&self) -> Value {
        let (operations, rows) = (Operations(A::DIMS), self.sampler.prompts.len());
        let each = if self.policy.precision() == Precision::Bfloat16 { 2.0 } else { 4.0 };
        json!({
            "tokens": rows * RESPONSE,
            "flop": operations.decoding(rows, PROMPT, RESPONSE),
            "bytes": each * RESPONSE as f64 * (operations.layer_weights() + operations.output_weights()),
        })
    }

    fn run(&mut self) -> Value {
        let rollouts = self.sampler.sample(&self.policy);
        json!({"tokens": rollouts.iter().map(|rollout| rollout.sequence.response.len()).sum::<usize>()})
    }
}
