//! An update is that of the whole batch however it is cut, and holds the activations of one pass.

use super::*;
use crate::kernels::Device;
use crate::model::GROUP_TOKENS;

crate::arch! {
    struct Toy {
        name: "toy", vocabulary: 13, width: 16, layers: 2, heads: 2, kv_heads: 1, head_size: 8, hidden: 24,
        positions: 64,
    }
}

/// Rows of about `len` + 2 tokens.
fn examples(rows: u32, len: usize) -> Vec<Sequence> {
    let row = |row: u32| Sequence {
        prompt: vec![1 + row % 5, 2],
        response: (0..len as u32 - row % 3).map(|t| (row * 3 + t * 5) % 13).collect(),
    };
    (0..rows).map(row).collect()
}

fn sft(tokens: usize, device: &Device, examples: Vec<Sequence>) -> Sft<Toy> {
    let config = SftConfig {
        batch: NonZeroUsize::new(examples.len()).unwrap(),
        micro_batch_tokens: NonZeroUsize::new(tokens).unwrap(),
        ..SftConfig::default()
    };
    Sft::new(config, Policy::random(device, Seed::root(1)).unwrap(), examples, Seed::root(2)).unwrap()
}

#[test]
fn an_update_does_not_depend_on_the_passes() {
    let run = |tokens| {
        let mut sft = sft(tokens, &Device::cpu(), examples(144, 9));
        let steps: Vec<SftStep> = (0..3).map(|_| sft.step().unwrap()).collect();
        (steps, sft.policy().parameters().unwrap().into_values())
    };
    let (steps, whole) = run(10_000);
    for tokens in [1, GROUP_TOKENS, 2 * GROUP_TOKENS] {
        let (in_parts, cut) = run(tokens);
        for (a, b) in steps.iter().zip(&in_parts) {
            assert!((a.loss - b.loss).abs() < 1e-5, "{} and {}", a.loss, b.loss);
            assert_eq!(a.tokens, b.tokens);
        }
        assert!(whole == cut, "other bits with passes of {tokens}");
    }
}

#[test]
fn an_update_holds_the_activations_of_one_pass() {
    let pass = GROUP_TOKENS;
    let most = |tokens| {
        let device = Device::cpu();
        let mut sft = sft(tokens, &device, examples(144, 60));
        sft.step().unwrap(); // which makes the gradient
        let before = device.used().now();
        device.used().most();
        sft.step().unwrap();
        device.used().most() - before
    };
    // What a backward pass needs beside what was kept is less than that again.
    let bound = 2 * 4 * pass * Toy::DIMS.kept_per_token();
    let (bounded, whole) = (most(pass), most(usize::MAX));
    assert!(bounded < bound, "{bounded} bytes, more than {bound}");
    assert!(whole > 4 * bound, "all rows at once hold {whole} bytes: that would not show");
}

#[test]
fn an_example_that_does_not_fit_leaves_no_gradient_behind() {
    let mut examples = examples(24, 9);
    let long = Sequence { prompt: vec![1], response: vec![2; 64] };
    examples[17] = long;
    let mut sft = sft(30, &Device::cpu(), examples);
    let error = sft.step().unwrap_err();
    assert!(matches!(error, SftError::Model(ModelError::TooLong { row: 17, len: 65, .. })), "{error}");
    assert!(sft.policy().gradient().unwrap().iter().all(|&gradient| gradient == 0.0));
}

#[test]
fn the_order_of_examples_changes_no_bit() {
    let run = |examples: Vec<Sequence>| {
        let config = SftConfig { batch: const { NonZeroUsize::new(7).unwrap() }, ..SftConfig::default() };
        let policy = Policy::<Toy>::random(&Device::cpu(), Seed::root(1)).unwrap();
        let mut sft = Sft::new(config, policy, examples, Seed::root(2)).unwrap();
        let losses: Vec<_> = (0..5).map(|_| sft.step().unwrap().loss).collect();
        (losses, sft.state().unwrap())
    };
    let example = |i: u32| Sequence {
        prompt: vec![i % 5, 1],
        response: (0..1 + i % 9).map(|t| (i * 3 + t * 5) % 13).collect(),
    };
    let examples: Vec<Sequence> = (0..20).map(example).collect();
    let turned = examples.iter().rev().cloned().collect();
    assert!(run(examples) == run(turned));
}
