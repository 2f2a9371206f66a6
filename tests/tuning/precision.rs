//! Matrices in bfloat16: what is computed, what is trained, and what a checkpoint needs.

use half::bf16;
use pspo::data::{Parameters, Seed};
use pspo::kernels::{Device, Threads};
use pspo::model::decode::Row;
use pspo::model::tensor::{SumTo, vector};
use pspo::model::{AdamW, AdamWConfig, Arch, Batch, Policy, Precision, Projection, Tuning, backward};

use crate::{HOT, Small, Tied, gap, lora, moved, rows, tunings};

/// Whether bfloat16 holds a tensor of what is trained in two bytes.
fn is_rounded(name: &str, shape: &[usize]) -> bool {
    shape.len() == 2 && !name.contains(".lora_")
}

fn round(value: f32) -> f32 {
    bf16::from_f32(value).to_f32()
}

/// The same parameters, matrices rounded.
fn rounded(parameters: &Parameters) -> Parameters {
    let mut rounded = parameters.clone();
    for (name, shape, place) in parameters.layout().iter() {
        if is_rounded(name, shape) {
            rounded.values_mut()[place].iter_mut().for_each(|value| *value = round(*value));
        }
    }
    rounded
}

fn half<A: Arch>() -> Policy<A> {
    Policy::<A>::random(&Device::cpu(), Seed::root(1)).unwrap().in_precision(Precision::Bfloat16).unwrap()
}

/// A tuned policy in bfloat16 whose masters are no bfloat16, and the policy in f32 that has its rounded values.
fn pair<A: Arch>(tuning: &Tuning) -> (Policy<A>, Policy<A>) {
    let half = half::<A>();
    let wide = Policy::<A>::new(&Device::cpu(), &half.parameters().unwrap()).unwrap();
    let (mut half, mut wide) =
        (half.tuned(tuning, Seed::root(2)).unwrap(), wide.tuned(tuning, Seed::root(2)).unwrap());
    assert_eq!((half.precision(), wide.precision()), (Precision::Bfloat16, Precision::Float32));
    let masters = moved(half.trained().unwrap());
    half.set_trained(&masters).unwrap();
    assert_eq!(half.trained().unwrap(), masters);
    wide.set_trained(&rounded(&masters)).unwrap();
    (half, wide)
}

/// The logits behind [1, 2, 3, 5] in a step with so many rows.
fn logits<A: Arch>(policy: &Policy<A>, rows: usize, threads: Threads) -> Vec<f32> {
    let mut decoder = policy.decoder().unwrap().another(threads);
    let prefix = decoder.prefill(&[&[1, 2, 3]]).unwrap().remove(0);
    let mut rows: Vec<Row> = (0..rows).map(|_| Row::fork(decoder.dims(), prefix.clone(), 2, 4)).collect();
    let mut rows: Vec<&mut Row> = rows.iter_mut().collect();
    let others: Vec<u32> = (1..rows.len() as u32).map(|row| row % 13).collect();
    decoder.step(&mut rows, &[&[3], &others[..]].concat()).unwrap();
    decoder.step(&mut rows, &[&[5], &others[..]].concat()).unwrap()[..A::DIMS.vocabulary].to_vec()
}

fn gradient<A: Arch>(policy: &Policy<A>) -> Vec<f32> {
    let batch = Batch::responses(&A::DIMS, &rows()).unwrap();
    let out = policy.log_probs(&batch, HOT).unwrap();
    let n = batch.scored().values().len();
    let (a, b): (Vec<f32>, Vec<f32>) = (0..n).map(|i| ((i as f32).sin(), (i as f32).cos())).unzip();
    backward((out.log_probs * vector(a) + out.entropy * vector(b)).sum()).unwrap();
    policy.gradient().unwrap()
}

