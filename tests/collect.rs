//! Labels collected from a policy: the same as one question at a time gives, whatever the order.

mod support;

use std::num::NonZeroUsize;

use pspo::answer::Extraction;
use pspo::data::{Label, Labels, Problem, ResponseClass, Seed, Sequence, Task};
use pspo::formats::Record;
use pspo::label::{BinarySearch, EveryPrefix, LabelCounts};
use pspo::plugin::labeler::Answer;
use pspo::plugin::{Answers, CheckedLabeler, CheckedSplitter, Next, Outcome, splitter_fn};
use pspo::prompts::Exchange;
use pspo::rollouts::{self, Completion, Feed, Job, Rollout};
use pspo::steps::{Lines, step_tokens};
use pspo::trainer::collect::{
    CollectCost, CollectError, Collected, Collector, LabeledResponse, SkipReason, response_seed,
};
use pspo::trainer::{Tests, judge};
use pspo::verify::VerifierPool;
use rand::seq::SliceRandom;
use support::{Setup, is_right, limited, setup, verifier};

const K: usize = 4;

fn seed() -> Seed {
    Seed::root(11).child("labels")
}

fn splitter() -> CheckedSplitter {
    CheckedSplitter::new(Lines::python())
}

fn run(setup: &Setup, rollouts: &[Rollout], verifier: &VerifierPool) -> Result<Collected, CollectError> {
    let labeler = CheckedLabeler::new(BinarySearch::best_of(K));
    let Setup { policy, tokenizer, problems, sampling, .. } = setup;
    let exchange = &Exchange::default();
    let splitter = &splitter();
    Collector { policy, tokenizer, exchange, sampling, splitter, labeler: &labeler, verifier }.collect(
        problems,
        rollouts,
        seed(),
    )
}

fn reasons(collected: &Collected) -> Vec<(usize, String)> {
    collected.skipped.iter().map(|(rollout, reason)| (*rollout, reason.to_string())).collect()
}

/// One completion, by itself.
struct One(Option<Job>, Completion);

impl Feed for One {
    type Error = CollectError;
    fn next(&mut self) -> Result<Option<Job>, CollectError> {
        Ok(self.0.take())
    }
    fn finished(&mut self, _: usize, _: usize, completion: Completion) -> Result<(), CollectError> {
        self.1 = completion;
        Ok(())
    }
    fn wanted(&self, _: usize) -> bool {
        true
    }
}

/// Labels of a response whose questions are answered one by one, each completion by itself, from keys
/// and values of its own. Adds to the cost of a first labeling.
fn naive(
    setup: &Setup,
    rollout: &Rollout,
    labeler: &CheckedLabeler,
    judge: fn(&str) -> bool,
    cost: &mut CollectCost,
) -> Labels {
    let steps = splitter().split(&rollout.text).unwrap();
    let ends = step_tokens(&steps, &rollout.token_ends).unwrap();
    let problem: &Problem = &setup.problems[rollout.prompt];
    let passes = rollout.finished && judge(&rollout.text);
    cost.verdicts += usize::from(rollout.finished);
    let mut answers = Answers { passes, asked: vec![] };
    loop {
        let (prefix, completions) = match labeler.next(&steps, &answers).unwrap() {
            Next::Labeled(labels) => return labels,
            Next::Ask { prefix, completions } => (prefix, completions),
        };
        cost.questions += 1;
        let kept = &rollout.sequence.response[..=ends[prefix - 1]];
        let tokens = [&rollout.sequence.prompt, kept].concat();
        let recoverable = (0..completions).any(|k| {
            let stream = response_seed(seed(), problem, &rollout.sequence);
            let mut decoder = setup.policy.decoder().unwrap();
            let (&last, shared) = tokens.split_last().unwrap();
            let job = Job {
                id: 0,
                prefix: decoder.prefill(&[shared]).unwrap().remove(0),
                shared: shared.len(),
                last,
                begun: kept.to_vec(),
                streams: vec![stream.index(prefix as u64).index(k as u64)],
                at_a_time: NonZeroUsize::MIN,
                max_new_tokens: setup.sampling.max_new_tokens.get() - kept.len(),
            };
            let mut one = One(Some(job), Completion::default());
            rollouts::run(&mut decoder, &setup.tokenizer, &setup.sampling, 1, &mut one).unwrap();
            let One(_, completion) = one;
            cost.completions += 1;
            cost.completion_tokens += completion.tokens.len();
            cost.verdicts += usize::from(completion.finished);
            let decoded = setup.tokenizer.decode_with_ends(&[kept, &completion.tokens].concat()).unwrap();
            let (program, _) = setup.sampling.cut(decoded);
            completion.finished && judge(&program)
        });
        answers.asked.push(Answer { prefix, recoverable });
    }
}

