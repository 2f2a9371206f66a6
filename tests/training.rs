//! Training as a whole: PPO learns what it is rewarded for, a restored run goes on to the same bytes, and
//! the number of threads changes nothing.

use std::sync::{Arc, Mutex};

use pspo::data::numbers::{LearningRate, RewardCeiling};
use pspo::data::{Problem, ProblemSet, Seed, Task, TestCase};
use pspo::kernels::Device;
use pspo::model::{Arch, GROUP_TOKENS, Lora, Policy, ScalarModel, Tokenizer, Tuning, init};
use pspo::plugin::{
    CheckedSplitter, CheckedVerifier, Outcome, PrmError, PrmInput, ProcessRewardModel, Submission, Verdict,
    Verifier, VerifyError, verifier_fn,
};
use pspo::prm::{Objective, TrainedPrm};
use pspo::reward::{DenseReward, OutcomeReward};
use pspo::reward_model::{self, BradleyTerry, BradleyTerryConfig, Preference};
use pspo::sft::{Sft, SftConfig};
use pspo::steps::Lines;
use pspo::trainer::builder::{NoPrm, Sparse, WithCritic};
use pspo::trainer::events::{Event, Events, Recorder, metrics};
use pspo::trainer::{Checkpoint, PpoConfig, RewardModel, Run, Stage, Trainer, TrainerError, general_reward};
use pspo::value::{FromPolicy, FromPrm};

pspo::arch! {
    struct Tiny {
        name: "tiny", vocabulary: 280, width: 32, layers: 1, heads: 2, kv_heads: 1, head_size: 16, hidden: 48,
        positions: 64,
    }
}

fn problem(id: usize, task: Task) -> Problem {
    let tests = vec![TestCase::Assert { code: "x".into(), calls: vec![] }];
    Problem {
        id: format!("p{id}"),
        prompt: format!("say {}:", ["one", "two", "three"][id % 3]),
        task,
        tests,
        held_out_tests: vec![],
        matching: Default::default(),
        solution: None,
        metadata: Default::default(),
    }
}

fn problems() -> ProblemSet {
    ProblemSet::new((0..6).map(|id| problem(id, Task::Code))).unwrap()
}

/// Passes a program whose first line is `x`.
fn verifier() -> impl Verifier {
    verifier_fn(|submission: Submission<'_>| {
        let passes = submission.program.lines().next() == Some("x");
        Ok(Verdict {
            outcome: if passes { Outcome::Pass } else { Outcome::Wrong },
            passed: usize::from(passes),
            total: 1,
            detail: String::new(),
            seconds: 0.0,
        })
    })
}

/// A policy that answers with one of four letters on each of two lines, each about as often.
fn start() -> (Policy<Tiny>, Tokenizer) {
    let prompts: Vec<String> = problems().iter().map(|problem| problem.prompt.clone()).collect();
    let tokenizer = Tokenizer::train(prompts.iter(), 280).unwrap();
    let letters = ["a", "b", "x", "y"];
    let examples = (0..192).map(|i| {
        let response = format!("{}\n{}\n", letters[i % 4], letters[i / 4 % 4]);
        tokenizer.example(&prompts[i % 3], &response).unwrap()
    });
    let config = SftConfig {
        steps: 60,
        batch: 32.try_into().unwrap(),
        learning_rate: LearningRate::new(1e-2),
        warmup: 5,
        ..SftConfig::default()
    };
    let policy = Policy::random(&Device::cpu(), Seed::root(1)).unwrap();
    let mut sft = Sft::new(config, policy, examples.collect(), Seed::root(2)).unwrap();
    while !sft.is_done() {
        sft.step().unwrap();
    }
    (sft.into_policy(), tokenizer)
}

fn config(iterations: usize) -> PpoConfig {
    let mut config = PpoConfig {
        iterations,
        prompts: 6.try_into().unwrap(),
        responses: 8.try_into().unwrap(),
        ..PpoConfig::default()
    };
    config.sampling.max_new_tokens = 8.try_into().unwrap();
    config.update.policy_learning_rate = LearningRate::new(3e-3);
    config.update.critic_learning_rate = LearningRate::new(3e-3);
    config
}

