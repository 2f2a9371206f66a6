//! What parameters take, and critics that begin on a policy's trunk.

use super::*;
use crate::model::{Arch, Lora, Policy, ScalarModel, init};
use crate::plugin::value_init::{HEAD, HEAD_BIAS, head_layout};

crate::arch! {
    struct Small {
        name: "small", vocabulary: 300, width: 16, layers: 3, heads: 2, kv_heads: 1, head_size: 8, hidden: 24,
        positions: 8,
    }
}

fn upper() -> Tuning {
    Tuning::UpperLayers { layers: std::num::NonZeroUsize::MIN }
}

/// Numbers in matrices, and in all tensors.
fn numbers(layout: &Layout) -> (usize, usize) {
    let matrices = layout.iter().filter(|(_, shape, _)| shape.len() == 2).map(|(.., place)| place.len());
    (matrices.sum(), layout.len())
}

/// A policy that is read tensor by tensor.
fn read(device: &Device, precision: Precision) -> Policy<Small> {
    let parameters = init::random(Small::DIMS.policy_layout(), 3, Seed::root(1));
    let read = |name: &str, to: &mut [f32]| {
        to.copy_from_slice(parameters.tensor(name)?);
        Ok::<_, ModelError>(())
    };
    Policy::read(device, precision, read).unwrap()
}

#[test]
fn matrices_in_bfloat16_take_two_bytes_and_what_is_trained_of_them_four_more_once_it_moves() {
    let device = Device::cpu();
    let base = device.used().now();
    let used = || device.used().now() - base;
    let (matrices, all) = numbers(&Small::DIMS.policy_layout());
    let rotary = {
        let policy = read(&device, Precision::Float32);
        let rotary = used() - 4 * all;
        drop(policy);
        rotary
    };
    assert_eq!((used(), rotary), (0, 2 * 4 * 8 * 4), "sines and cosines of 8 positions and 4 angles");
    let mut policy = read(&device, Precision::Bfloat16);
    let held = 2 * matrices + 4 * (all - matrices) + rotary;
    assert_eq!(used(), held);

    // Adapters and the critic on the same trunk: adapters alone, and a head.
    let tuning = Tuning::Lora(Lora::default());
    let tuned = policy.tuned(&tuning, Seed::root(2)).unwrap();
    let adapters = tuned.trained().unwrap().values().len();
    assert_eq!(used(), held + 4 * adapters + rotary);
    let head = Parameters::zeros(head_layout(16));
    let critic = ScalarModel::on_policy(&tuned, &head, &tuning, Seed::root(3)).unwrap();
    assert_eq!(used(), held + 2 * (4 * adapters + rotary) + 4 * 17);
    drop((tuned, critic));

    // All of it trained: the policy's own values and masters, and the reference's values.
    let reference = policy.fork();
    policy.weights.trained_mut().unwrap();
    policy.weights.settle().unwrap();
    assert_eq!(used(), 2 * (held - rotary) + rotary + 4 * all);
    drop(reference);
    assert_eq!(used(), held + 4 * all);
}

#[test]
fn a_critic_on_the_policys_trunk_is_one_of_the_same_parameters() {
    let device = Device::cpu();
    for precision in [Precision::Float32, Precision::Bfloat16] {
        let start = read(&device, precision);
        let mut head = Parameters::zeros(head_layout(16));
        head.tensor_mut(HEAD_BIAS).unwrap().fill(0.25);
        for tuning in [Tuning::Full, upper(), Tuning::Lora(Lora::default())] {
            let mut parameters = Parameters::zeros(Small::DIMS.scalar_layout());
            parameters.copy_prefix_from(&start.parameters().unwrap(), "trunk.").unwrap();
            parameters.copy_prefix_from(&head, "head.").unwrap();
            let policy = start.tuned(&tuning, Seed::root(2)).unwrap();
            let critic = ScalarModel::on_policy(&policy, &head, &tuning, Seed::root(3)).unwrap();
            let apart = ScalarModel::<Small>::new_in(&device, &parameters, precision).unwrap();
            let apart = apart.tuned(&tuning, Seed::root(3)).unwrap();
            assert_eq!(critic.parameters().unwrap(), parameters, "{tuning:?}");
            assert_eq!(critic.trained().unwrap(), apart.trained().unwrap(), "{tuning:?}");
            assert_eq!(critic.precision(), precision);
        }
        // Of a policy that was tuned before, all of the critic is trained.
        let tuned = start.tuned(&Tuning::Lora(Lora::default()), Seed::root(2)).unwrap();
        let critic = ScalarModel::on_policy(&tuned, &head, &Tuning::Full, Seed::root(3)).unwrap();
        assert_eq!(critic.trained().unwrap(), critic.parameters().unwrap());
        // A head of another width is an error, not a panic.
        let other = Parameters::zeros(head_layout(15));
        for tuning in [Tuning::Full, Tuning::Lora(Lora::default())] {
            let policy = start.tuned(&tuning, Seed::root(2)).unwrap();
            let error = ScalarModel::on_policy(&policy, &other, &tuning, Seed::root(3)).unwrap_err();
            let needed = "tensor `head.weight` has shape [15, 1], this model needs [16, 1]";
            assert!(error.to_string().ends_with(needed), "{error}");
        }
    }
}