/// The first of each group of equal responses to one problem.
fn distinct(rollouts: &[Rollout]) -> Vec<Rollout> {
    let mut distinct: Vec<Rollout> = Vec::new();
    for rollout in rollouts {
        if !distinct
            .iter()
            .any(|known| (known.prompt, &known.sequence) == (rollout.prompt, &rollout.sequence))
        {
            distinct.push(rollout.clone());
        }
    }
    distinct
}

#[test]
fn labels_and_cost_are_those_of_one_question_at_a_time() {
    one_at_a_time(&setup(10));
}

#[test]
fn stop_sequences_end_completions_as_they_end_responses() {
    let mut setup = setup(10);
    setup.sampling.stop = vec!["x += 2".into(), "1\nprint(x)\nx".into()];
    let Setup { policy, tokenizer, problems, sampling, .. } = &setup;
    let prompts: Vec<_> = problems.iter().map(|problem| tokenizer.encode(&problem.prompt).unwrap()).collect();
    setup.rollouts = rollouts::sample(policy, tokenizer, &prompts, 10, sampling, seed()).unwrap();
    // Those that begin with a stop sequence have no steps.
    setup.rollouts.retain(|rollout| !rollout.text.is_empty());
    let stopped = |rollout: &&Rollout| {
        rollout.finished && rollout.sequence.response.last() != Some(&setup.tokenizer.end())
    };
    let stopped = setup.rollouts.iter().filter(stopped).count();
    assert!(stopped > 10 && stopped < setup.rollouts.len(), "{stopped} of {}", setup.rollouts.len());
    assert!(setup.rollouts.iter().all(|rollout| !rollout.text.contains("x += 2")));
    one_at_a_time(&setup);
}

fn one_at_a_time(setup: &Setup) {
    let rollouts = distinct(&setup.rollouts);
    for labeler in
        [CheckedLabeler::new(BinarySearch::best_of(K)), CheckedLabeler::new(EveryPrefix::best_of(2))]
    {
        let pool = verifier(|_| false);
        let Setup { policy, tokenizer, problems, sampling, .. } = setup;
        let collector = Collector {
            policy,
            tokenizer,
            exchange: &Exchange::default(),
            sampling,
            splitter: &splitter(),
            labeler: &labeler,
            verifier: &pool,
        };
        let collected = collector.collect(problems, &rollouts, seed()).unwrap();
        assert!(collected.skipped.is_empty());
        let mut cost = CollectCost::default();
        for (labeled, rollout) in collected.responses.iter().zip(&rollouts) {
            let expected = naive(setup, rollout, &labeler, is_right, &mut cost);
            assert_eq!(labeled.labels, expected, "{:?}", rollout.text);
        }
        // The naive driver stops a question at its first pass, so this one does as well.
        assert_eq!(CollectCost { fed_tokens: 0, ..collected.cost }, cost);
        assert!(collected.cost.fed_tokens < collected.cost.completion_tokens);
        assert_eq!(cost.verdicts as u64, pool.judged() + pool.memo_hits());
    }
}

