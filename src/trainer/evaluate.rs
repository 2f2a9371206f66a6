//! Pass@1 on held-out problems by their held-out tests, by program length.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::error::TrainerError;
use super::judged::Tests;
use crate::data::{Problem, ProblemSet, Seed};
use crate::eval::statistics::{bootstrap_mean, pass_at_k};
use crate::eval::{Bucket, Interval, LengthBuckets, StatisticsError};
use crate::model::{Arch, Policy, Tokenizer};
use crate::plugin::Submission;
use crate::prompts::Exchange;
use crate::rollouts::{Sampling, sample};
use crate::verify::VerifierPool;

/// Resamples of the bootstrap: each end of an interval is uncertain by a hundredth of it.
const RESAMPLES: usize = 10_000;

/// How each held-out problem fared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// In the problems' order.
    pub problems: Vec<ProblemResult>,
}

/// How one problem fared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProblemResult {
    /// The problem.
    pub id: String,
    /// [`Problem::length`].
    pub length: Option<usize>,
    /// Its difficulty: the metadata's `difficulty`, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difficulty: Option<String>,
    /// Samples that were judged; 0 for a chat problem without tests, whose responses nothing here can judge.
    pub samples: usize,
    /// Samples that pass all held-out tests.
    pub passed: usize,
}

impl ProblemResult {
    /// Of a problem without samples yet.
    fn new(problem: &Problem) -> Self {
        let text = |key| problem.metadata.get(key).and_then(|value| value.as_str());
        Self {
            id: problem.id.clone(),
            length: problem.length(),
            difficulty: text("difficulty").map(str::to_owned),
            samples: 0,
            passed: 0,
        }
    }

    fn count(&mut self, passes: bool) {
        self.samples += 1;
        self.passed += usize::from(passes);
    }
}

impl Evaluation {
    /// Of samples, each with its problem's id and whether it passes, in any order; those of other problems do not count.
    pub fn of<'a>(problems: &ProblemSet, samples: impl IntoIterator<Item = (&'a str, bool)>) -> Self {
        let mut results: Vec<_> = problems.iter().map(|problem| ProblemResult::new(problem)).collect();
        let places: HashMap<String, usize> =
            results.iter().enumerate().map(|(place, result)| (result.id.clone(), place)).collect();
        for (id, passes) in samples {
            if let Some(&place) = places.get(id) {
                results[place].count(passes);
            }
        }
        Self { problems: results }
    }

    /// The results of each difficulty that there is, in alphabetical order.
    pub fn by_difficulty(&self) -> Vec<(String, Self)> {
        let mut groups: BTreeMap<String, Self> = BTreeMap::new();
        for result in &self.problems {
            if let Some(difficulty) = &result.difficulty {
                groups.entry(difficulty.clone()).or_default().problems.push(result.clone());
            }
        }
        groups.into_iter().collect()
    }

    /// Pass@1: the mean over problems of the share of samples that pass. Problems of which no sample
    /// could be judged do not count; `None` if that is all of them, which is not the same as 0.
    pub fn pass_at_1(&self) -> Option<f64> {
        let shares: Vec<f64> = self.shares().map(|(_, share)| share).collect();
        (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
    }

    /// Pass@1 by length, of the problems that have one.
    pub fn by_length(&self, buckets: &LengthBuckets) -> Vec<Bucket> {
        buckets.means(self.shares().filter_map(|(length, share)| Some((length?, share))))
    }

    /// Pass@k over problems, with its 95 % interval: the mean of [`pass_at_k`]. Problems of which fewer than
    /// `k` samples could be judged do not count.
    ///
    /// # Errors
    /// If `k` is 0, or no problem has so many samples.
    pub fn pass_at_k(&self, k: usize, seed: &Seed) -> Result<Interval, StatisticsError> {
        let values: Vec<f64> = self.estimates(k)?.into_iter().map(|(_, value)| value).collect();
        bootstrap_mean(&values, RESAMPLES, seed)
    }

    /// Pass@k by length, of the problems that have one, with 95 % intervals: a label for each bucket, and
    /// `None` where no problem counts.
    ///
    /// # Errors
    /// If `k` is 0.
    pub fn pass_at_k_by_length(
        &self,
        k: usize,
        buckets: &LengthBuckets,
        seed: &Seed,
    ) -> Result<Vec<(String, Option<Interval>)>, StatisticsError> {
        let values = self.estimates(k)?.into_iter().filter_map(|(length, value)| Some((length?, value)));
        buckets.intervals(values, RESAMPLES, seed)
    }

    fn estimates(&self, k: usize) -> Result<Vec<(Option<usize>, f64)>, StatisticsError> {
        let counted = self.problems.iter().filter(|problem| problem.samples >= k);
        counted.map(|p| Ok((p.length, pass_at_k(p.samples, p.passed, k)?))).collect()
    }

    fn shares(&self) -> impl Iterator<Item = (Option<usize>, f64)> {
        let judged = self.problems.iter().filter(|problem| problem.samples > 0);
        judged.map(|problem| (problem.length, problem.passed as f64 / problem.samples as f64))
    }
}

