//! A PPO iteration as a whole: 32 responses, the reference's and the critic's passes, advantages, and an epoch of four
//! minibatches over policy and critic. The reward is a number for each response, so that no verifier takes part.

use std::path::Path;

use pspo::data::numbers::Temperature;
use pspo::data::{Ragged, Seed, Sequence};
use pspo::kernels::Device;
use pspo::model::{Arch, Batch, Policy, ScalarModel, init};
use pspo::ppo::{Experience, Gae, Learner, UpdateConfig, whiten};
use serde_json::{Value, json};

use crate::Work;
use crate::decode::Sampler;
use crate::shapes::{Operations, PROMPT, RESPONSE, write};

const ROWS: usize = 32;
const TEMPERATURE: Temperature = Temperature::new(1.0);

pub(crate) struct Iteration<A: Arch> {
    learner: Learner<A>,
    reference: Policy<A>,
    sampler: Sampler,
    rounds: u64,
}

impl<A: Arch> Iteration<A> {
    /// Writes `policy.safetensors`, `critic.safetensors` and `prompts.json`.
    pub(crate) fn new(folder: &Path) -> Self {
        let device = Device::cpu();
        let policy = Policy::<A>::random(&device, Seed::root(2)).expect("the CPU has room");
        write::<A>(folder, "policy.safetensors", &policy.parameters().expect("they are on the host"));
        let critic = init::random(A::DIMS.scalar_layout(), A::DIMS.layers, Seed::root(3));
        write::<A>(folder, "critic.safetensors", &critic);
        let critic = ScalarModel::new(&device, &critic).expect("its own layout");
        let reference = policy.fork();
        let learner = Learner::new(UpdateConfig::default(), policy, critic).expect("the CPU has room");
        Self { learner, reference, sampler: Sampler::new::<A>(folder, ROWS), rounds: 0 }
    }
}

impl<A: Arch> Work for Iteration<A> {
    fn amount(&self) -> Value {
        let (operations, len) = (Operations(A::DIMS), PROMPT + RESPONSE);
        let passes = operations.forward(ROWS, len, RESPONSE) + operations.forward(ROWS, len, 0);
        let update = operations.training(ROWS, len, RESPONSE) + operations.training(ROWS, len, 0);
        let decoding = operations.decoding(ROWS, PROMPT, RESPONSE);
        json!({"tokens": ROWS * RESPONSE, "flop": decoding + passes + update})
    }

    fn run(&mut self) -> Value {
        self.rounds += 1;
        let begun = std::time::Instant::now();
        let rollouts = self.sampler.sample(&self.learner.policy);
        let sampled = begun.elapsed().as_secs_f64();
        let mut log_probs = Ragged::new();
        for rollout in &rollouts {
            log_probs.push(rollout.log_probs.iter().copied());
        }
        let sequences: Vec<Sequence> = rollouts.into_iter().map(|rollout| rollout.sequence).collect();
        let batch = Batch::responses(&A::DIMS, &sequences).expect("the rows fit");
        let with = |values: Vec<f32>| log_probs.with_values(values).expect("a number for each token");
        let reference_log_probs =
            with(self.reference.log_probs_no_grad(&batch, TEMPERATURE).expect("the CPU has room").log_probs);
        let values = with(self.learner.critic.values_no_grad(&batch).expect("the CPU has room"));
        let mut rewards =
            log_probs.with_values(vec![0.0; values.values().len()]).expect("a number for each token");
        for (row, response) in log_probs.offsets().windows(2).enumerate() {
            if response[1] > response[0] {
                rewards.values_mut()[response[1] - 1] = (row % 2) as f32;
            }
        }
        let estimates = Gae::default().estimate(&rewards, &values).expect("the same rows");
        let experience = Experience {
            sequences,
            log_probs,
            reference_log_probs,
            values,
            advantages: whiten(&estimates.advantages),
            returns: estimates.returns,
            temperature: TEMPERATURE,
        };
        let passed = begun.elapsed().as_secs_f64();
        let figures = self.learner.update(&experience, Seed::root(self.rounds)).expect("losses are finite");
        let updated = begun.elapsed().as_secs_f64();
        json!({
            "rollout_seconds": sampled, "pass_seconds": passed - sampled, "update_seconds": updated - passed,
            "loss": figures.policy_loss, "value_loss": figures.value_loss, "sampler_gap": figures.sampler_gap,
            "tokens": experience.advantages.values().len(),
        })
    }
}
