//! Verdicts per second, on two threads: CPython in the sandbox by sort of tests, and the embedded interpreter on
//! the quickstart's programs.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pspo::data::{Problem, Seed};
use pspo::plugin::{Submission, Verifier};
use pspo::problems::{Pseudocode, Sizes};
use pspo_monty_verifier::{MontyConfig, MontyVerifier};
use pspo_python_verifier::{PythonConfig, PythonVerifier};
use rayon::prelude::*;
use serde_json::json;

const PROGRAM: &str = "
from typing import List

def solve(numbers: List[float], threshold: float) -> bool:
    for i, a in enumerate(numbers):
        for j, b in enumerate(numbers):
            if i != j and abs(a - b) < threshold:
                return True
    return False

if __name__ == '__main__':
    print(solve(list(map(float, input().split())), 0.5))
";

fn problem(sort: &str) -> Problem {
    let test = match sort {
        "call" => {
            json!({"kind": "call", "function": "solve", "arguments": [[1.0, 2.0, 3.0], 0.5], "expected": false})
        }
        "stdio" => json!({"kind": "stdio", "stdin": "1.0 2.0 3.0\n", "stdout": "False\n"}),
        _ => {
            json!({"kind": "assert", "code": "def check(candidate):\n    assert candidate([1.0, 2.0, 3.9, 4.0], 0.3) == True\n    \
             assert candidate([1.0, 2.0, 3.9, 4.0], 0.05) == False\n    assert candidate([1.0, 2.0, 5.9], 0.95) == False\n\
             check(solve)", "calls": ["solve"]})
        }
    };
    serde_json::from_value(json!({"id": sort, "prompt": "?", "tests": [test]})).expect("a problem")
}

/// Judges `programs` on two threads; all must pass.
fn judge<V: Verifier>(threads: &rayon::ThreadPool, verifier: &V, programs: &[(&Problem, &str)]) {
    threads.install(|| {
        programs.par_iter().with_max_len(1).for_each(|(problem, program)| {
            let verdict = verifier.verify(Submission::rewarded(problem, program)).expect("a verdict");
            assert!(black_box(verdict).passes());
        });
    });
}

fn verify(criterion: &mut Criterion) {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads");
    let mut group = criterion.benchmark_group("verify");
    group.sample_size(10);

    let python = PythonVerifier::new(PythonConfig::default()).expect("python3 and a sandbox");
    for sort in ["call", "stdio", "assert"] {
        let problem = problem(sort);
        let programs = vec![(&problem, PROGRAM); 200];
        group.throughput(Throughput::Elements(programs.len() as u64));
        group.bench_with_input(BenchmarkId::new("python", sort), &programs, |bencher, programs| {
            bencher.iter(|| judge(&threads, &python, programs));
        });
    }

    let monty = MontyVerifier::new(MontyConfig::default()).expect("a verifier");
    let sizes = Sizes { sft: 500, rl: 0, held_out: 0 };
    let problems = Pseudocode::default().splits(Seed::root(0), sizes).expect("problems").sft;
    let programs: Vec<_> = problems
        .iter()
        .map(|problem| (&**problem, problem.solution.as_deref().expect("a solution")))
        .collect();
    group.throughput(Throughput::Elements(programs.len() as u64));
    group.bench_with_input(BenchmarkId::new("monty", "quickstart"), &programs, |bencher, programs| {
        bencher.iter(|| judge(&threads, &monty, programs));
    });
    group.finish();
}

criterion_group!(benches, verify);
criterion_main!(benches);
