//! Tests of the oracle, against hand-made cases and against its definition read literally.

use super::*;
use crate::data::problem::ProblemSet;
use crate::data::seed::Seed;
use crate::data::steps::{Step, StepKind};
use crate::problems::mistakes::mistaken;
use crate::problems::{Pseudocode, Sizes};

fn problems(seed: u64, size: usize) -> ProblemSet {
    let sizes = Sizes { sft: size, rl: size, held_out: 0 };
    let splits = Pseudocode::default().splits(Seed::root(seed), sizes).unwrap();
    let all = splits.sft.iter().chain(splits.rl.iter());
    ProblemSet::new(all.map(|problem| problem.as_ref().clone())).unwrap()
}

/// One problem: its program, and its tests' variables with what they expect.
fn problem(program: &str, tests: &[(Json, &str)]) -> Problem {
    let tests: Vec<_> = tests
        .iter()
        .map(|(variables, stdout)| serde_json::json!({"kind": "script", "variables": variables, "stdout": stdout}))
        .collect();
    serde_json::from_value(serde_json::json!({
        "id": "hand-made", "prompt": "p", "tests": tests, "metadata": {"program": program}
    }))
    .unwrap()
}

/// One step per line.
fn steps(program: &str) -> Steps {
    let mut end = 0;
    let steps = program.split_inclusive('\n').map(|line| {
        let kind = if line.trim_start().starts_with('#') { StepKind::Comment } else { StepKind::Code };
        end += line.len();
        Step { span: end - line.len()..end, kind }
    });
    Steps::new(program, steps.collect()).unwrap()
}

#[test]
fn every_prefix_of_every_solution_is_recoverable() {
    for problem in problems(1, 300).iter() {
        let oracle = Oracle::new(problem).unwrap();
        let onward = oracle.clone().onward();
        let reference = problem.metadata["program"].as_str().unwrap();
        for program in [reference, problem.solution.as_deref().unwrap_or(reference)] {
            let mut end = 0;
            for line in program.split_inclusive('\n') {
                end += line.len();
                for oracle in [&oracle, &onward] {
                    assert_eq!(oracle.recoverable(&program[..end]), Ok(true), "{:?}", &program[..end]);
                }
            }
            assert_eq!(oracle.first_error(&steps(program)), Ok(None));
        }
    }
}

#[test]
fn a_wrong_print_is_lost_for_good() {
    for problem in problems(2, 100).iter() {
        let oracle = Oracle::new(problem).unwrap();
        let reference = problem.metadata["program"].as_str().unwrap();
        let lines: Vec<_> = reference.split_inclusive('\n').collect();
        for wrong in (0..lines.len()).filter(|&line| !lines[line].starts_with(' ')) {
            let program = [&lines[..wrong], &["print(777)\n"], &lines[wrong..]].concat().concat();
            assert_eq!(oracle.first_error(&steps(&program)), Ok(Some(wrong)));
            assert_eq!(oracle.recoverable(&program), Ok(false));
        }
    }
}

#[test]
fn a_problem_read_from_jsonl_has_the_same_oracle() {
    let set = problems(3, 20);
    let mut bytes = Vec::new();
    set.write_jsonl(&mut bytes).unwrap();
    let read = ProblemSet::read_jsonl(&bytes[..]).unwrap();
    let mut rng = Seed::root(3).rng();
    for (problem, read) in set.iter().zip(read.iter()) {
        let program = mistaken(problem.metadata["program"].as_str().unwrap(), &mut rng);
        let truths = |problem| Oracle::new(problem).unwrap().truths(&steps(&program));
        assert_eq!(truths(problem), truths(read));
    }
}