/// Samples `samples` responses to each problem and judges them by the held-out tests, or by the others
/// where a problem has none. A response cut at the length limit fails; one that could not be judged is
/// left out. One without a program fails. Responses end at the exchange's stop sequences as well. A chat problem
/// without any tests is not sampled.
///
/// # Errors
/// If sampling fails, or the verifier fails too often.
pub fn evaluate<A: Arch>(
    policy: &Policy<A>,
    tokenizer: &Tokenizer,
    exchange: &Exchange,
    problems: &ProblemSet,
    verifier: &VerifierPool,
    samples: usize,
    sampling: &Sampling,
    seed: Seed,
) -> Result<Evaluation, TrainerError> {
    let judged = |problem: &&Problem| !(problem.tests.is_empty() && problem.held_out_tests.is_empty());
    let (places, tested): (Vec<usize>, Vec<&Problem>) =
        problems.iter().map(|problem| &**problem).enumerate().filter(|(_, problem)| judged(problem)).unzip();
    let prompts = exchange.prompts(tested.iter().copied(), tokenizer)?;
    let sampling = sampling.with_stops(exchange.stops());
    let rollouts = sample(policy, tokenizer, &prompts, samples, &sampling, seed)?;
    let programs: Vec<_> =
        rollouts.iter().map(|rollout| exchange.program(tested[rollout.prompt], &rollout.text)).collect();
    let submissions: Vec<Submission<'_>> = rollouts
        .iter()
        .zip(&programs)
        .filter_map(|(rollout, program)| Some((tested[rollout.prompt], program.as_ref()?.text())))
        .map(|(problem, program)| Tests::HeldOut.submission(problem, program))
        .collect();
    let mut results: Vec<_> = problems.iter().map(|problem| ProblemResult::new(problem)).collect();
    let mut judged = verifier.verify_all(&submissions)?.into_iter();
    for (rollout, program) in rollouts.iter().zip(&programs) {
        let passes = match program {
            Some(_) => match judged.next().expect("one judgement per submission") {
                Ok(verdict) => verdict.passes() && rollout.finished,
                Err(_) => continue,
            },
            None => false,
        };
        results[places[rollout.prompt]].count(passes);
    }
    Ok(Evaluation { problems: results })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Extraction;
    use crate::data::numbers::Fraction;
    use crate::kernels::Device;
    use crate::plugin::{CheckedVerifier, Outcome, Verdict, VerifyError, verifier_fn};
    use crate::verify::ErrorLimit;

    crate::arch! {
        struct Toy {
            name: "toy", vocabulary: 260, width: 8, layers: 1, heads: 2, kv_heads: 1, head_size: 4, hidden: 12,
            positions: 256,
        }
    }

    /// Evaluates a random policy by a verifier that cannot judge problem `b`, passes all for `c` and nothing else.
    fn evaluated(problems: &str) -> Evaluation {
        evaluated_by(&Exchange::default(), problems)
    }

    fn evaluated_by(exchange: &Exchange, problems: &str) -> Evaluation {
        let problems = ProblemSet::read_jsonl(problems.as_bytes()).unwrap();
        let verifier = verifier_fn(|submission: Submission<'_>| {
            assert!(!submission.tests.is_empty(), "`{}` has nothing to be judged by", submission.problem.id);
            match submission.problem.id.as_str() {
                "b" => Err(VerifyError::Failed("no interpreter".into())),
                id => {
                    let passed = usize::from(id == "c");
                    let outcome = if id == "c" { Outcome::Pass } else { Outcome::Wrong };
                    Ok(Verdict { outcome, passed, total: 1, detail: String::new(), seconds: 0.0 })
                }
            }
        });
        let limit = ErrorLimit { share: Fraction::new(1.0), ..ErrorLimit::default() };
        let pool = VerifierPool::new(CheckedVerifier::new(verifier), limit);
        let policy = Policy::<Toy>::random(&Device::cpu(), Seed::root(1)).unwrap();
        let tokenizer = Tokenizer::train(["x"], 257).unwrap();
        let sampling = Sampling { max_new_tokens: 8.try_into().unwrap(), ..Sampling::default() };
        evaluate(&policy, &tokenizer, exchange, &problems, &pool, 3, &sampling, Seed::root(2)).unwrap()
    }

    const A: &str = r#"{"id": "a", "prompt": "p", "tests": [{"kind": "assert", "code": "x"}]}"#;
    const B: &str = r#"{"id": "b", "prompt": "p", "tests": [{"kind": "assert", "code": "x"}]}"#;
    const C: &str = r#"{"id": "c", "prompt": "p", "tests": [{"kind": "assert", "code": "x"}]}"#;
    const CHAT: &str = r#"{"id": "chat", "prompt": "p", "task": "chat"}"#;

    #[test]
    fn nothing_judged_is_not_nothing_passed() {
        assert_eq!(evaluated(B).pass_at_1(), None);
        assert_eq!(evaluated(&[A, B].join("\n")).pass_at_1(), Some(0.0));
    }

    #[test]
    fn a_response_without_a_program_is_a_sample_that_fails() {
        let nothing = r#"{"type": "fenced", "without_block": "no_program"}"#;
        let fenced = Exchange::default().with_extraction(serde_json::from_str(nothing).unwrap());
        // Not even B's verifier, which cannot judge, is asked.
        let evaluation = evaluated_by(&fenced, &[A, B].join("\n"));
        let samples: Vec<_> = evaluation.problems.iter().map(|p| (p.samples, p.passed)).collect();
        assert_eq!(samples, [(3, 0), (3, 0)]);
    }

    #[test]
    fn a_response_ends_where_the_extraction_cuts_its_program() {
        // Cut at 8 tokens, and so failed.
        assert_eq!(evaluated(C).pass_at_1(), Some(0.0));
        let stop = (' '..='~').map(String::from).collect();
        let completion = Exchange::default().with_extraction(Extraction::Completion { stop });
        assert_eq!(evaluated_by(&completion, C).pass_at_1(), Some(1.0));
    }

    #[test]
    fn chat_problems_without_tests_are_not_judged() {
        let evaluation = evaluated(&[CHAT, A].join("\n"));
        let judged: Vec<_> = evaluation.problems.iter().map(|p| (p.id.as_str(), p.samples)).collect();
        assert_eq!(judged, [("chat", 0), ("a", 3)]);
        assert_eq!(evaluated(CHAT).pass_at_1(), None);
    }

    #[test]
    fn samples_make_an_evaluation_by_length_and_difficulty() {
        let more = r#""metadata": {"difficulty": "easy"}, "solution": "a\n\nb\n", "tests""#;
        let easy = A.replace(r#""tests""#, more);
        let hard = B.replace(r#""tests""#, r#""metadata": {"difficulty": "hard", "steps": 7}, "tests""#);
        let problems = ProblemSet::read_jsonl([easy, hard].join("\n").as_bytes()).unwrap();
        let samples = [("b", false), ("a", true), ("b", true), ("else", true)];
        let evaluation = Evaluation::of(&problems, samples);
        let counts: Vec<_> = evaluation.problems.iter().map(|p| (p.length, p.samples, p.passed)).collect();
        assert_eq!(counts, [(Some(2), 1, 1), (Some(7), 2, 1)]);
        let parts: Vec<_> =
            evaluation.by_difficulty().into_iter().map(|(name, part)| (name, part.pass_at_1())).collect();
        assert_eq!(parts, [("easy".into(), Some(1.0)), ("hard".into(), Some(0.5))]);
    }

    #[test]
    fn pass_at_k_has_intervals_by_length() {
        let problem = |length, samples, passed| ProblemResult {
            id: String::new(),
            length,
            difficulty: None,
            samples,
            passed,
        };
        let problems = vec![
            problem(Some(2), 4, 2),
            problem(Some(3), 4, 1),
            problem(Some(9), 2, 2),
            problem(Some(9), 1, 0), // too few samples for k = 2
            problem(None, 3, 0),
        ];
        let (evaluation, seed) = (Evaluation { problems }, Seed::root(3));
        let all = evaluation.pass_at_k(2, &seed).unwrap();
        // 1 − C(2, 2)/C(4, 2), 1 − C(3, 2)/C(4, 2), 1 and 0.
        assert!((all.mean - (5.0 / 6.0 + 0.5 + 1.0) / 4.0).abs() < 1e-12 && all.count == 4);
        assert!(all.low < all.mean && all.mean < all.high);
        let buckets = LengthBuckets::new(&[4, 6]).unwrap();
        let rows = evaluation.pass_at_k_by_length(2, &buckets, &seed).unwrap();
        let rows: Vec<_> = rows.into_iter().map(|(_, row)| row.map(|row| (row.low, row.count))).collect();
        assert_eq!(rows, [Some((0.5, 2)), None, Some((1.0, 1))]);
        assert!(evaluation.pass_at_k(0, &seed).is_err() && evaluation.pass_at_k(9, &seed).is_err());
    }
}
