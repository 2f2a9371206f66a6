//! Labels per second: failing responses of a tiny policy, labelled by binary search with best of 20.

#[path = "../tests/support/mod.rs"]
mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pspo::data::Seed;
use pspo::label::BinarySearch;
use pspo::plugin::{CheckedLabeler, CheckedSplitter};
use pspo::prompts::Exchange;
use pspo::steps::Lines;
use pspo::trainer::collect::{Collected, Collector};
use support::{Setup, setup, verifier};

fn labeling(criterion: &mut Criterion) {
    let Setup { policy, tokenizer, problems, rollouts, sampling } = setup(48);
    let splitter = CheckedSplitter::new(Lines::python());
    let labeler = CheckedLabeler::new(BinarySearch::best_of(20));
    let seed = Seed::root(2);
    let label = || -> Collected {
        // A new pool each time: its memo would know all programs.
        let pool = verifier(|_| false);
        let collector = Collector {
            policy: &policy,
            tokenizer: &tokenizer,
            exchange: &Exchange::default(),
            sampling: &sampling,
            splitter: &splitter,
            labeler: &labeler,
            verifier: &pool,
        };
        collector.collect(&problems, &rollouts, seed).expect("the policy can be sampled")
    };
    let collected = label();
    let labels: usize = collected.responses.iter().map(|labeled| labeled.labels.steps.len()).sum();
    println!("{labels} labels of {} responses: {:?}", rollouts.len(), collected.cost);
    let mut group = criterion.benchmark_group("labeling");
    group.sample_size(10).throughput(Throughput::Elements(labels as u64));
    group.bench_function("binary_search_best_of_20", |bencher| bencher.iter(label));
    group.finish();
}

criterion_group!(benches, labeling);
criterion_main!(benches);