/// Of the loss whose gradient [`gradient`] is.
fn loss<A: Arch>(policy: &Policy<A>) -> f64 {
    let batch = Batch::responses(&A::DIMS, &rows()).unwrap();
    let out = policy.log_probs_no_grad(&batch, HOT).unwrap();
    let each = out.log_probs.iter().zip(&out.entropy).enumerate();
    each.map(|(i, (p, h))| f64::from(p * (i as f32).sin()) + f64::from(h * (i as f32).cos())).sum()
}

fn has_the_bits_of_its_rounded_values<A: Arch>() {
    let batch = Batch::responses(&A::DIMS, &rows()).unwrap();
    for tuning in tunings() {
        let (half, wide) = pair::<A>(&tuning);
        let log_probs = |policy: &Policy<A>| policy.log_probs_no_grad(&batch, HOT).unwrap();
        assert!(log_probs(&half) == log_probs(&wide), "{tuning:?}");
        assert!(gradient(&half) == gradient(&wide), "{tuning:?}");
        let alone = logits(&half, 1, Threads::One);
        match &tuning {
            // Beside its matrix an adapter is rounded otherwise than merged into it, in f32.
            Tuning::Lora(_) => assert!(gap(&alone, &logits(&wide, 1, Threads::One)) < 1e-5),
            _ => assert!(alone == logits(&wide, 1, Threads::One), "{tuning:?}"),
        }
        for threads in [Threads::One, Threads::Pool] {
            for rows in [2, 5, 13] {
                assert!(logits(&half, rows, threads) == alone, "{rows} rows under {tuning:?}");
            }
        }
        let mut again = half.fork();
        again.set_recompute(true);
        assert!(gradient(&again) == gradient(&half.fork()), "computed again, activations have the same bits");
    }
}

#[test]
fn a_policy_in_bfloat16_has_the_bits_of_one_in_f32_with_its_rounded_values() {
    has_the_bits_of_its_rounded_values::<Small>();
    has_the_bits_of_its_rounded_values::<Tied>();
}

#[test]
fn sampler_and_trainer_agree() {
    let row = pspo::data::Sequence { prompt: vec![1, 2, 3, 5], response: vec![7] };
    let batch = Batch::responses(&Small::DIMS, [&row]).unwrap();
    for tuning in tunings() {
        let (half, _) = pair::<Small>(&tuning);
        let logits: Vec<f64> =
            logits(&half, 3, Threads::One).iter().map(|z| f64::from(z / HOT.get())).collect();
        let sampled = logits[7] - logits.iter().map(|z| z.exp()).sum::<f64>().ln();
        let trained = half.log_probs_no_grad(&batch, HOT).unwrap().log_probs[0];
        assert!((sampled - f64::from(trained)).abs() < 1e-5, "{sampled} and {trained} under {tuning:?}");
    }
}

#[test]
fn the_gradient_agrees_with_differences_of_what_is_computed_with() {
    for tuning in tunings() {
        let (policy, _) = pair::<Tied>(&tuning);
        let (masters, gradient) = (policy.trained().unwrap(), gradient(&policy));
        for (name, shape, range) in masters.layout().iter() {
            for place in range.clone().step_by(range.len().div_ceil(7)) {
                let at = |delta: f32| {
                    let (mut moved, mut policy) = (masters.clone(), policy.fork());
                    moved.values_mut()[place] += delta;
                    policy.set_trained(&moved).unwrap();
                    let value = moved.values()[place];
                    (loss(&policy), if is_rounded(name, shape) { round(value) } else { value })
                };
                let ((above, high), (below, low)) = (at(8e-3), at(-8e-3));
                let numeric = (above - below) / f64::from(high - low);
                let exact = f64::from(gradient[place]);
                let far = (numeric - exact).abs();
                assert!(far < 2e-2 * exact.abs().max(0.5), "{name}: {exact}, not {numeric}");
            }
        }
    }
}

/// An update of the policy by a loss of its own.
fn update(policy: &mut Policy<Small>, optimizer: &mut AdamW, rate: f32) {
    let batch = Batch::responses(&Small::DIMS, &rows()).unwrap();
    backward(policy.log_probs(&batch, HOT).unwrap().log_probs.sum()).unwrap();
    optimizer.step(policy, rate).unwrap();
}