fn trainer(start: &(Policy<Tiny>, Tokenizer), iterations: usize) -> Trainer<Tiny> {
    builder(start).config(config(iterations)).build().unwrap()
}

/// All parts of a trainer with sparse rewards, apart from its numbers.
fn builder(
    (policy, tokenizer): &(Policy<Tiny>, Tokenizer),
) -> WithCritic<Tiny, ProblemSet, CheckedSplitter, CheckedVerifier, Sparse, NoPrm> {
    pspo::trainer::builder(policy, tokenizer)
        .problems(problems())
        .splitter(Lines::python())
        .verifier(verifier())
        .sparse_rewards()
        .value_init(FromPolicy::default())
        .seed(Seed::root(3))
}

fn run(mut trainer: Trainer<Tiny>) -> (Vec<Event>, Vec<u32>) {
    let recorder = Recorder::default();
    let mut events = Events::default().with(recorder.clone());
    while trainer.done() < trainer.total() {
        trainer.advance(&mut events).unwrap();
    }
    (recorder.events(), bits(&trainer))
}

fn bits(trainer: &Trainer<Tiny>) -> Vec<u32> {
    trainer.policy().parameters().unwrap().values().iter().map(|value| value.to_bits()).collect()
}

fn pass_rates(events: &[Event]) -> Vec<f64> {
    events.iter().filter_map(|event| event.metric(metrics::PASS_RATE)).collect()
}

/// The same training with adapters, activations computed again.
fn adapted(start: &(Policy<Tiny>, Tokenizer), iterations: usize) -> Trainer<Tiny> {
    let mut config = config(iterations);
    config.tuning = Tuning::Lora(Lora::default());
    config.recompute = true;
    config.update.policy_learning_rate = LearningRate::new(5e-3);
    builder(start).config(config).build().unwrap()
}

#[test]
fn ppo_learns_what_the_tests_reward() {
    for trainer in [trainer, adapted] {
        learns(trainer(&start(), 25));
    }
}

fn learns(trainer: Trainer<Tiny>) {
    let (events, _) = run(trainer);
    let rates = pass_rates(&events);
    let (first, last) = (rates[0], rates[22..].iter().sum::<f64>() / 3.0);
    assert!(first < 0.5 && last > 0.9, "{rates:?}");
    let gap = events.iter().filter_map(|event| event.metric(metrics::SAMPLER_GAP)).fold(0.0, f64::max);
    assert!(gap < 1e-4, "sampler and trainer differ by {gap}");
}

#[test]
fn sampler_reference_and_update_share_the_temperature() {
    let start = start();
    let mut config = config(1);
    config.sampling.temperature = 0.7.try_into().unwrap();
    let (events, _) = run(builder(&start).config(config).build().unwrap());
    let metric = |name| events[0].metric(name).unwrap();
    // Before the first update policy, reference and sampler are one distribution.
    let (gap, kl) = (metric(metrics::SAMPLER_GAP), metric(metrics::KL));
    assert!(gap < 1e-4, "sampler and update differ by {gap}");
    assert!(kl.abs() < 1e-4, "policy and reference differ by {kl}");
}

#[test]
fn training_on_a_part_of_the_distribution_is_refused() {
    let tokenizer = Tokenizer::train(["x\n"], 257).unwrap();
    let policy = Policy::random(&Device::cpu(), Seed::root(1)).unwrap();
    let start = (policy, tokenizer);
    let error = |change: fn(&mut PpoConfig)| {
        let mut config = config(1);
        change(&mut config);
        builder(&start).config(config).build().err().unwrap().to_string()
    };
    let top_p = error(|config| config.sampling.top_p = 0.9.try_into().unwrap());
    assert!(top_p.starts_with("sampling.top_p is 0.9") && top_p.ends_with("with top_p = 1"), "{top_p}");
    let top_k = error(|config| config.sampling.top_k = Some(5.try_into().unwrap()));
    assert!(top_k.starts_with("sampling.top_k is 5") && top_k.ends_with("without top_k"), "{top_k}");
}

