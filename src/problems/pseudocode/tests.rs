//! Tests of whole problem sets.

use std::collections::HashSet;
use std::convert::Infallible;

use rand::TryRng;

use super::*;
use crate::problems::mistakes::mistaken;
use crate::problems::python::Header;
use crate::problems::python::cpython;
use crate::problems::python::parse::{ParseError, Program};
use crate::problems::python::state::Stop;

const SIZES: Sizes = Sizes { sft: 300, rl: 150, held_out: 150 };

fn splits(seed: u64) -> Splits {
    Pseudocode::default().splits(Seed::root(seed), SIZES).unwrap()
}

fn program(problem: &Problem) -> &str {
    problem.metadata["program"].as_str().unwrap()
}

fn script(test: &TestCase) -> (&BTreeMap<String, Json>, &str) {
    match test {
        TestCase::Script { variables, stdout } => (variables, stdout),
        other => panic!("not a script: {other:?}"),
    }
}

/// What `program` prints in a test; what it printed before it failed, if it fails.
fn printed(statements: &[Statement], test: &TestCase) -> String {
    let mut output = String::new();
    let ended = State::from_test(script(test).0).unwrap().run(statements, &mut output);
    if ended.is_err() {
        output.push_str("failed");
    }
    output
}

#[test]
fn the_same_seed_gives_the_same_problems() {
    let splits = splits(1);
    assert_eq!(splits, self::splits(1));
    assert_ne!(splits, self::splits(2));
    let fewer = Sizes { sft: 10, rl: 0, held_out: 150 };
    let fewer = Pseudocode::default().splits(Seed::root(1), fewer).unwrap();
    assert_eq!(fewer.held_out, splits.held_out);
}

#[test]
fn splits_share_neither_prompts_nor_programs() {
    let splits = splits(3);
    let all = || splits.sft.iter().chain(splits.rl.iter()).chain(splits.held_out.iter());
    assert_eq!(all().count(), 600);
    assert_eq!(all().map(|problem| &problem.prompt).collect::<HashSet<_>>().len(), 600);
    assert_eq!(all().map(|problem| program(problem)).collect::<HashSet<_>>().len(), 600);
}

#[test]
fn problems_are_as_configured() {
    let splits = splits(4);
    for (set, range, solved) in
        [(&splits.sft, 2..=6, true), (&splits.rl, 2..=16, false), (&splits.held_out, 2..=16, false)]
    {
        let mut lengths = HashSet::new();
        for problem in set.iter() {
            let steps = problem.metadata["steps"].as_u64().unwrap() as usize;
            lengths.insert(steps);
            assert!(problem.prompt.ends_with(MARKER));
            assert_eq!(problem.prompt.lines().count(), steps + 1);
            assert_eq!(Program::parse(program(problem)).unwrap().statements().len(), steps);
            assert_eq!(problem.solution.is_some(), solved);
            assert_eq!((problem.tests.len(), problem.held_out_tests.len()), (3, 4));
        }
        assert_eq!(lengths, range.collect());
    }
}

#[test]
fn comments_are_the_share_asked_for_and_change_nothing() {
    for share in [0.0, 0.075, 0.3] {
        let config = Pseudocode { comment_share: share, ..Pseudocode::default() };
        let set = config.splits(Seed::root(5), Sizes { sft: 500, rl: 0, held_out: 0 }).unwrap().sft;
        let (mut comments, mut lines) = (0, 0);
        for problem in set.iter() {
            let solution = problem.solution.as_ref().unwrap();
            let code: Vec<_> = solution.lines().filter(|line| !line.starts_with('#')).collect();
            assert_eq!(code, program(problem).lines().collect::<Vec<_>>());
            comments += solution.lines().count() - code.len();
            lines += solution.lines().count();
        }
        let found = comments as f32 / lines as f32;
        assert!((found - share).abs() < 0.02, "{found} of the lines are comments, not {share}");
    }
}

/// Whether some test of each group prints something else with `statements`.
fn is_noticed(problem: &Problem, statements: &[Statement]) -> bool {
    let noticed = |test: &TestCase| printed(statements, test) != script(test).1;
    problem.tests.iter().any(noticed) && problem.held_out_tests.iter().any(noticed)
}

#[test]
fn without_any_line_the_output_is_another() {
    for problem in splits(6).rl.iter() {
        let statements = Program::parse(program(problem)).unwrap().statements().to_vec();
        for line in 0..statements.len() {
            let mut without = statements.clone();
            let left_out = without.remove(line);
            assert!(is_noticed(problem, &without), "no test misses line {line}:\n{}", program(problem));
            if let Statement::Compound(Header::If(_), body) = left_out {
                without.insert(line, Statement::Simple(body[0].clone()));
                assert!(is_noticed(problem, &without), "no test checks line {line}:\n{}", program(problem));
            }
        }
    }
}

#[test]
fn most_mistakes_are_noticed() {
    let mut rng = Seed::root(10).rng();
    let (mut noticed, mut mistakes) = (0, 0);
    for problem in splits(10).rl.iter() {
        for _ in 0..20 {
            let text = mistaken(program(problem), &mut rng);
            if let Ok(wrong) = Program::parse(&text)
                && text != program(problem)
            {
                mistakes += 1;
                noticed += usize::from(is_noticed(problem, wrong.statements()));
            }
        }
    }
    // The rest are lines that may change places, and numbers like the 5 in `if a > 5` that no input meets.
    assert!(noticed * 100 > mistakes * 85, "{noticed} of {mistakes} mistakes change some output");
}

