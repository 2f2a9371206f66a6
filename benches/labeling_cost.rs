//! What labels cost, in tokens and verdicts, beside the same labels without what makes them cheap.
//!
//! `cargo bench --bench labeling_cost -- RUN`, where RUN is the folder of a quickstart run of seed 0, labels responses
//! of three checkpoints of its baseline in three ways and prints a table:
//!
//! - as [`Collector`] does: completions end with a prefix's first pass, share the keys and values of their response and what
//!   they begin with alike, equal responses are labelled and equal programs judged once;
//! - by binary search as algorithm 1 is written: each question takes all K completions, each from keys and values of its
//!   own, and all of them are judged;
//! - by asking about every prefix in turn in that same way.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pspo::data::numbers::Temperature;
use pspo::data::{Problem, Seed};
use pspo::kernels::Device;
use pspo::label::{BinarySearch, EveryPrefix};
use pspo::model::{Policy, Tokenizer};
use pspo::plugin::labeler::Answer;
use pspo::plugin::{
    Answers, CheckedLabeler, CheckedSplitter, CheckedVerifier, Next, Submission, VerifierConfig, verifier_fn,
};
use pspo::problems::{Pseudocode, Sizes, StepRange};
use pspo::prompts::Exchange;
use pspo::rollouts::{Rollout, Sampling, sample};
use pspo::steps::Lines;
use pspo::trainer::{Checkpoint, Collected, Collector, LabeledResponse};
use pspo::verify::{ErrorLimit, VerifierPool};
use pspo_monty_verifier::MontyConfig;

pspo::arch! {
    /// The quickstart's.
    struct Tiny {
        name: "tiny", vocabulary: 384, width: 64, layers: 3, heads: 4, kv_heads: 2, head_size: 16, hidden: 176,
        positions: 640,
    }
}

const K: usize = 20;
const PROMPTS: usize = 60;
const RESPONSES: usize = 4;
const CHECKPOINTS: [&str; 3] = ["rl-1", "rl-2", "rl-3"];

/// What a way of labeling needed for all responses.
#[derive(Clone, Copy, Default)]
struct Cost {
    completions: usize,
    /// Tokens drawn.
    drawn: usize,
    /// Tokens that went through the model: for those drawn, and those of prompts and prefixes.
    fed: usize,
    /// Programs run.
    verdicts: usize,
}

struct Setting {
    seed: Seed,
    tokenizer: Tokenizer,
    problems: Vec<Arc<Problem>>,
    sampling: Sampling,
    splitter: CheckedSplitter,
}

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [run] = arguments.as_slice() else {
        // `cargo bench` runs every bench: without a run this one has nothing to do.
        eprintln!("labeling_cost: give the folder of a quickstart run of seed 0");
        return;
    };
    let setting = setting();
    let (mut ours, mut plain, mut every) = (Cost::default(), Cost::default(), Cost::default());
    let (mut labeled, mut asked_about) = (0, 0);
    for (number, checkpoint) in CHECKPOINTS.iter().enumerate() {
        let policy = policy(&Path::new(run).join("checkpoints").join(checkpoint));
        let rollouts = responses(&setting, &policy, number);
        let collected = label(&setting, &policy, &rollouts, number, &mut ours);
        labeled += collected.responses.len();
        for response in collected.responses.iter().filter(|response| !response.passes) {
            asked_about += usize::from(response.steps.len() > 1);
            let rollout = &rollouts[response.rollout];
            let binary_search = CheckedLabeler::new(BinarySearch::best_of(K));
            sample_all(&setting, &policy, rollout, response, &binary_search, &mut plain);
            let every_prefix = CheckedLabeler::new(EveryPrefix::best_of(K));
            sample_all(&setting, &policy, rollout, response, &every_prefix, &mut every);
        }
    }
    for cost in [&mut plain, &mut every] {
        cost.verdicts += labeled;
    }
    println!(
        "{labeled} labelled responses, of which {asked_about} fail and have more than one line; K = {K}\n"
    );
    println!(
        "| per labelled response | completions | tokens drawn | tokens fed | verdicts | tokens fed, of ours |"
    );
    println!("|---|---|---|---|---|---|");
    for (name, cost) in [("pspo", ours), ("binary search, all K", plain), ("every prefix, all K", every)] {
        let each = |count: usize| count as f64 / labeled as f64;
        println!(
            "| {name} | {:.1} | {:.0} | {:.0} | {:.1} | {:.1} × |",
            each(cost.completions),
            each(cost.drawn),
            each(cost.fed),
            each(cost.verdicts),
            cost.fed as f64 / ours.fed as f64,
        );
    }
}

/// The quickstart's problems and tokenizer.
fn setting() -> Setting {
    let seed = Seed::root(0);
    let steps = |low, high| StepRange::new(low, high).expect("the range is not empty");
    let problems = Pseudocode {
        sft_steps: steps(2, 7),
        rl_steps: steps(4, 12),
        held_out_steps: steps(2, 16),
        ..Pseudocode::default()
    };
    let splits =
        problems.splits(seed, Sizes { sft: 8000, rl: 2000, held_out: 200 }).expect("there are so many");
    let texts = splits.sft.iter().take(1500);
    let texts = texts.flat_map(|problem| [Some(problem.prompt.clone()), problem.solution.clone()]);
    let longest = 250.try_into().expect("not 0");
    Setting {
        seed,
        tokenizer: Tokenizer::train(texts.flatten(), 384).expect("the texts have tokens"),
        problems: splits.rl.iter().cloned().collect(),
        sampling: Sampling::training(Temperature::new(1.0), longest),
        splitter: CheckedSplitter::new(Lines::python()),
    }
}

