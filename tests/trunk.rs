//! The trunk as one differentiable op: gradients against differences, decoding against the forward pass.

use pspo::data::numbers::Temperature;
use pspo::data::{Parameters, Seed, Sequence};
use pspo::kernels::Device;
use pspo::model::decode::Row;
use pspo::model::tensor::{SumTo, vector};
use pspo::model::{AdamW, AdamWConfig, Arch, Batch, ModelError, Policy, ScalarModel, backward, init};

pspo::arch! {
    struct Small {
        name: "small", vocabulary: 13, width: 12, layers: 2, heads: 3, kv_heads: 1, head_size: 4, hidden: 10,
        positions: 40,
    }
}

pspo::arch! {
    struct Tied {
        name: "tied", vocabulary: 13, width: 8, layers: 1, heads: 2, kv_heads: 2, head_size: 4, hidden: 6,
        positions: 40, tied: true, qkv_bias: true,
    }
}

const HOT: Temperature = Temperature::new(0.8);

fn rows() -> Vec<Sequence> {
    vec![
        Sequence { prompt: vec![1, 2, 3], response: vec![4, 5, 6, 12] },
        Sequence { prompt: vec![7], response: vec![8] },
        Sequence { prompt: vec![9, 10], response: vec![] },
        Sequence { prompt: vec![3, 1], response: vec![0, 0, 4, 11, 2] },
    ]
}

/// Compares a gradient with central differences at places spread over all tensors.
fn check(parameters: &Parameters, gradient: &[f32], loss: impl Fn(&Parameters) -> f64) {
    for (name, _, range) in parameters.layout().iter() {
        for place in range.clone().step_by(range.len().div_ceil(7)) {
            let at = |delta: f32| {
                let mut moved = parameters.clone();
                moved.values_mut()[place] += delta;
                loss(&moved)
            };
            let numeric = (at(5e-3) - at(-5e-3)) / 1e-2;
            let exact = f64::from(gradient[place]);
            assert!((numeric - exact).abs() < 1e-2 * exact.abs().max(0.5), "{name}: {exact}, not {numeric}");
        }
    }
}

fn policy_gradient<A: Arch>() {
    let device = Device::cpu();
    let policy = Policy::<A>::random(&device, Seed::root(1)).unwrap();
    let batch = Batch::responses(&A::DIMS, &rows()).unwrap();
    let n = batch.scored().values().len();
    let (a, b): (Vec<f32>, Vec<f32>) = (0..n).map(|i| ((i as f32).sin(), (i as f32).cos())).unzip();

    let out = policy.log_probs(&batch, HOT).unwrap();
    let loss = (out.log_probs * vector(a.clone()) + out.entropy * vector(b.clone())).sum();
    backward(loss).unwrap();

    let loss = |parameters: &Parameters| {
        let policy = Policy::<A>::new(&device, parameters).unwrap();
        let out = policy.log_probs_no_grad(&batch, HOT).unwrap();
        let weighted = |x: Vec<f32>, w: &[f32]| x.iter().zip(w).map(|(&x, &w)| f64::from(x * w)).sum::<f64>();
        weighted(out.log_probs, &a) + weighted(out.entropy, &b)
    };
    check(&policy.parameters().unwrap(), &policy.gradient().unwrap(), loss);
}

#[test]
fn the_policys_gradient_agrees_with_differences() {
    policy_gradient::<Small>();
    policy_gradient::<Tied>();
}

#[test]
fn a_scalar_models_gradient_agrees_with_differences() {
    let device = Device::cpu();
    let parameters = init::random(Small::DIMS.scalar_layout(), 2, Seed::root(2));
    let model = ScalarModel::<Small>::new(&device, &parameters).unwrap();
    let rows = rows();
    let batch = Batch::at(&Small::DIMS, [(&rows[0], &[1, 3][..]), (&rows[3], &[0, 4][..])]).unwrap();
    let target = [0.5, -1.0, 0.25, 1.0];
    backward((model.values(&batch).unwrap() - vector(target.to_vec())).square().sum()).unwrap();
    let loss = |parameters: &Parameters| {
        let values = ScalarModel::<Small>::new(&device, parameters).unwrap().values_no_grad(&batch).unwrap();
        values.iter().zip(target).map(|(v, t)| f64::from(v - t).powi(2)).sum()
    };
    check(&parameters, &model.gradient().unwrap(), loss);
}

