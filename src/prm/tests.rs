//! Training on a toy language, and the contract of what comes out.

use std::num::NonZeroUsize;

use rand::RngExt;

use super::*;
use crate::data::numbers::LearningRate;
use crate::data::{Label, Labels, Problem, ResponseClass, Seed, Sequence};
use crate::kernels::Device;
use crate::model::{Arch, GROUP_TOKENS, ModelError, ScalarModel, init};
use crate::plugin::testkit::{self, lines_of};
use crate::plugin::{CheckedPrm, PrmError, PrmInput, ProcessRewardModel};

crate::arch! {
    struct Toy {
        name: "toy", vocabulary: 8, width: 16, layers: 1, heads: 2, kv_heads: 1, head_size: 8, hidden: 24,
        positions: 32,
    }
}

const ERROR: u32 = 5;
const COMMENT: u32 = 6;
const LINE_END: u32 = 7;

fn model(seed: u64) -> ScalarModel<Toy> {
    let parameters = init::random(Toy::DIMS.scalar_layout(), Toy::DIMS.layers, Seed::root(seed));
    ScalarModel::new(&Device::cpu(), &parameters).unwrap()
}

/// A response of lines of two tokens. From the first line with [`ERROR`] on, lines are bad; a line with
/// [`COMMENT`] is neutral.
fn example(seed: Seed) -> PrmExample {
    let mut rng = seed.rng();
    let mut response = Vec::new();
    let mut steps = Vec::new();
    let mut broken = false;
    for _ in 0..rng.random_range(1..6) {
        let first = rng.random_range(1..7);
        broken |= first == ERROR;
        response.extend([first, LINE_END]);
        steps.push(match (first, broken) {
            (COMMENT, _) => Label::Neutral,
            (_, true) => Label::Bad,
            (_, false) => Label::Good,
        });
    }
    let class = if broken { ResponseClass::Revised } else { ResponseClass::Correct };
    PrmExample {
        step_tokens: (0..steps.len()).map(|step| 2 * step + 1).collect(),
        sequence: Sequence { prompt: vec![0], response },
        labels: Labels { steps, class },
    }
}

fn examples(seed: u64, count: u64) -> Vec<PrmExample> {
    (0..count).map(|row| example(Seed::root(seed).index(row))).collect()
}

fn config(objective: Objective) -> PrmTrainingConfig {
    PrmTrainingConfig {
        steps: 300,
        batch: NonZeroUsize::new(32).unwrap(),
        learning_rate: LearningRate::new(1e-2),
        objective,
        ..PrmTrainingConfig::default()
    }
}

/// Trains to the end; gives the first loss, the mean of the last ten and the PRM.
fn train(objective: Objective) -> (f32, f32, TrainedPrm<Toy>) {
    let mut training =
        PrmTraining::new(config(objective), model(1), examples(2, 512), Seed::root(3)).unwrap();
    let mut losses = Vec::new();
    while !training.is_done() {
        losses.push(training.step().unwrap().loss);
    }
    let last = losses[losses.len() - 10..].iter().sum::<f32>() / 10.0;
    (losses[0], last, training.into_prm())
}

/// Share of the held-out lines of code whose score has their label's sign.
fn accuracy(held_out: &HeldOut) -> f64 {
    let (scores, labels) = held_out.lines();
    let right =
        scores.iter().zip(&labels).filter(|(score, label)| (**score >= 0.0) == (**label == Label::Good));
    right.count() as f64 / labels.len() as f64
}

#[test]
fn squared_errors_of_a_learnable_label_go_to_zero() {
    let (first, last, prm) = train(Objective::Mse);
    println!("loss {first} to {last}");
    assert!(first > 0.5 && last < 0.02, "{first} to {last}");
    let held_out = prm.judge(&examples(4, 200)).unwrap();
    assert!(accuracy(&held_out) > 0.97, "{}", accuracy(&held_out));
    let (predicted, labelled) = held_out.first_errors(0.0);
    let found = predicted.iter().zip(&labelled).filter(|(a, b)| a == b).count();
    assert!(found > 190, "{found} of 200 first errors");
}

#[test]
fn cross_entropy_goes_to_the_entropy_of_its_targets() {
    let (first, last, prm) = train(Objective::CrossEntropy);
    // A comment's target of ½ costs ln 2 whatever is predicted.
    let data = examples(2, 512);
    let lines = || data.iter().flat_map(|example| &example.labels.steps);
    let neutral = lines().filter(|label| **label == Label::Neutral).count();
    let least = std::f32::consts::LN_2 * neutral as f32 / lines().count() as f32;
    println!("loss {first} to {last}, least {least}");
    assert!(first > 0.5 && last < least + 0.04, "{first} to {last}, least {least}");
    assert!(accuracy(&prm.judge(&examples(4, 200)).unwrap()) > 0.97);
}