#[test]
fn every_response_is_labelled_and_keeps_the_contract() {
    let setup = setup(16);
    let collected = run(&setup, &setup.rollouts, &verifier(|_| false)).unwrap();
    assert_eq!(collected.responses.len(), setup.rollouts.len());
    let mut classes = vec![];
    for (rollout, labeled) in collected.responses.iter().enumerate() {
        let LabeledResponse { problem, steps, step_tokens, labels, passes, .. } = labeled;
        let sampled = &setup.rollouts[rollout];
        assert_eq!((labeled.rollout, *problem, steps.program()), (rollout, sampled.prompt, &*sampled.text));
        assert_eq!((labels.steps.len(), step_tokens.len()), (steps.len(), steps.len()));
        for (step, &label) in labels.steps.iter().enumerate() {
            assert_eq!(label == Label::Neutral, steps.is_comment(step));
            assert!(sampled.token_ends[step_tokens[step]] >= steps.line_end(step));
        }
        assert_eq!(*passes, sampled.finished && is_right(&sampled.text));
        assert_eq!(*passes, labels.class == ResponseClass::Correct);
        // No completion takes back a wrong line.
        let wrong = sampled.text.lines().position(|line| line == "x += 2");
        if let (Some(wrong), Some(error)) = (wrong, labels.first_error()) {
            assert!(error <= wrong, "{:?}: {labels:?}", sampled.text);
        }
        classes.push([labels.class]);
    }
    let LabelCounts { correct, revised, wrong, .. } = classes.iter().collect();
    println!("{correct} correct, {revised} revised, {wrong} wrong: {:?}", collected.cost);
    assert!(correct > 20 && revised > 20 && wrong > 5, "{correct}, {revised}, {wrong}: too much alike");
}

#[test]
fn neither_threads_nor_order_nor_company_change_a_label() {
    let setup = setup(16);
    let in_pool = |threads: usize, rollouts: &[Rollout]| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let verifier = verifier(|program| program.len() % 7 == 0);
        // A policy cannot be sent to the pool's threads, so it is made there.
        pool.install(|| run(&support::setup(16), rollouts, &verifier)).unwrap()
    };
    let one = in_pool(1, &setup.rollouts);
    let two = in_pool(2, &setup.rollouts);
    let jobs = verifier(|program| program.len() % 7 == 0).with_jobs(NonZeroUsize::new(5).unwrap()).unwrap();
    let jobs = run(&setup, &setup.rollouts, &jobs).unwrap();
    for same in [two, jobs] {
        assert_eq!(one.responses, same.responses);
        assert_eq!(reasons(&one), reasons(&same));
        assert_eq!(one.cost, same.cost);
    }
    assert!(!one.skipped.is_empty());

    let mut order: Vec<usize> = (0..setup.rollouts.len()).collect();
    order.shuffle(&mut Seed::root(3).rng());
    order.truncate(100);
    let shuffled: Vec<Rollout> = order.iter().map(|&rollout| setup.rollouts[rollout].clone()).collect();
    let other = in_pool(2, &shuffled);
    assert_eq!(other.responses.len() + other.skipped.len(), 100);
    for labeled in other.responses {
        let rollout = order[labeled.rollout];
        assert!(one.responses.contains(&LabeledResponse { rollout, ..labeled }));
    }
    for (place, reason) in reasons(&Collected { skipped: other.skipped, ..Collected::default() }) {
        assert!(reasons(&one).contains(&(order[place], reason)));
    }
}

#[test]
fn equal_responses_are_labelled_once() {
    let setup = setup(4);
    let once = run(&setup, &setup.rollouts, &verifier(|_| false)).unwrap();
    let rollouts = [&setup.rollouts[..], &setup.rollouts[..]].concat();
    let twice = run(&setup, &rollouts, &verifier(|_| false)).unwrap();
    assert_eq!(once.cost, twice.cost);
    let (first, second) = twice.responses.split_at(setup.rollouts.len());
    assert_eq!(first, once.responses);
    for (a, b) in first.iter().zip(second) {
        assert_eq!((a.rollout + first.len(), &a.labels), (b.rollout, &b.labels));
    }
}

