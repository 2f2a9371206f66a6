//! Training on toy preferences.

use std::num::NonZeroUsize;

use rand::RngExt;

use super::*;
use crate::data::numbers::LearningRate;
use crate::data::{Seed, Sequence};
use crate::kernels::Device;
use crate::model::{Arch, ModelError, ScalarModel, init};

crate::arch! {
    struct Toy {
        name: "toy", vocabulary: 6, width: 16, layers: 1, heads: 2, kv_heads: 1, head_size: 8, hidden: 24,
        positions: 16,
    }
}

fn model() -> ScalarModel<Toy> {
    let parameters = init::random(Toy::DIMS.scalar_layout(), Toy::DIMS.layers, Seed::root(1));
    ScalarModel::new(&Device::cpu(), &parameters).unwrap()
}

/// Responses of the tokens 0 to 4, of which the one with more of token 3 is preferred; both end with 5.
fn preferences(seed: u64, count: u64) -> Vec<Preference> {
    let pair = |row| {
        let mut rng = Seed::root(seed).index(row).rng();
        let mut response = |threes: usize| {
            let len = rng.random_range(4..8);
            let mut response: Vec<u32> = (0..len).map(|_| [0, 1, 2, 4][rng.random_range(0..4)]).collect();
            let first = rng.random_range(0..len - threes);
            response[first..first + threes].fill(3);
            response.push(5);
            response
        };
        Preference { prompt: vec![0, 1], chosen: response(2 + (row % 2) as usize), rejected: response(1) }
    };
    (0..count).map(pair).collect()
}

fn config() -> BradleyTerryConfig {
    BradleyTerryConfig { steps: 200, learning_rate: LearningRate::new(1e-2), ..BradleyTerryConfig::default() }
}

#[test]
fn preferences_are_learned() {
    let mut training = BradleyTerry::new(config(), model(), preferences(2, 256), Seed::root(3)).unwrap();
    let mut updates = Vec::new();
    while !training.is_done() {
        updates.push(training.step().unwrap());
    }
    let (first, last) = (updates[0], updates[updates.len() - 1]);
    println!("{first:?} to {last:?}");
    assert!(first.loss > 0.3 && last.loss < 0.05 && last.accuracy > 0.98, "{first:?} to {last:?}");

    let model = training.into_reward_model();
    let held_out = preferences(4, 100);
    let response = |side: fn(&Preference) -> &Vec<u32>| -> Vec<Sequence> {
        let sequence = |pair| Sequence { prompt: vec![0, 1], response: side(pair).clone() };
        held_out.iter().map(sequence).collect()
    };
    let chosen = model.score(&response(|pair| &pair.chosen)).unwrap();
    let rejected = model.score(&response(|pair| &pair.rejected)).unwrap();
    let right = chosen.iter().zip(&rejected).filter(|(chosen, rejected)| chosen > rejected).count();
    assert!(right >= 97, "{right} of 100 held-out pairs");
}

#[test]
fn the_reward_does_not_depend_on_the_passes() {
    let pairs = preferences(5, 30);
    let rows: Vec<_> = pairs.into_iter().map(|p| Sequence { prompt: p.prompt, response: p.chosen }).collect();
    let at_once = RewardModel::new(model()).score(&rows).unwrap();
    let in_parts = RewardModel::new(model()).with_batch_tokens(NonZeroUsize::MIN).score(&rows).unwrap();
    assert_eq!(at_once.len(), 30);
    assert_eq!(at_once, in_parts);
    assert!(RewardModel::new(model()).score([]).unwrap().is_empty());
}

#[test]
fn an_update_does_not_depend_on_the_passes() {
    let run = |tokens| {
        let micro_batch_tokens = NonZeroUsize::new(tokens).unwrap();
        let batch = NonZeroUsize::new(120).unwrap();
        let config = BradleyTerryConfig { batch, micro_batch_tokens, warmup: 0, ..config() };
        let mut training = BradleyTerry::new(config, model(), preferences(2, 120), Seed::root(3)).unwrap();
        let RewardModelUpdate { loss, accuracy, .. } = training.step().unwrap();
        (loss, accuracy, training.model().parameters().unwrap().into_values())
    };
    let (whole, cut) = (run(10_000), run(40));
    let largest = whole.2.iter().zip(&cut.2).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!((whole.0 - cut.0).abs() < 1e-6 && whole.1 == cut.1, "{whole:?} and {cut:?}");
    assert!(largest < 2e-5, "parameters differ by {largest}");
}

#[test]
fn the_order_of_preferences_changes_no_bit() {
    let run = |pairs: Vec<Preference>| {
        let config = BradleyTerryConfig { batch: NonZeroUsize::new(7).unwrap(), ..config() };
        let mut training = BradleyTerry::new(config, model(), pairs, Seed::root(3)).unwrap();
        let losses: Vec<_> = (0..5).map(|_| training.step().unwrap().loss).collect();
        (losses, training.model().parameters().unwrap())
    };
    let pairs = preferences(2, 20);
    let turned = pairs.iter().rev().cloned().collect();
    assert!(run(pairs) == run(turned));
}

#[test]
fn what_has_no_reward_is_named() {
    let refuse = |change: fn(&mut Preference)| {
        let mut pairs = preferences(2, 2);
        change(&mut pairs[1]);
        BradleyTerry::new(config(), model(), pairs, Seed::root(1)).unwrap_err()
    };
    assert_eq!(
        refuse(|pair| pair.rejected.clear()).to_string(),
        "preference 1 is an empty response: its reward is read at its last token"
    );
    let error = refuse(|pair| pair.chosen = vec![1; 20]);
    assert!(matches!(error, RewardModelError::Model(ModelError::TooLong { row: 1, len: 22, .. })));
    let none = BradleyTerry::new(config(), model(), vec![], Seed::root(1));
    assert!(matches!(none, Err(RewardModelError::NoPreferences)));
    let empty = Sequence { prompt: vec![1], response: vec![] };
    let error = RewardModel::new(model()).score([&empty]).unwrap_err();
    assert!(matches!(error, RewardModelError::EmptyResponse { what: "row", row: 0 }));
}
