//! A policy that counts, with errors, and a verifier that is a pure function of the program.

use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

use pspo::data::numbers::{Fraction, LearningRate};
use pspo::data::{Parameters, Problem, ProblemSet, Seed};
use pspo::kernels::Device;
use pspo::model::{Arch, Policy, Tokenizer};
use pspo::plugin::{CheckedVerifier, Outcome, Submission, Verdict, VerifyError, verifier_fn};
use pspo::rollouts::{self, Rollout, Sampling};
use pspo::sft::{Sft, SftConfig};
use pspo::verify::{ErrorLimit, VerifierPool};
use rand::RngExt;

pspo::arch! {
    pub struct Tiny {
        name: "tiny", vocabulary: 270, width: 32, layers: 1, heads: 2, kv_heads: 1, head_size: 16, hidden: 64,
        positions: 160,
    }
}

/// All that labeling needs, apart from splitter, labeler and verifier.
pub struct Setup {
    pub policy: Policy<Tiny>,
    pub tokenizer: Tokenizer,
    pub problems: Vec<Arc<Problem>>,
    pub rollouts: Vec<Rollout>,
    pub sampling: Sampling,
}

/// Programs of 3 to 10 lines, of which about one in eight is wrong and one in twelve a comment.
fn program(seed: Seed) -> String {
    let mut rng = seed.rng();
    let mut program = String::new();
    for _ in 0..rng.random_range(2..10) {
        program += match rng.random_range(0..24) {
            0..3 => "x += 2\n",
            3..5 => "# one more\n",
            _ => "x += 1\n",
        };
    }
    program + "print(x)\n"
}

/// Whether a program has no wrong line and ends as it must.
pub fn is_right(program: &str) -> bool {
    let mut lines = program.lines().rev();
    lines.next() == Some("print(x)") && lines.all(|line| ["x += 1", "# one more"].contains(&line))
}

/// A pool around a verifier that cannot judge the programs that `fails` says.
pub fn verifier(fails: fn(&str) -> bool) -> VerifierPool {
    limited(fails, 1.0)
}

/// As [`verifier`], with a limit on the share of programs that are not judged.
pub fn limited(fails: fn(&str) -> bool, share: f32) -> VerifierPool {
    let verifier = verifier_fn(move |submission: Submission<'_>| {
        if fails(submission.program) {
            return Err(VerifyError::Failed("no sandbox".into()));
        }
        let (passes, total) = (is_right(submission.program), submission.tests.len());
        Ok(Verdict {
            outcome: if passes { Outcome::Pass } else { Outcome::Wrong },
            passed: if passes { total } else { 0 },
            total,
            detail: String::new(),
            seconds: 0.0,
        })
    });
    let limit =
        ErrorLimit { window: NonZeroUsize::new(20).unwrap(), share: Fraction::try_new(share).unwrap() };
    VerifierPool::new(CheckedVerifier::new(verifier), limit)
}

/// Fine-tunes a policy on programs that are wrong now and then, and samples `per_problem` responses to
/// each of 12 problems from it.
pub fn setup(per_problem: usize) -> Setup {
    static TRAINED: OnceLock<(Parameters, Tokenizer)> = OnceLock::new();
    const RATE: LearningRate = LearningRate::new(1e-2);
    let device = Device::cpu();
    let seed = Seed::root(5);
    let (parameters, tokenizer) = TRAINED.get_or_init(|| {
        let programs: Vec<String> = (0..400).map(|n| program(seed.child("programs").index(n))).collect();
        let prompt = |n: usize| format!("count {}\npython:\n", n % 10);
        let corpus = programs.iter().enumerate().map(|(n, program)| prompt(n) + program);
        let tokenizer = Tokenizer::train(corpus, Tiny::DIMS.vocabulary).unwrap();
        assert_eq!(tokenizer.vocabulary(), Tiny::DIMS.vocabulary);
        let examples = programs.iter().enumerate();
        let examples = examples.map(|(n, program)| tokenizer.example(&prompt(n), program).unwrap()).collect();
        let batch = NonZeroUsize::new(16).unwrap();
        let config = SftConfig { steps: 80, batch, learning_rate: RATE, warmup: 5, ..SftConfig::default() };
        let policy = Policy::<Tiny>::random(&device, seed.child("policy")).unwrap();
        let mut sft = Sft::new(config, policy, examples, seed.child("sft")).unwrap();
        while !sft.is_done() {
            sft.step().unwrap();
        }
        (sft.policy().parameters().unwrap(), tokenizer)
    });
    let (policy, tokenizer) = (Policy::<Tiny>::new(&device, parameters).unwrap(), tokenizer.clone());

    let jsonl: String = (0..12)
        .map(|n| {
            format!(
                "{{\"id\": \"{n}\", \"prompt\": \"count {n}\\npython:\\n\", \
                 \"tests\": [{{\"kind\": \"stdio\", \"stdin\": \"\", \"stdout\": \"\"}}]}}\n"
            )
        })
        .collect();
    let problems: Vec<_> = ProblemSet::read_jsonl(jsonl.as_bytes()).unwrap().iter().cloned().collect();
    let prompts: Vec<_> = problems.iter().map(|problem| tokenizer.encode(&problem.prompt).unwrap()).collect();
    let sampling = Sampling { max_new_tokens: NonZeroUsize::new(80).unwrap(), ..Sampling::default() };
    let seed = seed.child("rollouts");
    let rollouts = rollouts::sample(&policy, &tokenizer, &prompts, per_problem, &sampling, seed).unwrap();
    Setup { policy, tokenizer, problems, rollouts, sampling }
}