/// A response as if it had been sampled.
fn response(setup: &Setup, text: &str, finished: bool) -> Rollout {
    let mut sequence = setup.tokenizer.example(&setup.problems[0].prompt, text).unwrap();
    if !finished {
        sequence.response.pop();
    }
    let (text, token_ends) = setup.tokenizer.decode_with_ends(&sequence.response).unwrap();
    let log_probs = vec![0.0; sequence.response.len()];
    Rollout { prompt: 0, sequence, log_probs, finished, text, token_ends }
}

#[test]
fn what_needs_no_completion_gets_none() {
    let setup = setup(1);
    let passes = "x += 1\n# one more\nprint(x)\n";
    let rollouts = [response(&setup, passes, true), response(&setup, "x += 2\n", true)];
    let collected = run(&setup, &rollouts, &verifier(|_| false)).unwrap();
    assert_eq!(collected.responses[0].labels.steps, [Label::Good, Label::Neutral, Label::Good]);
    assert_eq!(collected.responses[1].labels.steps, [Label::Bad]);
    assert_eq!(collected.cost, CollectCost { verdicts: 2, ..CollectCost::default() });

    // Two lines are one question; the response that was cut is not judged, and fails.
    let two = response(&setup, "x += 2\nprint(x)\n", true);
    assert_eq!(run(&setup, &[two], &verifier(|_| false)).unwrap().cost.questions, 1);
    let cut = run(&setup, &[response(&setup, passes, false)], &verifier(|_| false)).unwrap();
    assert!(!cut.responses[0].passes && cut.responses[0].labels.class != ResponseClass::Correct);
}

#[test]
fn a_completion_is_as_long_as_the_response_may_be() {
    let mut setup = setup(1);
    let rollouts = [response(&setup, "x += 1\nx += 1\nx += 2\nprint(x)\n", true)];
    setup.sampling.max_new_tokens = NonZeroUsize::new(1).unwrap();
    let collected = run(&setup, &rollouts, &verifier(|_| false)).unwrap();
    assert_eq!(collected.responses[0].labels.class, ResponseClass::Wrong);
    let cost = CollectCost { completions: 2 * K, verdicts: 1, questions: 2, ..CollectCost::default() };
    assert_eq!(collected.cost, cost);
}

#[test]
fn blank_and_unjudged_responses_are_skipped_with_the_reason() {
    let setup = setup(2);
    let mut rollouts = setup.rollouts.clone();
    rollouts.insert(1, response(&setup, "", true));
    rollouts.insert(2, response(&setup, "x = 7", true));
    rollouts.insert(3, response(&setup, "\n \n", true));
    let collected = run(&setup, &rollouts, &verifier(|program| program == "x = 7")).unwrap();
    assert_eq!(collected.responses.len(), rollouts.len() - 3);
    assert!(collected.responses.iter().all(|labeled| ![1, 2, 3].contains(&labeled.rollout)));
    assert!(matches!(
        collected.skipped[..],
        [(1, SkipReason::Empty), (2, SkipReason::Unjudged(_)), (3, SkipReason::Empty)]
    ));
}