#[test]
fn the_same_seed_gives_the_same_updates() {
    let run = |seed| {
        let mut training =
            PrmTraining::new(config(Objective::Mse), model(1), examples(2, 50), Seed::root(seed)).unwrap();
        (0..3).map(|_| training.step().unwrap().loss.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn an_update_does_not_depend_on_the_passes() {
    for objective in [Objective::Mse, Objective::CrossEntropy] {
        let run = |tokens| {
            let micro_batch_tokens = NonZeroUsize::new(tokens).unwrap();
            let batch = NonZeroUsize::new(300).unwrap();
            let config = PrmTrainingConfig { batch, micro_batch_tokens, warmup: 0, ..config(objective) };
            let examples = examples(2, 300);
            let tokens: usize = examples.iter().map(|example| example.sequence.len()).sum();
            assert!(tokens > 3 * GROUP_TOKENS, "{tokens} tokens are few groups");
            let mut training = PrmTraining::new(config, model(1), examples, Seed::root(3)).unwrap();
            let loss = training.step().unwrap().loss;
            (loss, training.model().parameters().unwrap().into_values())
        };
        let (whole, cut) = (run(10_000), run(20));
        assert!((whole.0 - cut.0).abs() < 1e-6 && whole.1 == cut.1, "{} and {}", whole.0, cut.0);
    }
}

#[test]
fn the_contract_of_a_process_reward_model_holds() {
    fn shared<T: Send + Sync>() {}
    shared::<TrainedPrm<Toy>>();

    let problem: Problem = serde_json::from_str(r#"{"id": "toy", "prompt": "toy"}"#).unwrap();
    let examples = examples(7, 20);
    let steps: Vec<_> =
        examples.iter().map(|e| lines_of(&vec![crate::data::StepKind::Code; e.step_tokens.len()])).collect();
    let inputs: Vec<_> = examples
        .iter()
        .zip(&steps)
        .map(|(e, steps)| PrmInput::new(&problem, steps, &e.sequence, &e.step_tokens))
        .collect();
    for objective in [Objective::Mse, Objective::CrossEntropy] {
        let prm = || TrainedPrm::new(model(8), objective);
        testkit::prm(prm(), &inputs);
        // Small passes give what one pass gives.
        let at_once = prm().scores(&inputs).unwrap();
        let in_parts = prm().with_batch_tokens(NonZeroUsize::new(12).unwrap()).scores(&inputs).unwrap();
        let both = at_once.iter().flatten().zip(in_parts.iter().flatten());
        assert!(both.clone().count() > 20);
        assert!(both.into_iter().all(|(a, b)| (a - b).abs() < 1e-5));
        assert_eq!(*prm().parameters().unwrap().unwrap(), model(8).parameters().unwrap());
    }
    // What follows a line does not move its score.
    let prm = CheckedPrm::new(TrainedPrm::new(model(8), Objective::Mse));
    let row = Sequence { prompt: vec![0], response: vec![1, 7, 2, 7] };
    let longer = Sequence { prompt: vec![0], response: vec![1, 7, 5, 7] };
    let two = lines_of(&[crate::data::StepKind::Code; 2]);
    let score = |row| prm.scores(&[PrmInput::new(&problem, &two, row, &[1, 3])]).unwrap().remove(0);
    let (a, b) = (score(&row), score(&longer));
    assert!((a[0] - b[0]).abs() < 1e-6 && (a[1] - b[1]).abs() > 1e-4, "{a:?} {b:?}");
}

#[test]
fn scores_beyond_the_labels_are_clamped() {
    let mut parameters = model(1).parameters().unwrap();
    parameters.tensor_mut("head.weight").unwrap().fill(0.0);
    parameters.tensor_mut("head.bias").unwrap().fill(-3.0);
    let score = |objective| {
        let model = ScalarModel::<Toy>::new(&Device::cpu(), &parameters).unwrap();
        let (scores, _) = TrainedPrm::new(model, objective).judge(&examples(2, 9)).unwrap().lines();
        scores[0]
    };
    assert_eq!(score(Objective::Mse), -1.0);
    assert!((score(Objective::CrossEntropy) - -0.905_148).abs() < 1e-5); // 2σ(−3) − 1
}

#[test]
fn examples_that_cannot_be_learned_from_are_named() {
    let refuse = |example: PrmExample| {
        let examples = vec![examples(2, 1).remove(0), example];
        PrmTraining::new(config(Objective::Mse), model(1), examples, Seed::root(1)).unwrap_err()
    };
    let good = examples(2, 1).remove(0);
    let blank = PrmExample {
        step_tokens: vec![],
        labels: Labels { steps: vec![], class: ResponseClass::Wrong },
        ..good.clone()
    };
    assert!(matches!(refuse(blank), PrmTrainingError::NoSteps { example: 1 }));
    let labels = Labels { steps: vec![Label::Good; 9], class: ResponseClass::Correct };
    let error = refuse(PrmExample { labels: labels.clone(), ..good.clone() });
    assert!(matches!(error, PrmTrainingError::Labels { example: 1, labels: 9, .. }), "{error}");
    let error = refuse(PrmExample { step_tokens: (100..109).collect(), labels, ..good });
    let PrmTrainingError::Model(ModelError::NoSuchToken { row: 1, place: 100, .. }) = error else {
        panic!("{error}")
    };
    let none = PrmTraining::new(config(Objective::Mse), model(1), vec![], Seed::root(1));
    assert!(matches!(none, Err(PrmTrainingError::NoExamples)));
}

#[test]
fn an_input_that_does_not_fit_is_an_error() {
    let prm = TrainedPrm::new(model(1), Objective::Mse);
    let mut example = examples(2, 1).remove(0);
    example.sequence.response = vec![1; 40];
    let Err(PrmError::Failed(message)) = prm.judge(&[example]) else { panic!() };
    assert_eq!(message, "row 0 has 41 tokens, the model has 32 positions");
}

#[test]
fn the_order_of_examples_changes_no_bit() {
    let run = |examples: Vec<PrmExample>| {
        let config =
            PrmTrainingConfig { steps: 5, batch: NonZeroUsize::new(7).unwrap(), ..config(Objective::Mse) };
        let mut training = PrmTraining::new(config, model(1), examples, Seed::root(3)).unwrap();
        let losses: Vec<_> = (0..5).map(|_| training.step().unwrap().loss).collect();
        (losses, training.state().unwrap())
    };
    let examples = examples(2, 20);
    let turned = examples.iter().rev().cloned().collect();
    assert!(run(examples) == run(turned));
}