#[test]
fn a_critic_that_goes_on_from_a_prm_is_the_same_under_another_head_and_shares_its_trunk() {
    let device = Device::cpu();
    let used = || device.used().now();
    let mut head = Parameters::zeros(head_layout(16));
    head.values_mut().copy_from_slice(&[0.5; 17]);
    for precision in [Precision::Float32, Precision::Bfloat16] {
        let policy = read(&device, precision);
        for tuning in [Tuning::Full, upper(), Tuning::Lora(Lora::default())] {
            let on_policy = policy.tuned(&tuning, Seed::root(2)).unwrap();
            let mut prm = ScalarModel::on_policy(&on_policy, &head, &tuning, Seed::root(3)).unwrap();
            let mut trained = prm.trained().unwrap();
            trained.values_mut().iter_mut().zip(1..).for_each(|(value, n)| *value += 1e-3 * (n as f32).sin());
            prm.set_trained(&trained).unwrap();
            let scorer = prm.scorer();
            let goes_on = |tuning: &Tuning| {
                let critic = ScalarModel::on_scorer(&scorer, &policy, &head, tuning, Seed::root(4));
                critic.unwrap().expect("they fit together")
            };
            let before = used();
            let critic = goes_on(&tuning);
            let mut needed = scorer.parameters().unwrap();
            needed.copy_prefix_from(&head, HEAD).unwrap();
            assert_eq!(critic.parameters().unwrap(), needed, "{tuning:?}, {precision:?}");
            assert_eq!(critic.trained().unwrap().layout(), trained.layout());
            if matches!(tuning, Tuning::Lora(_)) {
                assert_eq!(used() - before, 4 * trained.values().len(), "adapters and a head");
            }
            // Of another tuning it is the same once more, rounded where it is no longer trained.
            let other = goes_on(&upper()).parameters().unwrap();
            let near = |(a, b): (&f32, &f32)| (a - b).abs() <= a.abs() / 128.0;
            assert!(needed.values().iter().zip(other.values()).all(near), "{tuning:?}, {precision:?}");

            let narrow = Parameters::zeros(head_layout(15));
            let error =
                ScalarModel::on_scorer(&scorer, &policy, &narrow, &tuning, Seed::root(4)).unwrap_err();
            let needed = "tensor `head.weight` has shape [15, 1], this model needs [16, 1]";
            assert!(error.to_string().ends_with(needed), "{error}");
            // Elsewhere, or held otherwise, nothing can be shared.
            let elsewhere = read(&Device::cpu(), precision);
            let otherwise = match precision {
                Precision::Float32 => Precision::Bfloat16,
                Precision::Bfloat16 => Precision::Float32,
            };
            for policy in [elsewhere, read(&device, otherwise)] {
                let none = ScalarModel::on_scorer(&scorer, &policy, &head, &tuning, Seed::root(4)).unwrap();
                assert!(none.is_none());
            }
        }
    }
}

#[test]
fn reading_holds_no_more_than_one_tensor_beside_the_model() {
    // On the device; the reader's room for one tensor is not the device's.
    let device = Device::cpu();
    device.used().most();
    let policy = read(&device, Precision::Bfloat16);
    assert_eq!(device.used().most(), device.used().now());
    drop(policy);
}
