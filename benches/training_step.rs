//! Tokens per second of one PPO update, for policy and critic: log-probabilities, entropy, clipped losses,
//! backward passes and AdamW, on 64 rows of 64 prompt and 16 to 128 response tokens.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pspo::data::numbers::Temperature;
use pspo::data::{Ragged, Seed, Sequence};
use pspo::kernels::Device;
use pspo::model::{Arch, Batch, Policy, ScalarModel, init};
use pspo::ppo::{Experience, Learner, UpdateConfig};
use rand::RngExt;

pspo::arch! {
    struct Small {
        name: "small", vocabulary: 512, width: 128, layers: 4, heads: 4, kv_heads: 2, head_size: 32, hidden: 352,
        positions: 512,
    }
}

const SAMPLED_AT: Temperature = Temperature::new(1.0);

fn experience(policy: &Policy<Small>) -> Experience {
    let mut rng = Seed::root(1).child("rows").rng();
    let mut tokens = |n| (0..n).map(|_| rng.random_range(0..512)).collect::<Vec<u32>>();
    let row = |n| Sequence { prompt: tokens(64), response: tokens(16 + 7 * n % 113) };
    let sequences: Vec<Sequence> = (0..64).map(row).collect();
    let batch = Batch::responses(&Small::DIMS, &sequences).expect("the rows fit");
    let log_probs = policy.log_probs_no_grad(&batch, SAMPLED_AT).expect("the CPU has room").log_probs;
    let log_probs: Ragged<f32> = batch.scored().with_values(log_probs).expect("one for each token");
    let of = |value: fn(usize) -> f32| {
        log_probs.with_values((0..log_probs.values().len()).map(value).collect()).expect("the same rows")
    };
    Experience {
        sequences,
        reference_log_probs: log_probs.clone(),
        values: of(|_| 0.5),
        advantages: of(|token| if token % 3 == 0 { 1.0 } else { -0.5 }),
        returns: of(|token| if token % 2 == 0 { 1.0 } else { 0.0 }),
        log_probs: log_probs.clone(),
        temperature: SAMPLED_AT,
    }
}

fn training_step(criterion: &mut Criterion) {
    let device = Device::cpu();
    let policy = Policy::<Small>::random(&device, Seed::root(2)).expect("the CPU has room");
    let batch = experience(&policy);
    let critic = init::random(Small::DIMS.scalar_layout(), Small::DIMS.layers, Seed::root(3));
    let critic = ScalarModel::new(&device, &critic).expect("its own layout");
    let config = UpdateConfig { minibatches: 1.try_into().expect("1 is not 0"), ..UpdateConfig::default() };
    let mut learner = Learner::new(config, policy, critic).expect("the CPU has room");
    let tokens: usize = batch.sequences.iter().map(Sequence::len).sum();
    let mut group = criterion.benchmark_group("training_step");
    group.sample_size(10).throughput(Throughput::Elements(tokens as u64));
    group.bench_function("ppo_width_128", |bencher| {
        bencher.iter(|| learner.update(&batch, Seed::root(4)).expect("losses are finite"));
    });
    group.finish();
}

criterion_group!(benches, training_step);
criterion_main!(benches);