fn wrong() -> Verdict {
    Verdict { outcome: Outcome::Wrong, passed: 0, total: 1, detail: "never right".into(), seconds: 0.0 }
}

/// Likes lines that say `y`.
struct LikesY;

impl ProcessRewardModel for LikesY {
    fn scores(&self, responses: &[PrmInput<'_>]) -> Result<Vec<Vec<f32>>, PrmError> {
        let score = |line: &str| if line.trim() == "y" { 1.0 } else { -1.0 };
        Ok(responses
            .iter()
            .map(|input| (0..input.steps.len()).map(|step| score(input.steps.text(step))).collect())
            .collect())
    }
}

#[test]
fn ppo_learns_what_the_prm_rewards_line_by_line() {
    let (policy, tokenizer) = start();
    let trainer = pspo::trainer::builder(&policy, &tokenizer)
        .problems(problems())
        .splitter(Lines::python())
        .verifier(verifier_fn(|_| Ok(wrong())))
        .dense_rewards(DenseReward::default())
        .prm(LikesY)
        .value_init(FromPolicy::default())
        .config(config(25))
        .seed(Seed::root(3))
        .build()
        .unwrap();
    let (events, _) = run(trainer);
    let dense: Vec<f64> = events.iter().filter_map(|event| event.metric(metrics::DENSE_REWARD)).collect();
    assert!(dense[0] < 0.0 && dense[24] > 0.2, "of at most 0.25: {dense:?}");
}

#[test]
fn a_critic_that_starts_as_a_prm_with_adapters_goes_on_with_them() {
    let start = start();
    let (policy, tokenizer) = &start;
    let mut prm = adapted(&start, 1).critic().fork();
    let mut trained = prm.trained().unwrap();
    trained.values_mut().iter_mut().zip(0..).for_each(|(value, n)| *value += 0.1 * (n as f32).sin());
    prm.set_trained(&trained).unwrap();
    let halved = |name: &str, value: &f32| value / 2.0 + if name == "head.bias" { 0.5 } else { 0.0 };
    let guided = |prm| {
        let mut config = config(1);
        config.tuning = Tuning::Lora(Lora::default());
        let trainer = pspo::trainer::builder(policy, tokenizer)
            .problems(problems())
            .splitter(Lines::python())
            .verifier(verifier())
            .dense_rewards(DenseReward::default())
            .prm(TrainedPrm::new(prm, Objective::Mse))
            .value_init(FromPrm { rescale: true })
            .config(config)
            .build();
        trainer.unwrap()
    };
    let on_prm = guided(prm.fork());
    let goes_on = on_prm.critic();
    for (name, _, place) in trained.layout().iter() {
        let needed: Vec<f32> = match name.starts_with("head.") {
            true => trained.values()[place].iter().map(|value| halved(name, value)).collect(),
            false => trained.values()[place].to_vec(),
        };
        assert_eq!(goes_on.trained().unwrap().tensor(name).unwrap(), needed, "{name}");
    }
    // On another device there is nothing to share: the critic is the same, with adapters that begin at nothing.
    let elsewhere = ScalarModel::new(&Device::cpu(), &prm.parameters().unwrap()).unwrap();
    let mut apart = guided(elsewhere);
    assert_ne!(apart.critic().trained().unwrap(), goes_on.trained().unwrap());
    assert_eq!(apart.critic().parameters().unwrap(), goes_on.parameters().unwrap());
    // And adapters on the one trunk are none for the other.
    let error = apart.restore(&on_prm.checkpoint().unwrap()).unwrap_err();
    assert!(matches!(error, TrainerError::CriticTrunk { .. }), "{error}");
    let told = "adapters on the PRM's trunk, and this training's on a trunk of its own";
    assert!(error.to_string().contains(told), "{error}");
    guided(prm).restore(&on_prm.checkpoint().unwrap()).unwrap();
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let start = start();
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(trainer(&start, 2)))
    };
    assert_eq!(with(1), with(3));
}