#[test]
fn steps_that_are_smaller_than_a_bfloat16_add_up_in_the_masters() {
    let start = half::<Small>();
    let before = start.parameters().unwrap();
    assert_eq!(rounded(&before), before);
    let mut policy = start.fork();
    let mut optimizer = AdamW::new(AdamWConfig::default(), &mut policy).unwrap();
    let mut values = Vec::new();
    for step in 0..40 {
        update(&mut policy, &mut optimizer, 1e-5);
        let masters = policy.parameters().unwrap();
        let output = masters.tensor("output.weight").unwrap();
        let now: Vec<f32> = output.iter().map(|&value| round(value)).collect();
        if step == 0 {
            let moved = output.iter().zip(before.tensor("output.weight").unwrap()).filter(|(a, b)| a != b);
            assert!(moved.count() > output.len() / 2, "the masters move at once");
        }
        let wide = Policy::<Small>::new(&Device::cpu(), &rounded(&masters)).unwrap();
        assert_eq!(loss(&policy), loss(&wide), "the values are the masters, rounded");
        values.push(now);
    }
    let changed = |a: &[f32], b: &[f32]| a.iter().zip(b).filter(|(a, b)| a != b).count();
    let (first, last) = (&values[0], &values[39]);
    let at_once = changed(before.tensor("output.weight").unwrap(), first);
    assert!(changed(first, last) > 2 * at_once + 10, "{at_once} of them at once");
    assert_eq!(start.parameters().unwrap(), before, "a fork stays as it was");
    assert_eq!(loss(&start), loss(&half::<Small>()));
}

#[test]
fn a_training_goes_on_from_what_a_checkpoint_keeps_to_the_same_bits() {
    for tuning in tunings() {
        let start = half::<Small>().tuned(&tuning, Seed::root(2)).unwrap();
        let mut straight = start.fork();
        let mut optimizer = AdamW::new(AdamWConfig::default(), &mut straight).unwrap();
        for _ in 0..2 {
            update(&mut straight, &mut optimizer, 1e-3);
        }
        let (saved, (first, second, steps)) = (straight.trained().unwrap(), optimizer.state().unwrap());
        let mut resumed = half::<Small>().tuned(&tuning, Seed::root(2)).unwrap();
        resumed.set_trained(&saved).unwrap();
        let mut other = AdamW::new(AdamWConfig::default(), &mut resumed).unwrap();
        other.restore(&first, &second, steps).unwrap();
        for _ in 0..2 {
            update(&mut straight, &mut optimizer, 1e-3);
            update(&mut resumed, &mut other, 1e-3);
        }
        assert_eq!(straight.trained().unwrap(), resumed.trained().unwrap(), "{tuning:?}");
        assert_eq!(loss(&straight), loss(&resumed));
        assert_ne!(start.trained().unwrap(), straight.trained().unwrap());
    }
}

#[test]
fn what_is_not_trained_stays_what_it_was_to_the_bit() {
    let start = half::<Small>();
    let before = start.parameters().unwrap();
    let mut policy = start.tuned(&lora([Projection::Qkv]), Seed::root(2)).unwrap();
    assert_eq!(policy.parameters().unwrap(), before);
    let mut optimizer = AdamW::new(AdamWConfig::default(), &mut policy).unwrap();
    for _ in 0..2 {
        update(&mut policy, &mut optimizer, 1e-2);
    }
    let after = policy.parameters().unwrap();
    for (name, _, place) in before.layout().iter() {
        let moved = before.values()[place.clone()] != after.values()[place];
        assert_eq!(moved, name.ends_with(".qkv"), "{name}");
    }
    // In f32 again, all of that is kept.
    let wide = policy.in_precision(Precision::Float32).unwrap();
    assert_eq!(wide.parameters().unwrap(), after);
}
