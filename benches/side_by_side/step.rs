//! PPO's update of a policy on 8 rows of 64 prompt and 192 response tokens.

use std::path::Path;

use pspo::data::Seed;
use pspo::data::numbers::{LossWeight, Temperature};
use pspo::kernels::Device;
use pspo::model::{AdamW, AdamWConfig, Arch, Batch, Policy, Precision, backward};
use pspo::ppo::loss::{PolicyFigures, PolicyObjective, PolicyTargets};
use rand::RngExt;
use serde_json::{Value, json};

use crate::Work;
use crate::shapes::{Operations, PROMPT, RESPONSE, rows, write};

pub(crate) const ROWS: usize = 8;
pub(crate) const LEN: usize = PROMPT + RESPONSE;
const LEARNING_RATE: f32 = 1e-4;
const ENTROPY: LossWeight = LossWeight::new(0.01);
const TEMPERATURE: Temperature = Temperature::new(1.0);

pub(crate) struct Step<A: Arch> {
    policy: Policy<A>,
    optimizer: AdamW,
    batch: Batch,
    old_log_probs: Vec<f32>,
    advantages: Vec<f32>,
}

impl<A: Arch> Step<A> {
    /// An update on rows of so many tokens, of which the first [`PROMPT`] are not scored. Writes `policy.safetensors`, and in `batch.json` the rows and what the loss is computed from.
    pub(crate) fn new(folder: &Path, count: usize, len: usize, precision: Precision) -> Self {
        let policy = Policy::<A>::random(&Device::cpu(), Seed::root(2)).expect("the CPU has room");
        let mut policy = policy.in_precision(precision).expect("the CPU has room");
        write::<A>(folder, "policy.safetensors", &policy.parameters().expect("they are on the host"));
        let rows = rows::<A>(count, PROMPT, len - PROMPT);
        let batch = Batch::responses(&A::DIMS, &rows).expect("the rows fit");
        let mut rng = Seed::root(3).rng();
        let mut around = |spread: f32| spread * (rng.random::<f32>() - 0.5);
        let log_probs = policy.log_probs_no_grad(&batch, TEMPERATURE).expect("the CPU has room").log_probs;
        let old_log_probs: Vec<f32> = log_probs.iter().map(|log_prob| log_prob + around(0.6)).collect();
        let advantages: Vec<f32> = log_probs.iter().map(|_| around(2.0)).collect();
        let tokens: Vec<Vec<u32>> = rows.iter().map(|row| row.tokens().collect()).collect();
        let objective = objective();
        let json = json!({
            "rows": tokens, "prompt": PROMPT, "old_log_probs": old_log_probs, "advantages": advantages,
            "learning_rate": LEARNING_RATE, "clip": objective.clip, "entropy": objective.entropy,
            "optimizer": AdamWConfig::default(),
        });
        std::fs::write(folder.join("batch.json"), json.to_string()).expect("the folder can be written");
        let optimizer = AdamW::new(AdamWConfig::default(), &mut policy).expect("the CPU has room");
        Self { policy, optimizer, batch, old_log_probs, advantages }
    }
}

fn objective() -> PolicyObjective {
    PolicyObjective { entropy: ENTROPY, ..PolicyObjective::default() }
}

impl<A: Arch> Work for Step<A> {
    fn amount(&self) -> Value {
        let rows = self.batch.scored().rows();
        let (len, scored) = (self.batch.tokens() / rows, self.advantages.len() / rows);
        json!({"tokens": self.batch.tokens(), "flop": Operations(A::DIMS).training(rows, len, scored)})
    }

    fn run(&mut self) -> Value {
        let said = self.policy.log_probs(&self.batch, TEMPERATURE).expect("the CPU has room");
        let targets = PolicyTargets {
            old_log_probs: &self.old_log_probs,
            reference_log_probs: &self.old_log_probs,
            advantages: &self.advantages,
        };
        let loss = objective().loss(said, targets, self.advantages.len(), &mut PolicyFigures::default());
        let loss = backward(loss).expect("the loss is finite");
        let norm = self.optimizer.step(&mut self.policy, LEARNING_RATE).expect("the gradient is finite");
        json!({"loss": loss, "gradient_norm": norm})
    }
}