#[test]
fn an_unjudged_completion_is_no_failure() {
    let setup = setup(12);
    // Most completions that fail are not judged: these may not make a prefix unrecoverable.
    fn unless_right(program: &str) -> bool {
        !is_right(program) && !program.contains("x += 2\nx += 2\n")
    }
    let judged = run(&setup, &setup.rollouts, &verifier(|_| false)).unwrap();
    let collected = run(&setup, &setup.rollouts, &verifier(unless_right)).unwrap();
    assert_eq!(collected.responses.len() + collected.skipped.len(), setup.rollouts.len());
    let mut prefixes = 0;
    for (rollout, reason) in &collected.skipped {
        match reason {
            SkipReason::Unjudged(_) => assert!(unless_right(&setup.rollouts[*rollout].text)),
            SkipReason::UnjudgedPrefix { .. } => {
                prefixes += 1;
                let sampled = &setup.rollouts[*rollout];
                assert!(!sampled.finished || !unless_right(&sampled.text));
                assert!(
                    reason.to_string().contains("steps are recoverable could not be judged: the verifier")
                );
            }
            other => panic!("{other}"),
        }
    }
    assert!(prefixes > 0);
    for labeled in collected.responses {
        assert_eq!(labeled, judged.responses[labeled.rollout]);
    }
}

#[test]
fn too_many_errors_stop_the_run() {
    let setup = setup(8);
    let error = run(&setup, &setup.rollouts, &limited(|_| true, 0.5)).unwrap_err();
    assert!(matches!(error, CollectError::Verifier(_)), "{error}");
    // The responses are judged, their completions are not.
    let rollouts = vec![response(&setup, "x += 1\nx += 1\nx += 2\nprint(x)\n", true)];
    let error =
        run(&setup, &rollouts, &limited(|program| program != "x += 1\nx += 1\nx += 2\nprint(x)\n", 0.05));
    assert!(matches!(error, Err(CollectError::Verifier(_))));
}

#[test]
fn rollouts_that_do_not_fit_are_named() {
    let mut setup = setup(1);
    let good = setup.rollouts.clone();
    let error = |setup: &Setup, rollouts: &[Rollout]| {
        run(setup, rollouts, &verifier(|_| false)).unwrap_err().to_string()
    };
    let mut rollouts = good.clone();
    rollouts[3].prompt = 12;
    assert_eq!(error(&setup, &rollouts), "response 3 answers problem 12, but there are 12 problems (from 0)");
    let mut rollouts = good.clone();
    rollouts[2].token_ends.push(1);
    assert!(error(&setup, &rollouts).starts_with("response 2 has "));
    let mut rollouts = good.clone();
    rollouts[4].text.push_str("print(x)\n");
    assert!(error(&setup, &rollouts).starts_with("response 4: the tokens end at byte"));

    let lossy = CheckedSplitter::new(splitter_fn(|_| Ok(vec![])));
    let labeler = CheckedLabeler::new(BinarySearch::default());
    let Setup { policy, tokenizer, problems, sampling, .. } = &setup;
    let pool = verifier(|_| false);
    let collector = Collector {
        policy,
        tokenizer,
        exchange: &Exchange::default(),
        sampling,
        splitter: &lossy,
        labeler: &labeler,
        verifier: &pool,
    };
    let result = collector.collect(problems, &good, seed());
    assert!(matches!(result, Err(CollectError::Split { rollout: 0, .. })));

    let chat = Problem { task: Task::Chat, tests: vec![], ..(*setup.problems[0]).clone() };
    setup.problems[0] = chat.into();
    let collected = run(&setup, &good, &verifier(|_| false)).unwrap();
    assert!(matches!(&collected.skipped[..], [(0, SkipReason::NotCode(id))] if id == "0"));
    assert!(run(&setup, &[], &verifier(|_| false)).unwrap().responses.is_empty());
}

/// The rollouts as a model would answer that fences its programs and talks around them.
fn fenced(setup: &Setup) -> Vec<Rollout> {
    let answer = |rollout: &Rollout| {
        let text = format!("The program:\n\n```python\n{}```\nIt counts.", rollout.text);
        let mut response = setup.tokenizer.encode(&text).unwrap();
        response.push(setup.tokenizer.end());
        let (text, token_ends) = setup.tokenizer.decode_with_ends(&response).unwrap();
        let sequence = Sequence { response, prompt: rollout.sequence.prompt.clone() };
        let log_probs = vec![0.0; token_ends.len()];
        Rollout { sequence, text, token_ends, log_probs, finished: true, ..rollout.clone() }
    };
    setup.rollouts.iter().filter(|rollout| rollout.finished).map(answer).collect()
}