#[test]
fn a_row_has_the_same_log_probs_alone_and_in_a_batch() {
    let policy = Policy::<Small>::random(&Device::cpu(), Seed::root(3)).unwrap();
    let log_probs = |rows: &[Sequence]| {
        let batch = Batch::responses(&Small::DIMS, rows).unwrap();
        policy.log_probs_no_grad(&batch, HOT).unwrap().log_probs
    };
    let alone: Vec<f32> = rows().into_iter().flat_map(|row| log_probs(&[row])).collect();
    assert_eq!(alone, log_probs(&rows()), "alone, and in a batch");
}

fn decoding_agrees<A: Arch>() {
    let mut parameters = init::random(A::DIMS.policy_layout(), A::DIMS.layers, Seed::root(4));
    // so that biases and norms count
    for (place, value) in parameters.values_mut().iter_mut().enumerate() {
        *value += 0.1 * (place as f32).sin();
    }
    let policy = Policy::<A>::new(&Device::cpu(), &parameters).unwrap();
    let rows = rows();
    let tokens: Vec<u32> = rows[3].tokens().collect();
    let batch = Batch::responses(&A::DIMS, &rows[3..]).unwrap();
    let exact = policy.log_probs_no_grad(&batch, HOT).unwrap().log_probs;
    let log_prob = |logits: &[f32], token: u32| {
        let z: Vec<f64> = logits.iter().map(|&z| f64::from(z) / 0.8).collect();
        z[token as usize] - z.iter().map(|z| z.exp()).sum::<f64>().ln()
    };

    let dims = &A::DIMS;
    let mut decoder = policy.decoder().unwrap();
    let prefix = decoder.prefill(&[&tokens]).unwrap().remove(0);
    let mut first_logits = None;
    for shared in 0..tokens.len() - 1 {
        // The same row from a fork of the whole, alone and among others.
        for others in [0, 1, 7] {
            let mut forked: Vec<Row> =
                (0..=others).map(|_| Row::fork(dims, prefix.clone(), shared, tokens.len())).collect();
            for place in shared..tokens.len() - 1 {
                let mut refs: Vec<&mut Row> = forked.iter_mut().collect();
                let mut fed = vec![3; others + 1];
                fed[0] = tokens[place];
                let logits = decoder.step(&mut refs, &fed).unwrap()[..dims.vocabulary].to_vec();
                if place >= 1 {
                    let got = log_prob(&logits, tokens[place + 1]);
                    assert!((got - f64::from(exact[place - 1])).abs() < 1e-4);
                }
                if place == tokens.len() - 2 {
                    // Bits depend on neither batch; the fork's place changes the order of sums.
                    if shared == 0 {
                        assert_eq!(first_logits.get_or_insert(logits.clone()), &logits);
                    }
                }
            }
        }
    }
}

#[test]
fn decoding_agrees_with_the_forward_pass_and_does_not_depend_on_the_batch() {
    decoding_agrees::<Small>();
    decoding_agrees::<Tied>();
}

#[test]
fn a_fork_is_not_moved_by_its_twins_updates() {
    let mut policy = Policy::<Small>::random(&Device::cpu(), Seed::root(5)).unwrap();
    let reference = policy.fork();
    let before = reference.parameters().unwrap();
    let mut optimizer = AdamW::new(AdamWConfig::default(), &mut policy).unwrap();
    let batch = Batch::responses(&Small::DIMS, &rows()).unwrap();
    for _ in 0..2 {
        let loss = policy.log_probs(&batch, HOT).unwrap().log_probs.sum();
        backward(loss).unwrap();
        assert!(optimizer.step(&mut policy, 0.01).unwrap() > 0.0);
    }
    assert_eq!(reference.parameters().unwrap(), before);
    assert_ne!(policy.parameters().unwrap(), before);
    assert!(reference.gradient().unwrap().iter().all(|&g| g == 0.0));
}

#[test]
fn a_loss_that_is_not_finite_updates_nothing() {
    let mut policy = Policy::<Small>::random(&Device::cpu(), Seed::root(6)).unwrap();
    let before = policy.parameters().unwrap();
    let mut optimizer = AdamW::new(AdamWConfig::default(), &mut policy).unwrap();
    let batch = Batch::responses(&Small::DIMS, &rows()).unwrap();
    let poison = vector(vec![f32::NAN; 10]);
    let loss = (policy.log_probs(&batch, HOT).unwrap().log_probs * poison).sum();
    assert!(matches!(backward(loss), Err(ModelError::Loss(loss)) if loss.is_nan()));
    assert_eq!(optimizer.step(&mut policy, 0.01).unwrap(), 0.0);
    assert_eq!(policy.parameters().unwrap(), before);
}