/// The definition, word by word: every line so far with some tail of the reference's lines is a
/// program that passes. `None` where some of it cannot be judged.
fn by_definition(problem: &Problem, prefix: &str, onward: bool) -> Option<bool> {
    let reference = problem.metadata["program"].as_str().unwrap();
    let lines: Vec<_> = reference.split_inclusive('\n').collect();
    let passes = |program: &str| {
        let program = match Program::parse(program) {
            Ok(program) if !program.is_open() => program,
            Ok(_) | Err(ParseError::Invalid(_)) => return Some(false),
            Err(_) => return None,
        };
        for test in &problem.tests {
            let TestCase::Script { variables, stdout } = test else { panic!("{test:?}") };
            let mut output = String::new();
            match State::from_test(variables).unwrap().run(program.statements(), &mut output) {
                Err(Stop::Outside(_)) => return None,
                Ok(()) if output == *stdout => {}
                _ => return Some(false),
            }
        }
        Some(true)
    };
    let mut end = 0;
    for line in prefix.split_inclusive('\n') {
        end += line.len();
        let mut found = Some(false);
        let written = prefix[..end].lines().filter(|line| !matches!(Line::parse(line), Ok(None))).count();
        for tail in if onward { written.min(lines.len()) } else { 0 }..=lines.len() {
            match passes(&(prefix[..end].to_owned() + &lines[tail..].concat())) {
                Some(true) => {
                    found = Some(true);
                    break;
                }
                None => found = None,
                Some(false) => {}
            }
        }
        if found != Some(true) {
            return found;
        }
    }
    Some(true)
}

#[test]
fn the_oracle_is_its_definition_and_monotone() {
    for onward in [false, true] {
        is_its_definition_and_monotone(onward);
    }
}

fn is_its_definition_and_monotone(onward: bool) {
    let mut rng = Seed::root(4).rng();
    let (mut lost, mut judged) = (0, 0);
    for problem in problems(4, 120).iter() {
        let oracle = Oracle::new(problem).unwrap();
        let oracle = if onward { oracle.onward() } else { oracle };
        for _ in 0..4 {
            let program = mistaken(problem.metadata["program"].as_str().unwrap(), &mut rng);
            let steps = steps(&program);
            let truths = oracle.truths(&steps);
            let end = truths.iter().position(|&truth| truth != Truth::Recoverable).unwrap_or(truths.len());
            assert!(truths[end..].windows(2).all(|pair| pair[0] == pair[1]), "{truths:?} of\n{program}");
            for (step, truth) in truths.iter().enumerate() {
                let expected = by_definition(problem, steps.prefix(step + 1), onward);
                if let Some(expected) = expected {
                    let truth = *truth == Truth::Recoverable;
                    assert_eq!(truth, expected, "{:?}", steps.prefix(step + 1));
                    judged += 1;
                    lost += usize::from(!expected);
                }
            }
        }
    }
    assert!(judged > 5_000 && lost > 1_000, "{judged} prefixes judged, {lost} of them lost");
}

#[test]
fn a_line_without_effect_is_where_one_who_goes_on_went_wrong() {
    let tests = [(serde_json::json!({"xs": [2, 1], "a": 5}), "[1, 2]\n6\n")];
    let problem = problem("xs.sort()\nprint(xs)\na += 1\nprint(a)\n", &tests);
    let oracle = Oracle::new(&problem).unwrap();
    let first_error = |oracle: &Oracle, program| oracle.first_error(&steps(program));
    let without = "# sorted\nsorted(xs)\nprint(xs)\na += 1\nprint(a)\n";
    assert_eq!(first_error(&oracle, without), Ok(Some(2)));
    assert_eq!(first_error(&oracle.clone().onward(), without), Ok(Some(1)));
    // It cannot see that a line too many does no harm.
    let longer = "b = 1\nxs.sort()\nprint(xs)\na += 1\nprint(a)\n";
    assert_eq!(first_error(&oracle, longer), Ok(None));
    assert_eq!(first_error(&oracle.onward(), longer), Ok(Some(0)));
}