#[test]
fn the_program_within_a_response_is_labelled() {
    let mut setup = setup(6);
    setup.sampling.max_new_tokens = NonZeroUsize::new(160).unwrap();
    let mut rollouts = fenced(&setup);
    let exchange = Exchange::default().with_extraction(Extraction::fenced());
    let labeler = CheckedLabeler::new(EveryPrefix::best_of(K));
    let pool = verifier(|program| {
        assert!(!program.contains("The program") && !program.contains("```"), "{program}");
        false
    });
    let Setup { policy, tokenizer, problems, sampling, .. } = &setup;
    // A block without a program.
    rollouts[0].text = "```\n\n".to_owned() + &" ".repeat(rollouts[0].text.len() - 5);
    let splitter = &splitter();
    let collector = Collector {
        policy,
        tokenizer,
        exchange: &exchange,
        sampling,
        splitter,
        labeler: &labeler,
        verifier: &pool,
    };
    let collected = collector.collect(problems, &rollouts, seed()).unwrap();
    let nothing = &collected.skipped[..];
    assert!(matches!(nothing, [(0, SkipReason::NoProgram)]), "{nothing:?}");
    assert_eq!(collected.responses.len(), rollouts.len() - 1);
    let mut revised = 0;
    for LabeledResponse { rollout, steps, step_tokens, labels, passes, .. } in &collected.responses {
        let Rollout { text, token_ends, .. } = &rollouts[*rollout];
        let begin = text.find("python\n").unwrap() + "python\n".len();
        assert_eq!(steps.program(), &text[begin..text.rfind("```").unwrap()]);
        assert_eq!(*passes, is_right(steps.program()));
        for (step, &token) in step_tokens.iter().enumerate() {
            let last = begin + steps.line_end(step) - 1;
            let start = if token == 0 { 0 } else { token_ends[token - 1] };
            assert!((start..token_ends[token]).contains(&last), "step {step} of {text:?}");
        }
        revised += usize::from(labels.class == ResponseClass::Revised);
    }
    let response = &collected.responses[0];
    let record = response.record(&problems[response.problem], "count");
    record.check().unwrap();
    assert_eq!(
        (record.steps().unwrap(), record.labels().unwrap()),
        (response.steps.clone(), response.labels.clone())
    );
    assert!(revised > 0, "the policy goes on with a program within its fence");
}

#[test]
fn the_program_within_a_response_is_judged() {
    let setup = setup(2);
    let mut rollouts = fenced(&setup);
    let prose = "No.".to_owned() + &" ".repeat(rollouts[0].text.len() - 3);
    rollouts[0].text = prose;
    let fenced = r#"{"type": "fenced", "without_block": "no_program"}"#;
    let exchange = Exchange::default().with_extraction(serde_json::from_str(fenced).unwrap());
    let judged =
        judge(rollouts, &setup.problems, &exchange, &splitter(), &verifier(|_| false), Tests::Rewarded)
            .unwrap();
    let verdict = judged[0].verdict.as_ref().unwrap();
    assert_eq!((verdict.outcome, judged[0].passes), (Outcome::NoCode, Some(false)));
    assert!(judged[0].steps.is_empty() && judged[0].step_tokens.is_empty());
    for row in &judged[1..] {
        assert!(row.rollout.text.contains(&format!("```python\n{}```", row.steps.program())));
        assert_eq!(row.passes, Some(is_right(row.steps.program())));
        assert!(row.step_tokens.len() == row.steps.len() && row.step_tokens[0] > 0);
        let record = row.record("count");
        record.check().unwrap();
        assert_eq!((record.problem, record.passes), (row.problem.id.clone(), row.passes));
    }
    assert!(judged.iter().any(|row| row.passes == Some(true)), "some pass");
}