/// 240 responses in one minibatch of some 4,000 tokens: several groups, in each of which gradients are summed by
/// themselves.
#[test]
fn the_size_of_micro_batches_changes_nothing() {
    let start = start();
    let with = |tokens: usize, recompute| {
        let mut config = config(2);
        config.responses = 40.try_into().unwrap();
        config.update.minibatches = 1.try_into().unwrap();
        config.update.micro_batch_tokens = tokens.try_into().unwrap();
        config.recompute = recompute;
        let mut trainer = builder(&start).config(config).build().unwrap();
        let recorder = Recorder::default();
        let mut events = Events::default().with(recorder.clone());
        while trainer.done() < trainer.total() {
            trainer.advance(&mut events).unwrap();
        }
        (recorder.events(), trainer.checkpoint().unwrap())
    };
    let (events, whole) = with(100_000, false);
    for (tokens, recompute) in [(1, false), (2 * GROUP_TOKENS, true)] {
        let (got, parts) = with(tokens, recompute);
        assert_eq!(got, events, "{tokens} tokens");
        for (name, parameters) in &whole.tensors {
            let (got, expected) = (parts.group(name).unwrap().values(), parameters.values());
            let differ = got.iter().zip(expected).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
            assert_eq!(differ, 0, "{name}, {tokens} tokens");
        }
    }
}

#[test]
fn a_restored_run_goes_on_to_the_same_bytes() {
    goes_on(trainer);
}

#[test]
fn a_restored_run_with_adapters_goes_on_to_the_same_bytes() {
    let checkpoint = goes_on(adapted);
    let names: Vec<_> = checkpoint.group("policy").unwrap().layout().iter().map(|(name, ..)| name).collect();
    assert!(names.iter().all(|name| name.contains(".lora_")), "adapters alone are saved: {names:?}");
    let error = checkpoint.model("policy").unwrap_err().to_string();
    assert!(error.contains("group `policy` holds what was trained of a model"), "{error}");
}

/// Returns the checkpoint at the run's end.
fn goes_on(trainer: fn(&(Policy<Tiny>, Tokenizer), usize) -> Trainer<Tiny>) -> Checkpoint {
    let (start, folder) = (start(), tempfile::tempdir().unwrap());
    let whole = folder.path().join("whole");
    let mut uninterrupted = trainer(&start, 4);
    let config = serde_json::json!({ "seed": 3 });
    Run::start(&whole, &config, false).unwrap().stage_keeping(&mut uninterrupted, 2).unwrap();

    // Stopped by a verifier that breaks after two iterations, then gone on with a whole one.
    let cut = folder.path().join("cut");
    let mut stopped = trainer(&start, 4);
    let mut first = Run::start(&cut, &config, false).unwrap();
    let mut killed = Killed { stage: &mut stopped, after: 3 };
    assert!(first.stage_keeping(&mut killed, 2).is_err());
    drop(first);
    assert!(Run::start(&cut, &config, false).is_err(), "a folder with a run is not overwritten");
    let mut resumed = trainer(&start, 4);
    Run::start(&cut, &config, true).unwrap().stage_keeping(&mut resumed, 2).unwrap();

    assert_eq!(bits(&resumed), bits(&uninterrupted));
    let events = |run: &std::path::Path| std::fs::read(run.join("events.jsonl")).unwrap();
    assert_eq!(events(&cut), events(&whole));
    resumed.checkpoint().unwrap()
}

/// A stage whose process dies in the middle of a step.
struct Killed<'a> {
    stage: &'a mut Trainer<Tiny>,
    after: u64,
}