#[test]
fn what_no_longer_matters_may_differ() {
    let tests =
        [(serde_json::json!({"a": 5, "b": 1}), "5\n7\n"), (serde_json::json!({"a": 2, "b": 4}), "2\n4\n")];
    let problem = problem("print(a)\nif a > 3:\n    b += 6\nprint(b)\n", &tests);
    let oracle = Oracle::new(&problem).unwrap();
    let truth = |prefix: &str| oracle.recoverable(prefix);
    // `a` is not read after the condition, and a condition that falls the same way is the same.
    assert_eq!(truth("c = 1\nprint(a)\nif a > 4:\n    b += 6\na = 0\n"), Ok(true));
    assert_eq!(truth("print(a)\nif a > 3:\n"), Ok(true));
    assert_eq!(truth("print(a)\nif a > 3:\n    b += 3\n"), Ok(false));
    assert_eq!(truth("print(a)\nif a > 3: b += 6\n"), Ok(true));
    assert_eq!(truth("print(a)\nif a > 5:\n"), Ok(false));
    assert_eq!(truth("print(a)\nif a > 3:\n    pass\n"), Ok(true));
    assert_eq!(truth("print(a)\nif a > 3:\n  pass\n"), Ok(true));
    // Raised, endless, wrongly indented: lost whatever follows.
    assert_eq!(truth("print(a)\nprint(xs)\n"), Ok(false));
    assert_eq!(truth("xs = [1]\nfor x in xs:\n    xs.append(x)\nprint(a)\n"), Ok(false));
    // Nor do these, which would double what they hold a thousand times.
    assert_eq!(truth("xs = [1]\nfor x in xs:\n    xs.extend(xs)\nprint(a)\n"), Ok(false));
    assert_eq!(
        truth("xs = [1]\nys = [1]\nfor x in xs:\n    xs.append(x)\n    ys = ys + ys\nprint(a)\n"),
        Ok(false)
    );
    assert_eq!(truth("print(a)\nif a > 3:\nb += 6\n"), Ok(false));
    // The last line needs no end; text outside the subset is unknown, unless all was lost before.
    assert_eq!(truth("print(a)"), Ok(true));
    assert!(matches!(truth("print(a)\nwhile a:\n"), Err(OracleError::Unknown(_))));
    assert_eq!(truth("print(b)\nwhile a:\n"), Ok(false));
}

#[test]
fn labels_are_those_of_an_exact_search() {
    use Label::{Bad, Good, Neutral};
    let tests = [(serde_json::json!({"a": 5}), "6\n12\n")];
    let problem = problem("a += 1\nprint(a)\na *= 2\nprint(a)\n", &tests);
    let oracle = Oracle::new(&problem).unwrap();
    let labels = |program: &str, passes| oracle.labels(&steps(program), passes).unwrap();
    let (good, neutral) = ("a += 1\n# c\nprint(a)\na *= 2\nprint(a)\n", Neutral);
    assert_eq!(labels(good, true).steps, [Good, neutral, Good, Good, Good]);
    assert_eq!(labels(good, true).class, ResponseClass::Correct);
    let wrong_end = labels("a += 1\nprint(a)\n# c\na *= 3\n# c\nprint(a)\n", false);
    assert_eq!(wrong_end.steps, [Good, Good, neutral, Bad, neutral, Bad]);
    assert_eq!((wrong_end.class, wrong_end.first_error()), (ResponseClass::Revised, Some(3)));
    let wrong = labels("a += 2\nprint(a)\n", false);
    assert_eq!((wrong.steps, wrong.class), (vec![Bad, Bad], ResponseClass::Wrong));
    // Nothing is wrong but that it ends.
    let short = labels("a += 1\nprint(a)\n", false);
    assert_eq!((short.steps, short.class), (vec![Good, Bad], ResponseClass::Revised));
    // A detour that passes is good throughout, by the verifier's word.
    let detour = "a += 2\na -= 1\nprint(a)\na *= 2\nprint(a)\n";
    assert_eq!(oracle.first_error(&steps(detour)), Ok(Some(0)));
    assert_eq!(labels(detour, true).first_error(), None);
}

#[test]
fn other_problems_are_refused() {
    let refused = |problem: &Problem| Oracle::new(problem).unwrap_err().to_string();
    let good = problem("print(a)\n", &[(serde_json::json!({"a": 5}), "5\n")]);
    let mut no_program = good.clone();
    no_program.metadata.clear();
    assert!(refused(&no_program).contains("its metadata has no `program`"));
    let wrong = problem("print(a)\n", &[(serde_json::json!({"a": 5}), "6\n")]);
    assert!(refused(&wrong).contains("does not pass its tests"));
    let text = problem("print(a)\n", &[(serde_json::json!({"a": "5"}), "5\n")]);
    assert!(refused(&text).contains("the subset has no state"));
    let mut call = good.clone();
    call.tests = vec![TestCase::Assert { code: "assert True".into(), calls: vec![] }];
    assert!(refused(&call).contains("a test is no script"));
}
