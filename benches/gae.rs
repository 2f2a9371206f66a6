//! Advantages and returns per second, for the responses of one PPO iteration: 512 rows of 1 to 300 tokens.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pspo::data::{Ragged, Seed};
use pspo::ppo::Gae;
use rand::RngExt;

fn gae(criterion: &mut Criterion) {
    let mut rng = Seed::root(1).child("gae").rng();
    let rewards: Ragged<f32> = (0..512)
        .map(|_| (0..rng.random_range(1..300)).map(|_| rng.random_range(-0.1..0.1)).collect::<Vec<f32>>())
        .collect();
    let values = (0..rewards.values().len()).map(|_| rng.random_range(0.0..1.0)).collect();
    let values = rewards.with_values(values).expect("one value for each reward");
    let mut group = criterion.benchmark_group("gae");
    group.throughput(Throughput::Elements(rewards.values().len() as u64));
    group.bench_function("512_rows", |bencher| {
        bencher.iter(|| Gae::default().estimate(&rewards, &values).expect("rows of one shape"));
    });
    group.finish();
}

criterion_group!(benches, gae);
criterion_main!(benches);