impl Stage for Killed<'_> {
    fn name(&self) -> &str {
        self.stage.name()
    }
    fn total(&self) -> u64 {
        self.stage.total()
    }
    fn done(&self) -> u64 {
        self.stage.done()
    }
    fn advance(&mut self, events: &mut Events) -> Result<(), TrainerError> {
        self.stage.advance(events)?;
        if self.stage.done() == self.after { Err(TrainerError::RewardModel("killed".into())) } else { Ok(()) }
    }
    fn checkpoint(&self) -> Result<Checkpoint, TrainerError> {
        self.stage.checkpoint()
    }
    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainerError> {
        self.stage.restore(checkpoint)
    }
}

/// Three tests, of which a program passes as many as it has lines that say `x`, and one for being there; a line that
/// says `b` does not compile, and breaks it.
struct Graded {
    counts_all: bool,
}

impl Verifier for Graded {
    fn verify(&self, submission: Submission<'_>) -> Result<Verdict, VerifyError> {
        let lines = |letter| submission.program.lines().filter(|line| *line == letter).count();
        let passed = if lines("b") > 0 { 0 } else { 1 + lines("x").min(2) };
        let outcome = match passed {
            0 => Outcome::Compile,
            3 => Outcome::Pass,
            _ => Outcome::Wrong,
        };
        Ok(Verdict { outcome, passed, total: 3, ..wrong() })
    }

    fn counts_all(&self) -> bool {
        self.counts_all
    }

    fn about(&self) -> String {
        "three tests".into()
    }
}

fn three_tests() -> ProblemSet {
    let problems = (0..6).map(|id| problem(id, Task::Code));
    ProblemSet::new(problems.map(|mut problem| {
        problem.tests = vec![problem.tests[0].clone(); 3];
        problem
    }))
    .unwrap()
}

#[test]
fn graded_rewards_reach_the_policy_and_passing_stays_binary() {
    let start = start();
    let fraction = |ceiling| OutcomeReward::Fraction { ceiling };
    let run_with = |outcome, iterations| {
        let builder = builder(&start).problems(three_tests()).verifier(Graded { counts_all: true });
        run(builder.outcome_reward(outcome).config(config(iterations)).build().unwrap()).0
    };
    let first = |outcome| {
        let events = run_with(outcome, 1);
        (events[0].metric(metrics::REWARD).unwrap(), events[0].metric(metrics::PASS_RATE).unwrap())
    };
    // The same responses, since the first rollouts come before anything is learned.
    let (binary, passes) = first(OutcomeReward::Binary);
    let (share, passes_of_share) = first(fraction(RewardCeiling::new(1.0)));
    let (half, _) = first(fraction(RewardCeiling::new(0.5)));
    let (levels, passes_of_levels) = first(OutcomeReward::Levels);
    assert_eq!(binary, passes);
    assert_eq!((passes_of_share, passes_of_levels), (passes, passes));
    assert!(
        (half - passes - (share - passes) / 2.0).abs() < 1e-6,
        "the ceiling halves what failing ones get"
    );
    assert!(share > passes + 0.1 && levels < passes - 0.3, "{passes}: {share}, {levels}");

    // Half of the responses pass the first test alone and few pass all: the shares lead there.
    let rates = pass_rates(&run_with(fraction(RewardCeiling::new(1.0)), 25));
    let last = rates[22..].iter().sum::<f64>() / 3.0;
    assert!(rates[0] < 0.2 && last > 0.6, "{rates:?}");
}

