//! What is trained of a model and what stays: adapters, upper layers, activations computed again.

#[path = "tuning/precision.rs"]
mod precision;

use std::num::NonZeroUsize;

use pspo::data::numbers::{LoraAlpha, Temperature};
use pspo::data::{Parameters, Seed, Sequence};
use pspo::kernels::Device;
use pspo::model::decode::Row;
use pspo::model::tensor::{SumTo, vector};
use pspo::model::{
    AdamW, AdamWConfig, Arch, Batch, Lora, Policy, Projection, ScalarModel, Tuning, backward, init,
};

pspo::arch! {
    struct Small {
        name: "small", vocabulary: 13, width: 12, layers: 3, heads: 3, kv_heads: 1, head_size: 4, hidden: 10,
        positions: 40,
    }
}

pspo::arch! {
    struct Tied {
        name: "tied", vocabulary: 13, width: 8, layers: 2, heads: 2, kv_heads: 2, head_size: 4, hidden: 6,
        positions: 40, tied: true, qkv_bias: true,
    }
}

const HOT: Temperature = Temperature::new(0.8);

fn rows() -> Vec<Sequence> {
    vec![
        Sequence { prompt: vec![1, 2, 3], response: vec![4, 5, 6, 12] },
        Sequence { prompt: vec![7], response: vec![8] },
        Sequence { prompt: vec![3, 1], response: vec![0, 0, 4, 11, 2] },
    ]
}

fn lora(targets: impl Into<Vec<Projection>>) -> Tuning {
    let (rank, alpha) = (NonZeroUsize::new(3).unwrap(), LoraAlpha::new(4.5));
    Tuning::Lora(Lora { rank, alpha, targets: targets.into().into_iter().collect() })
}

fn upper(layers: usize) -> Tuning {
    Tuning::UpperLayers { layers: NonZeroUsize::new(layers).unwrap() }
}

fn tunings() -> Vec<Tuning> {
    vec![
        Tuning::Full,
        upper(1),
        upper(2),
        lora(Projection::ALL),
        lora([Projection::Down]),
        lora([Projection::Qkv, Projection::AttentionOut]),
    ]
}

/// A tuned policy whose adapters do something.
fn tuned<A: Arch>(tuning: &Tuning) -> Policy<A> {
    let policy = Policy::<A>::random(&Device::cpu(), Seed::root(1)).unwrap();
    let mut tuned = policy.tuned(tuning, Seed::root(2)).unwrap();
    let trained = moved(tuned.trained().unwrap());
    tuned.set_trained(&trained).unwrap();
    tuned
}

/// The same parameters, none of them 0.
fn moved(mut parameters: Parameters) -> Parameters {
    for (i, value) in parameters.values_mut().iter_mut().enumerate() {
        *value += 0.2 * (i as f32).sin();
    }
    parameters
}

