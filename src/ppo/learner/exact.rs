//! An update has the same bits whatever the micro-batches, the order of rows and the threads.

use std::num::NonZeroUsize;

use super::{Learner, UpdateConfig, UpdateFigures};
use crate::data::numbers::{LossWeight, Temperature};
use crate::data::{Ragged, Seed, Sequence};
use crate::kernels::Device;
use crate::model::{Arch, GROUP_TOKENS, Lora, Policy, ScalarModel, Tuning, init};
use crate::ppo::{Experience, PolicyObjective};

crate::arch! {
    struct Untied {
        name: "untied", vocabulary: 13, width: 8, layers: 2, heads: 2, kv_heads: 1, head_size: 4, hidden: 12,
        positions: 1200, qkv_bias: true,
    }
}

crate::arch! {
    struct Tied {
        name: "tied", vocabulary: 13, width: 8, layers: 2, heads: 2, kv_heads: 1, head_size: 4, hidden: 12,
        positions: 1200, tied: true,
    }
}

fn count(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

/// Rows of 22 to 71 tokens and one that is longer than a group; in two minibatches of several groups each. Some have no
/// response.
fn experience() -> Experience {
    let mut sequences: Vec<Sequence> = (0..150)
        .map(|i| Sequence {
            prompt: (0..22 + i % 7).map(|t| (i * 5 + t * t) % 13).collect(),
            response: (0..i % 11 * 4).map(|t| (i * 3 + t * 5) % 13).collect(),
        })
        .collect();
    sequences.push(Sequence { prompt: vec![3; GROUP_TOKENS], response: vec![1, 2, 3] });
    sequences.push(sequences[10].clone());
    let mut number = 0;
    let mut numbers = |spread: f32| -> Ragged<f32> {
        let row = |sequence: &Sequence| {
            let mut next = || {
                number += 1;
                spread * (number as f32).sin()
            };
            (0..sequence.response.len()).map(|_| next()).collect::<Vec<_>>()
        };
        sequences.iter().map(row).collect()
    };
    let (reference_log_probs, values, advantages, returns) =
        (numbers(3.0), numbers(0.1), numbers(1.0), numbers(1.0));
    Experience {
        log_probs: reference_log_probs.clone(),
        reference_log_probs,
        values,
        advantages,
        returns,
        sequences,
        temperature: const { Temperature::new(0.9) },
    }
}

/// The same rows in another order.
fn turned(batch: &Experience) -> Experience {
    let n = batch.sequences.len();
    let order: Vec<usize> = (0..n).map(|row| (row * 101 + 7) % n).collect();
    let rows = |of: &Ragged<f32>| order.iter().map(|&row| of.row(row).to_vec()).collect();
    Experience {
        sequences: order.iter().map(|&row| batch.sequences[row].clone()).collect(),
        log_probs: rows(&batch.log_probs),
        reference_log_probs: rows(&batch.reference_log_probs),
        values: rows(&batch.values),
        advantages: rows(&batch.advantages),
        returns: rows(&batch.returns),
        temperature: batch.temperature,
    }
}

#[derive(Clone, Copy, Debug)]
struct Way<'a> {
    micro_batch_tokens: usize,
    threads: usize,
    recompute: bool,
    batch: &'a Experience,
}

/// What is trained and both moments, of policy and critic, as bits; and the figures.
fn update<A: Arch>(tuning: &Tuning, way: Way<'_>) -> (Vec<Vec<u32>>, UpdateFigures) {
    const WEIGHT: LossWeight = LossWeight::new(0.01);
    let config = UpdateConfig {
        minibatches: count(2),
        micro_batch_tokens: count(way.micro_batch_tokens),
        objective: PolicyObjective { entropy: WEIGHT, kl_loss: WEIGHT, ..PolicyObjective::default() },
        ..UpdateConfig::default()
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(way.threads).build().unwrap();
    pool.install(|| {
        let device = Device::cpu();
        let policy = Policy::<A>::random(&device, Seed::root(1)).unwrap();
        let critic = init::random(A::DIMS.scalar_layout(), 2, Seed::root(2));
        let critic = ScalarModel::<A>::new(&device, &critic).unwrap();
        let mut policy = policy.tuned(tuning, Seed::root(3)).unwrap();
        let mut critic = critic.tuned(tuning, Seed::root(4)).unwrap();
        policy.set_recompute(way.recompute);
        critic.set_recompute(way.recompute);
        let mut learner = Learner::new(config, policy, critic).unwrap();
        let figures = learner.update(way.batch, Seed::root(5)).unwrap();
        let (first, second, _) = learner.policy_optimizer.state().unwrap();
        let (critic_first, critic_second, _) = learner.critic_optimizer.state().unwrap();
        let trained = [learner.policy.trained().unwrap(), learner.critic.trained().unwrap()];
        let all = trained.into_iter().chain([first, second, critic_first, critic_second]);
        (all.map(|part| part.values().iter().map(|value| value.to_bits()).collect()).collect(), figures)
    })
}

fn holds<A: Arch>(tuning: &Tuning) {
    let batch = experience();
    let turned = turned(&batch);
    let whole = Way { micro_batch_tokens: usize::MAX, threads: 1, recompute: false, batch: &batch };
    let expected = update::<A>(tuning, whole);
    assert!(expected.1.policy_gradient_norm > 0.0 && expected.1.critic_gradient_norm > 0.0);
    for way in [
        Way { micro_batch_tokens: 1, ..whole },
        Way { micro_batch_tokens: 2 * GROUP_TOKENS, threads: 2, ..whole },
        Way { micro_batch_tokens: 1, recompute: true, batch: &turned, ..whole },
        Way { threads: 2, recompute: true, batch: &turned, ..whole },
    ] {
        let got = update::<A>(tuning, way);
        let Way { micro_batch_tokens, threads, recompute, batch } = way;
        let other = std::ptr::eq(batch, &turned);
        let way = format!(
            "{tuning:?} of {}, {micro_batch_tokens} tokens, {threads} threads, recompute {recompute}, other order {other}",
            A::NAME
        );
        for (part, (got, expected)) in got.0.iter().zip(&expected.0).enumerate() {
            let differ = got.iter().zip(expected).filter(|(a, b)| a != b).count();
            assert_eq!(differ, 0, "part {part}, of {}: {way}", expected.len());
        }
        assert_eq!(got.1, expected.1, "{way}");
    }
}

#[test]
fn an_update_of_all_parameters_has_the_same_bits() {
    holds::<Untied>(&Tuning::Full);
    holds::<Tied>(&Tuning::Full);
}

#[test]
fn an_update_of_the_upper_layers_has_the_same_bits() {
    holds::<Untied>(&Tuning::UpperLayers { layers: count(1) });
}

#[test]
fn an_update_of_adapters_has_the_same_bits() {
    holds::<Tied>(&Tuning::Lora(Lora { rank: count(3), ..Lora::default() }));
}