#[test]
fn a_graded_reward_that_would_mislead_is_refused() {
    let tokenizer = Tokenizer::train(["x\n"], 257).unwrap();
    let start = (Policy::random(&Device::cpu(), Seed::root(1)).unwrap(), tokenizer);
    let fraction = |ceiling| OutcomeReward::Fraction { ceiling: RewardCeiling::try_new(ceiling).unwrap() };
    let build = |counts_all, outcome| {
        let builder = builder(&start).problems(three_tests()).verifier(Graded { counts_all });
        let trainer = builder.outcome_reward(outcome).config(config(1)).build()?;
        assert_eq!(trainer.about(), "three tests");
        Ok(())
    };
    build(false, OutcomeReward::Levels).unwrap();
    build(true, fraction(1.0)).unwrap();
    let error = build(false, fraction(1.0)).unwrap_err();
    assert!(matches!(error, TrainerError::UncountedTests), "{error}");

    let dense = |outcome| {
        let builder = builder(&start).problems(three_tests()).verifier(Graded { counts_all: true });
        let builder = builder.dense_rewards(DenseReward::default()).prm(LikesY);
        builder.outcome_reward(outcome).config(config(1)).build().map(drop)
    };
    dense(OutcomeReward::Levels).unwrap();
    dense(fraction(0.7)).unwrap();
    let error = dense(fraction(0.75)).unwrap_err().to_string();
    assert!(error.contains("1 - weight_pass must be above weight_fail + 0.75"), "{error}");
}

#[test]
fn a_mixed_batch_takes_each_prompt_s_own_reward() {
    let (policy, tokenizer) = start();
    let mixed =
        ProblemSet::new((0..6).map(|id| problem(id, if id % 2 == 0 { Task::Code } else { Task::Chat })))
            .unwrap();
    let builder = || {
        pspo::trainer::builder(&policy, &tokenizer)
            .problems(mixed.clone())
            .splitter(Lines::python())
            .verifier(verifier())
            .sparse_rewards()
            .value_init(FromPolicy::default())
            .config(config(1))
    };
    let error = builder().build().err().unwrap();
    assert!(error.to_string().starts_with("problem `p1` is no code problem"), "{error}");
    let trainer = builder().reward_model(Box::new(|rows| Ok(vec![0.25; rows.len()]))).build().unwrap();
    let (events, _) = run(trainer);
    let (reward, rate) = (events[0].metric(metrics::REWARD).unwrap(), pass_rates(&events)[0]);
    assert!((reward - (0.125 + 0.5 * rate)).abs() < 1e-6, "reward {reward} at pass rate {rate}");
}

/// A reward model that prefers responses to chat prompts which begin with `y`.
fn prefers_y(tokenizer: &Tokenizer) -> reward_model::RewardModel<Tiny> {
    let response = |letters: [&str; 2]| {
        let example = tokenizer.example("", &format!("{}\n{}\n", letters[0], letters[1])).unwrap();
        example.response
    };
    let letters = ["a", "b", "x", "y"];
    let preferences = (0..24).map(|i| Preference {
        prompt: tokenizer.encode(&problem(1 + i % 2, Task::Chat).prompt).unwrap(),
        chosen: response(["y", letters[i % 4]]),
        rejected: response([letters[i % 3], letters[i / 4 % 4]]),
    });
    let config =
        BradleyTerryConfig { steps: 60, learning_rate: LearningRate::new(1e-2), ..Default::default() };
    let parameters = init::random(Tiny::DIMS.scalar_layout(), Tiny::DIMS.layers, Seed::root(4));
    let model = ScalarModel::new(&Device::cpu(), &parameters).unwrap();
    let mut training = BradleyTerry::new(config, model, preferences.collect(), Seed::root(5)).unwrap();
    while !training.is_done() {
        training.step().unwrap();
    }
    training.into_reward_model()
}

