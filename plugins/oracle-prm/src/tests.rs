use pspo::data::{Problem, Sequence, Step, Steps};
use pspo::plugin::{self, CheckedPrm, Kind, testkit};
use pspo::problems::{Pseudocode, Sizes};
use serde_json::json;

use super::*;

fn problem() -> Problem {
    let tests: Vec<_> = [3, 8]
        .map(|a| json!({"kind": "script", "variables": {"a": a}, "stdout": format!("{}\n", a + 1)}))
        .into();
    let program = json!({"program": "a += 1\nprint(a)\n"});
    serde_json::from_value(json!({"id": "p", "prompt": "p", "tests": tests, "metadata": program})).unwrap()
}

/// One step per line.
fn steps(program: &str) -> Steps {
    let mut end = 0;
    let steps = program.split_inclusive('\n').map(|line| {
        let kind = if line.starts_with('#') { StepKind::Comment } else { StepKind::Code };
        end += line.len();
        Step { span: end - line.len()..end, kind }
    });
    Steps::new(program, steps.collect()).unwrap()
}

fn scores(config: &OraclePrmConfig, problem: &Problem, program: &str) -> Vec<f32> {
    let (steps, sequence) = (steps(program), Sequence::default());
    let input = PrmInput::new(problem, &steps, &sequence, &[]);
    CheckedPrm::new(config.build().unwrap()).scores(&[input]).unwrap().remove(0)
}

#[test]
fn lines_score_by_the_truth() {
    let config = OraclePrmConfig::default();
    assert_eq!(scores(&config, &problem(), "# so\na += 1\n# be it\nprint(a)\n"), [0.0, 1.0, 0.0, 1.0]);
    assert_eq!(scores(&config, &problem(), "a += 1\nprint(a + 1)\n# oh\nprint(a)\n"), [1.0, -1.0, 0.0, -1.0]);
    let neutral = OraclePrmConfig { unknown: Score(0.0), ..config };
    assert_eq!(scores(&neutral, &problem(), "a += 1\nimport os\nprint(a)\n"), [1.0, 0.0, 0.0]);
    assert!(scores(&neutral, &problem(), "").is_empty());
}

#[test]
fn the_control_is_a_coin_per_text() {
    let config = OraclePrmConfig { random: true, ..OraclePrmConfig::default() };
    let program = "a += 1\n# c\n".repeat(200);
    let first = scores(&config, &problem(), &program);
    assert_eq!(first, scores(&config, &problem(), &program));
    assert_ne!(first, scores(&OraclePrmConfig { seed: 1, ..config.clone() }, &problem(), &program));
    assert_ne!(first, scores(&config, &Problem { id: "q".into(), ..problem() }, &program));
    // What follows does not count: a prefix scores as it does in the whole.
    assert_eq!(scores(&config, &problem(), &program[..program.len() / 2]), first[..200]);
    assert!(first.iter().skip(1).step_by(2).all(|&comment| comment == 0.0));
    let heads = first.iter().filter(|&&score| score == 1.0).count();
    assert!((70..=130).contains(&heads), "{heads} of 200");
}

#[test]
fn both_keep_the_contract() {
    let sizes = Sizes { sft: 20, rl: 0, held_out: 0 };
    let splits = Pseudocode::default().splits(Seed::root(1), sizes).unwrap();
    let problems: Vec<_> = splits.sft.iter().collect();
    // Each response stands under the next problem too, where it is wrong.
    let steps: Vec<_> = problems.iter().map(|problem| steps(problem.solution.as_ref().unwrap())).collect();
    let sequence = Sequence::default();
    let inputs: Vec<_> = (0..2 * problems.len())
        .map(|row| (problems[row % 20], &steps[(row + row / 20) % 20]))
        .map(|(problem, steps)| PrmInput::new(problem, steps, &sequence, &[]))
        .collect();
    for random in [false, true] {
        let prm = OraclePrm::new(OraclePrmConfig { random, ..OraclePrmConfig::default() });
        testkit::prm(prm, &inputs);
    }
}

#[test]
fn configs_are_read_and_checked() {
    let card = plugin::cards().into_iter().find(|card| card.name == "oracle").unwrap();
    assert_eq!(card.krate, "pspo-oracle-prm");
    let build = |table| plugin::build::<Box<dyn PrmConfig>>(Kind::ProcessRewardModel, table);
    assert!(build(json!({"type": "oracle"})).unwrap().build().is_ok());
    let error = build(json!({"type": "oracle", "unknown": 2.0})).unwrap_err().to_string();
    assert!(
        error.ends_with("wrong at `unknown`: score 2 is out of bounds: it must be from -1 to 1"),
        "{error}"
    );
    assert!(build(json!({"type": "oracle", "sed": 1})).unwrap_err().to_string().contains("`sed`"));
    let (steps, sequence) = (steps("a = 1\n"), Sequence::default());
    let mut foreign = problem();
    foreign.metadata.clear();
    let prm = OraclePrm::new(OraclePrmConfig::default());
    let error = prm.scores(&[PrmInput::new(&foreign, &steps, &sequence, &[])]).unwrap_err();
    assert!(matches!(error, PrmError::Unsupported(_)), "{error}");
}