fn policy(folder: &Path) -> Policy<Tiny> {
    let checkpoint = Checkpoint::load(folder).expect("the run has the checkpoint");
    Policy::new(&Device::cpu(), checkpoint.group("policy").expect("it has a policy"))
        .expect("it is the quickstart's")
}

fn responses(setting: &Setting, policy: &Policy<Tiny>, number: usize) -> Vec<Rollout> {
    let prompts = setting.problems[number * PROMPTS..][..PROMPTS].iter();
    let prompts: Vec<_> = prompts
        .map(|problem| setting.tokenizer.encode(&problem.prompt).expect("prompts have tokens"))
        .collect();
    let seed = setting.seed.child("responses").index(number as u64);
    sample(policy, &setting.tokenizer, &prompts, RESPONSES, &setting.sampling, seed).expect("the prompts fit")
}

/// Labels responses as the library does.
fn label(
    setting: &Setting,
    policy: &Policy<Tiny>,
    rollouts: &[Rollout],
    number: usize,
    cost: &mut Cost,
) -> Collected {
    let verdicts = Arc::new(AtomicUsize::new(0));
    let inner =
        MontyConfig { steps: 20_000, ..MontyConfig::default() }.build().expect("the limits are right");
    let counting = {
        let verdicts = verdicts.clone();
        verifier_fn(move |submission: Submission<'_>| {
            verdicts.fetch_add(1, Ordering::Relaxed);
            inner.verify(submission)
        })
    };
    let pool = VerifierPool::new(CheckedVerifier::new(counting), ErrorLimit::default());
    let Setting { tokenizer, problems, splitter, sampling, .. } = setting;
    let labeler = CheckedLabeler::new(BinarySearch::best_of(K));
    let problems = &problems[number * PROMPTS..][..PROMPTS];
    let seed = setting.seed.child("labels").index(number as u64);
    let collector = Collector {
        policy,
        tokenizer,
        exchange: &Exchange::default(),
        sampling,
        splitter,
        labeler: &labeler,
        verifier: &pool,
    };
    let collected = collector.collect(problems, rollouts, seed).expect("the policy can be sampled");
    // Each search computes the keys and values of its response once, equal responses in one search.
    let mut searched: Vec<(&LabeledResponse, &Rollout)> = collected
        .responses
        .iter()
        .filter(|response| !response.passes && response.steps.len() > 1)
        .map(|response| (response, &rollouts[response.rollout]))
        .collect();
    searched
        .sort_by(|(_, a), (_, b)| (a.prompt, &a.sequence.response).cmp(&(b.prompt, &b.sequence.response)));
    searched.dedup_by(|(_, a), (_, b)| (a.prompt, &a.sequence) == (b.prompt, &b.sequence));
    let shared = searched.iter().map(|(response, rollout)| {
        rollout.sequence.prompt.len() + response.step_tokens[response.steps.len() - 2]
    });
    cost.completions += collected.cost.completions;
    cost.drawn += collected.cost.completion_tokens;
    cost.fed += collected.cost.fed_tokens + shared.sum::<usize>();
    cost.verdicts += verdicts.load(Ordering::Relaxed);
    collected
}

/// Samples all K completions of each prefix that `labeler` asks about, each by itself, when the answers are those that
/// the labels tell.
fn sample_all(
    setting: &Setting,
    policy: &Policy<Tiny>,
    rollout: &Rollout,
    response: &LabeledResponse,
    labeler: &CheckedLabeler,
    cost: &mut Cost,
) {
    let first_error = response.labels.first_error().unwrap_or(response.steps.len());
    let mut answers = Answers { passes: false, asked: vec![] };
    while let Next::Ask { prefix, completions } =
        labeler.next(&response.steps, &answers).expect("the labeler keeps its contract")
    {
        let kept = &rollout.sequence.response[..=response.step_tokens[prefix - 1]];
        let tokens = [&rollout.sequence.prompt, kept].concat();
        let left = setting.sampling.max_new_tokens.get() - kept.len();
        if let Ok(max_new_tokens) = left.try_into() {
            let sampling = Sampling { max_new_tokens, ..setting.sampling.clone() };
            let seed = setting.seed.child("all").index(response.rollout as u64).index(prefix as u64);
            let sampled = sample(
                policy,
                &setting.tokenizer,
                std::slice::from_ref(&tokens),
                completions,
                &sampling,
                seed,
            )
            .expect("the prefix fits");
            for completion in sampled {
                let drawn = completion.sequence.response.len();
                cost.drawn += drawn;
                // What `sample` computes once for several counts for each: here they are by themselves.
                cost.fed += tokens.len() - 1 + drawn;
                cost.verdicts += usize::from(completion.finished);
            }
            cost.completions += completions;
        }
        answers.asked.push(Answer { prefix, recoverable: prefix <= first_error });
    }
}