#[test]
fn cpython_prints_what_the_tests_expect() {
    let splits = splits(7);
    let problems = || splits.sft.iter().chain(splits.rl.iter()).step_by(2);
    let tests = |problem: &Problem| [problem.tests.clone(), problem.held_out_tests.clone()].concat();
    let mut programs = Vec::new();
    let mut expected = Vec::new();
    for problem in problems() {
        let source = problem.solution.as_deref().unwrap_or(program(problem));
        for test in tests(problem) {
            let (variables, stdout) = script(&test);
            programs.push((source.to_owned(), variables.clone()));
            expected.push((stdout.to_owned(), None));
        }
    }
    assert_eq!(problems().count(), 225);
    assert_eq!(cpython::run(&programs), expected);
}

#[test]
fn values_out_of_range_are_named() {
    let error = |config: Pseudocode| config.splits(Seed::root(1), SIZES).unwrap_err().to_string();
    let default = Pseudocode::default;
    assert_eq!(error(Pseudocode { tests: 0, ..default() }), "`tests` is 0: it must be from 1 to 64");
    assert_eq!(error(Pseudocode { wordings: 7, ..default() }), "`wordings` is 7: it must be from 1 to 6");
    assert_eq!(
        error(Pseudocode { comment_share: f32::NAN, ..default() }),
        "`comment_share` is NaN: it must be from 0 to 0.3"
    );
    let error = serde_json::from_str::<Pseudocode>(r#"{"rl_steps": [9, 4]}"#).unwrap_err().to_string();
    assert!(error.starts_with("programs of 9 to 4 steps cannot be drawn"), "{error}");
    let read: Pseudocode = serde_json::from_str(r#"{"rl_steps": [3, 4]}"#).unwrap();
    assert_eq!(read.rl_steps, StepRange::new(3, 4).unwrap());
    let text = serde_json::to_string(&read).unwrap();
    assert_eq!(serde_json::from_str::<Pseudocode>(&text).unwrap(), read);
}

#[test]
fn fewer_wordings_say_the_same_programs_alike() {
    let kinds = |wordings| {
        let config = Pseudocode { wordings, ..Pseudocode::default() };
        let splits = config.splits(Seed::root(11), SIZES).unwrap();
        let prompts: Vec<_> = splits.rl.iter().map(|problem| problem.prompt.clone()).collect();
        let words: HashSet<_> = prompts.iter().flat_map(|prompt| prompt.split_whitespace()).collect();
        (words.contains("increase"), words.contains("add"), words.len())
    };
    let (all, one) = (kinds(6), kinds(1));
    assert!(all.0 && all.1 && !one.0 && one.1, "{all:?} {one:?}");
    assert!(one.2 < all.2 * 2 / 3, "{} of {} words", one.2, all.2);
}

/// Draws the same few numbers over and over.
struct Cycle(rand_chacha::ChaCha8Rng, u32);

impl TryRng for Cycle {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        if self.1.is_multiple_of(100) {
            self.0 = Seed::root(9).rng();
        }
        self.1 += 1;
        self.0.try_next_u32()
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let low = self.try_next_u32()?;
        Ok(u64::from(low) << 32 | u64::from(self.try_next_u32()?))
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = self.try_next_u32()?.to_le_bytes()[0];
        }
        Ok(())
    }
}

#[test]
fn too_few_programs_are_an_error() {
    let config = Pseudocode::default();
    let two = StepRange::new(2, 2).unwrap();
    let (mut taken, mut rng) = (Taken::default(), Cycle(Seed::root(9).rng(), 0));
    let error = (0..200).find_map(|index| config.problem("sft", index, two, &mut taken, &mut rng).err());
    let error = error.expect("100 numbers do not make 200 programs").to_string();
    assert!(error.starts_with("found no new program of 2 steps for `sft` in 2000 draws"), "{error}");
}

#[test]
fn wrong_programs_fail_as_in_cpython() {
    let mut rng = Seed::root(8).rng();
    let (mut programs, mut expected) = (Vec::new(), Vec::new());
    for problem in splits(8).rl.iter() {
        for test in [problem.tests.clone(), problem.held_out_tests.clone()].concat() {
            let (variables, mut output) = (script(&test).0.clone(), String::new());
            let source = mistaken(&mistaken(program(problem), &mut rng), &mut rng);
            let error = match Program::parse(&source) {
                Ok(parsed) if parsed.is_open() => Some("IndentationError"),
                Err(ParseError::Invalid(_)) => Some("IndentationError"),
                Err(_) => continue,
                Ok(parsed) => {
                    let mut state = State::from_test(&variables).unwrap();
                    match state.run(parsed.statements(), &mut output) {
                        Ok(()) => None,
                        Err(Stop::Raised(error)) => Some(error),
                        Err(_) => continue,
                    }
                }
            };
            programs.push((source, variables));
            expected.push((output, error.map(str::to_owned)));
        }
    }
    assert!(programs.len() > 700, "only {} programs could be judged", programs.len());
    for ((program, expected), got) in programs.iter().zip(&expected).zip(cpython::run(&programs)) {
        assert_eq!(got, *expected, "{program:?}");
    }
}