/// Compares a gradient with central differences at places spread over all tensors.
fn check(parameters: &Parameters, gradient: &[f32], loss: impl Fn(&Parameters) -> f64) {
    assert_eq!(parameters.values().len(), gradient.len());
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

fn policy_gradient<A: Arch>(tuning: &Tuning) {
    let policy = tuned::<A>(tuning);
    let batch = Batch::responses(&A::DIMS, &rows()).unwrap();
    let n = batch.scored().values().len();
    let (a, b): (Vec<f32>, Vec<f32>) = (0..n).map(|i| ((i as f32).sin(), (i as f32).cos())).unzip();
    let run = |policy: &Policy<A>| {
        let out = policy.log_probs(&batch, HOT).unwrap();
        backward((out.log_probs * vector(a.clone()) + out.entropy * vector(b.clone())).sum()).unwrap();
        policy.gradient().unwrap()
    };
    let gradient = run(&policy);
    let loss = |parameters: &Parameters| {
        let mut policy = policy.fork();
        policy.set_trained(parameters).unwrap();
        let out = policy.log_probs_no_grad(&batch, HOT).unwrap();
        let weighted = |x: Vec<f32>, w: &[f32]| x.iter().zip(w).map(|(&x, &w)| f64::from(x * w)).sum::<f64>();
        weighted(out.log_probs, &a) + weighted(out.entropy, &b)
    };
    check(&policy.trained().unwrap(), &gradient, loss);

    let mut again = policy.fork();
    again.set_recompute(true);
    assert!(run(&again) == gradient, "computed again, activations are the same to the bit");
}

#[test]
fn the_gradient_of_what_is_trained_agrees_with_differences() {
    for tuning in tunings() {
        policy_gradient::<Small>(&tuning);
        policy_gradient::<Tied>(&tuning);
    }
}

#[test]
fn a_scalar_models_head_is_always_trained() {
    let parameters = init::random(Small::DIMS.scalar_layout(), 3, Seed::root(2));
    let rows = rows();
    let batch = Batch::at(&Small::DIMS, [(&rows[0], &[1, 3][..]), (&rows[2], &[0, 4][..])]).unwrap();
    let target = [0.5, -1.0, 0.25, 1.0];
    for tuning in tunings() {
        let mut model = ScalarModel::<Small>::new(&Device::cpu(), &parameters).unwrap();
        model = model.tuned(&tuning, Seed::root(3)).unwrap();
        model.set_trained(&moved(model.trained().unwrap())).unwrap();
        let trained = model.trained().unwrap();
        assert!(trained.tensor("head.weight").is_ok() && trained.tensor("head.bias").is_ok());
        let run = |model: &ScalarModel<Small>| {
            backward((model.values(&batch).unwrap() - vector(target.to_vec())).square().sum()).unwrap();
            model.gradient().unwrap()
        };
        let gradient = run(&model);
        let loss = |parameters: &Parameters| {
            let mut model = model.clone();
            model.set_trained(parameters).unwrap();
            let values = model.values_no_grad(&batch).unwrap();
            values.iter().zip(target).map(|(v, t)| f64::from(v - t).powi(2)).sum()
        };
        check(&trained, &gradient, loss);
        let full = || model.tuned(&Tuning::Full, Seed::root(4)).unwrap();
        let mut again = full();
        again.set_recompute(true);
        assert!(run(&again) == run(&full()), "computed again, activations are the same to the bit");
    }
}

/// The largest difference of two lists.
fn gap(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn adapters_merged_are_adapters_beside_their_matrices() {
    for tuning in tunings() {
        let policy = tuned::<Tied>(&tuning);
        let merged = Policy::<Tied>::new(&Device::cpu(), &policy.parameters().unwrap()).unwrap();
        let batch = Batch::responses(&Tied::DIMS, &rows()).unwrap();
        let log_probs = |policy: &Policy<Tied>| policy.log_probs_no_grad(&batch, HOT).unwrap().log_probs;
        assert!(gap(&log_probs(&policy), &log_probs(&merged)) < 1e-5);

        let logits = |policy: &Policy<Tied>| {
            let mut decoder = policy.decoder().unwrap();
            let prefix = decoder.prefill(&[&[1, 2, 3]]).unwrap().remove(0);
            let mut row = Row::fork(decoder.dims(), prefix, 2, 4);
            decoder.step(&mut [&mut row], &[3]).unwrap();
            decoder.step(&mut [&mut row], &[5]).unwrap().to_vec()
        };
        assert!(gap(&logits(&policy), &logits(&merged)) < 1e-5, "in decoding");
    }
}

#[test]
fn training_moves_what_it_is_to_move_alone() {
    let start = Policy::<Small>::random(&Device::cpu(), Seed::root(1)).unwrap();
    let before = start.parameters().unwrap();
    let batch = Batch::responses(&Small::DIMS, &rows()).unwrap();
    for tuning in tunings() {
        let mut policy = start.tuned(&tuning, Seed::root(2)).unwrap();
        assert_eq!(policy.parameters().unwrap(), before);
        let reference = policy.fork();
        let mut optimizer = AdamW::new(AdamWConfig::default(), &mut policy).unwrap();
        for _ in 0..2 {
            backward(policy.log_probs(&batch, HOT).unwrap().log_probs.sum()).unwrap();
            assert!(optimizer.step(&mut policy, 0.01).unwrap() > 0.0);
        }
        assert_eq!(reference.parameters().unwrap(), before);
        let after = policy.parameters().unwrap();
        for (name, _, place) in before.layout().iter() {
            let moved = before.values()[place.clone()] != after.values()[place];
            let layer = name.split('.').nth(2).and_then(|layer| layer.parse::<usize>().ok());
            let expected = match &tuning {
                Tuning::UpperLayers { layers } => {
                    layer.map_or(name != "trunk.embedding", |l| l + layers.get() >= 3)
                }
                Tuning::Lora(lora) => lora.targets.iter().any(|target| {
                    name.ends_with(match target {
                        Projection::Qkv => ".qkv",
                        Projection::AttentionOut => ".attention_out",
                        Projection::GateUp => ".gate_up",
                        Projection::Down => ".down",
                    })
                }),
                _ => true,
            };
            assert_eq!(moved, expected, "{name} under {tuning:?}");
        }
        // Tuned anew, what was learned is what stays.
        let anew = policy.tuned(&lora([Projection::Qkv]), Seed::root(5)).unwrap();
        assert_eq!(anew.parameters().unwrap(), after);
    }
}

#[test]
fn a_critic_shares_what_is_not_trained_of_an_equal_trunk() {
    let policy = Policy::<Small>::random(&Device::cpu(), Seed::root(1)).unwrap();
    let mut critic = init::random(Small::DIMS.scalar_layout(), 3, Seed::root(2));
    critic.copy_prefix_from(&policy.parameters().unwrap(), "trunk.").unwrap();
    let tuning = lora(Projection::ALL);
    let policy = policy.tuned(&tuning, Seed::root(3)).unwrap();
    let batch = Batch::responses(&Small::DIMS, &rows()).unwrap();
    for equal in [true, false] {
        if !equal {
            critic.values_mut()[0] += 1.0;
        }
        let whole = ScalarModel::<Small>::new(&Device::cpu(), &critic).unwrap();
        let mut tuned = whole.tuned(&tuning, Seed::root(4)).unwrap();
        tuned.share_frozen(&policy).unwrap();
        assert_eq!(tuned.parameters().unwrap(), critic);
        assert_eq!(tuned.values_no_grad(&batch).unwrap(), whole.values_no_grad(&batch).unwrap());
    }
}

#[test]
fn a_tuning_that_does_not_fit_is_an_error() {
    let policy = Policy::<Small>::random(&Device::cpu(), Seed::root(1)).unwrap();
    let error = |tuning| policy.tuned(&tuning, Seed::root(2)).unwrap_err().to_string();
    assert_eq!(error(upper(4)), "4 upper layers are to be trained, the model has 3");
    assert!(error(lora([])).contains("`targets` is empty"));
    let mut tuned = policy.tuned(&upper(1), Seed::root(2)).unwrap();
    let other = policy.tuned(&upper(2), Seed::root(2)).unwrap().trained().unwrap();
    let before = tuned.trained().unwrap();
    assert!(tuned.set_trained(&other).unwrap_err().to_string().contains("trunk.layers.1"));
    assert_eq!(tuned.trained().unwrap(), before);
}

#[test]
fn a_tuning_is_read_from_a_config() {
    let read = |json: &str| serde_json::from_str::<Tuning>(json);
    assert_eq!(read(r#"{"type": "full"}"#).unwrap(), Tuning::Full);
    assert_eq!(read(r#"{"type": "lora"}"#).unwrap(), Tuning::Lora(Lora::default()));
    assert_eq!(read(r#"{"type": "upper_layers", "layers": 2}"#).unwrap(), upper(2));
    let down = r#"{"type": "lora", "rank": 3, "alpha": 4.5, "targets": ["down"]}"#;
    assert_eq!(read(down).unwrap(), lora([Projection::Down]));
    for (json, message) in [
        (r#"{"type": "lora", "rank": 0}"#, "nonzero"),
        (r#"{"type": "lora", "alpha": 0}"#, "LoRA's alpha 0 is out of bounds"),
        (r#"{"type": "lora", "targets": ["q_proj"]}"#, "unknown variant `q_proj`"),
        (r#"{"type": "lora", "r": 3}"#, "unknown field `r`"),
        (r#"{"type": "upper_layers"}"#, "missing field `layers`"),
    ] {
        let error = read(json).unwrap_err().to_string();
        assert!(error.contains(message), "{json}: {error}");
    }
}