#[test]
fn a_trained_reward_model_judges_the_chat_prompts_of_a_mixed_batch() {
    let start = start();
    let tokenizer = start.1.clone();
    let trained = general_reward(prefers_y(&tokenizer), |reward| 1.0 / (1.0 + (-reward).exp()));
    // What it says goes through here on its way.
    let heard = Arc::new(Mutex::new(Vec::new()));
    let said = heard.clone();
    let model: RewardModel = Box::new(move |rows| {
        let rewards = trained(rows)?;
        let texts = rows.iter().map(|row| tokenizer.decode(&row.response).unwrap());
        said.lock().unwrap().extend(texts.zip(rewards.iter().copied()));
        Ok(rewards)
    });
    let task = |id| if id % 3 == 0 { Task::Code } else { Task::Chat };
    let mixed = ProblemSet::new((0..6).map(|id| problem(id, task(id)))).unwrap();
    let trainer = builder(&start).problems(mixed).reward_model(model).config(config(1)).build().unwrap();
    let (events, _) = run(trainer);

    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 32, "8 responses to each of 4 chat prompts");
    let (good, bad): (Vec<_>, Vec<_>) = heard.iter().partition(|(text, _)| text.starts_with('y'));
    let mean = |of: &[&(String, f32)]| of.iter().map(|(_, reward)| reward).sum::<f32>() / of.len() as f32;
    assert!(mean(&good) > mean(&bad) + 0.3, "{heard:?}");
    let passed = 16.0 * pass_rates(&events)[0];
    let reward = (passed + heard.iter().map(|&(_, reward)| f64::from(reward)).sum::<f64>()) / 48.0;
    assert!((events[0].metric(metrics::REWARD).unwrap() - reward).abs() < 1e-6);
}

#[test]
fn a_reward_model_that_breaks_its_contract_is_named() {
    let start = start();
    let chat = ProblemSet::new((0..6).map(|id| problem(id, Task::Chat))).unwrap();
    let error = |model: RewardModel| {
        let builder = builder(&start).problems(chat.clone()).reward_model(model).config(config(1));
        builder.build().unwrap().advance(&mut Events::default()).unwrap_err().to_string()
    };
    let few = error(Box::new(|rows| Ok(vec![0.0; rows.len() - 1])));
    assert_eq!(few, "the general reward model failed: it gave 47 numbers for 48 responses");
    let infinite = error(Box::new(|rows| Ok(vec![f32::INFINITY; rows.len()])));
    assert_eq!(infinite, "the general reward model failed: it gave inf: a reward must be finite");
}

#[test]
fn a_verifier_that_cannot_judge_masks_and_then_stops_the_run() {
    let (policy, tokenizer) = start();
    let broken = verifier_fn(|_| Err(VerifyError::Failed("no interpreter".into())));
    let mut trainer = pspo::trainer::builder(&policy, &tokenizer)
        .problems(problems())
        .splitter(Lines::python())
        .verifier(broken)
        .error_limit(pspo::verify::ErrorLimit {
            window: 100.try_into().unwrap(),
            share: 0.5.try_into().unwrap(),
        })
        .sparse_rewards()
        .value_init(FromPolicy::default())
        .config(config(10))
        .build()
        .unwrap();
    let before = bits(&trainer);
    let mut events = Events::default();
    let error = (0..10).find_map(|_| trainer.advance(&mut events).err()).expect("the run stops");
    assert!(error.to_string().contains("no interpreter"), "{error}");
    assert_eq!(bits(&trainer), before, "nothing was learned from what could not be judged");
}

#[test]
fn what_could_not_be_judged_counts_in_no_metric() {
    let start = start();
    // Judges one program, which passes.
    let picky = verifier_fn(|submission: Submission<'_>| match submission.program {
        "x\nx\n" => Ok(Verdict { outcome: Outcome::Pass, passed: 1, ..wrong() }),
        _ => Err(VerifyError::Failed("no interpreter".into())),
    });
    let all = pspo::verify::ErrorLimit { share: 1.0.try_into().unwrap(), ..Default::default() };
    let (events, _) =
        run(builder(&start).verifier(picky).error_limit(all).config(config(1)).build().unwrap());
    let metric = |name| events[0].metric(name).unwrap();
    assert!((1.0..48.0).contains(&metric(metrics::VERIFIER_ERRORS)));
    for (name, of_each) in
        [(metrics::REWARD, 1.0), (metrics::PASS_RATE, 1.0), (metrics::LINES, 2.0), (metrics::TRUNCATED, 0.0)]
    {
        assert_eq!(metric(name), of_each, "{name}");
    }
}
