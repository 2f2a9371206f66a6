//! Sampled tokens per second: 64 rows, 8 to a prompt, that fork from its key/value cache.

use std::num::NonZeroUsize;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pspo::data::Seed;
use pspo::data::numbers::Temperature;
use pspo::kernels::Device;
use pspo::model::{Arch, Policy, Tokenizer};
use pspo::rollouts::{Sampling, sample};

pspo::arch! {
    struct Small {
        name: "small", vocabulary: 512, width: 128, layers: 4, heads: 4, kv_heads: 2, head_size: 32, hidden: 352,
        positions: 512,
    }
}

fn decoding(criterion: &mut Criterion) {
    const WARM: Temperature = Temperature::new(1.0);
    // An untrained policy hardly ever draws the end, so nearly all rows get their 128 tokens.
    let policy = Policy::<Small>::random(&Device::cpu(), Seed::root(1)).expect("the CPU has room");
    let code = include_str!("../src/model/decode/host.rs");
    let tokenizer = Tokenizer::train([code], Small::DIMS.vocabulary).expect("a text to learn from");
    assert_eq!(tokenizer.vocabulary(), Small::DIMS.vocabulary, "the code is too short");
    let prompts: Vec<Vec<u32>> = (0..8).map(|row| (0..64).map(|n| (7 * n + row) % 256).collect()).collect();
    let sampling = Sampling::training(WARM, const { NonZeroUsize::new(128).unwrap() });
    let decode = || sample(&policy, &tokenizer, &prompts, 8, &sampling, Seed::root(2)).expect("rows fit");
    let tokens: usize = decode().iter().map(|rollout| rollout.sequence.response.len()).sum();
    let mut group = criterion.benchmark_group("decoding");
    group.sample_size(10).throughput(Throughput::Elements(tokens as u64));
    group.bench_function("64_rows_width_128", |bencher| bencher.iter(decode));
    group.finish();
}

criterion_group!(benches, decoding);
criterion_main!(benches);
