use super::*;

const OUTCOMES: [Outcome; 10] = [
    Outcome::Pass,
    Outcome::Wrong,
    Outcome::Compile,
    Outcome::Runtime,
    Outcome::Timeout,
    Outcome::Memory,
    Outcome::Output,
    Outcome::Processes,
    Outcome::Tamper,
    Outcome::NoCode,
];
const ONE: RewardCeiling = RewardCeiling::new(1.0);
const HALF: RewardCeiling = RewardCeiling::new(0.5);
const RULES: [OutcomeReward; 6] = [
    OutcomeReward::Binary,
    OutcomeReward::Levels,
    OutcomeReward::Fraction { ceiling: ONE },
    OutcomeReward::Fraction { ceiling: HALF },
    OutcomeReward::Adaptive { ceiling: ONE },
    OutcomeReward::Adaptive { ceiling: HALF },
];

fn verdict(outcome: Outcome, passed: usize, total: usize) -> Verdict {
    Verdict { outcome, passed, total, detail: String::new(), seconds: 0.0 }
}

/// Every verdict that keeps a verifier's contract, of up to 12 tests and of a million.
fn verdicts() -> impl Iterator<Item = Verdict> {
    let counts = (1..=12).flat_map(|total| (0..=total).map(move |passed| (passed, total)));
    let counts = counts.chain([(999_999, 1_000_000), (1_000_000, 1_000_000)]);
    counts.flat_map(|(passed, total)| {
        let fits = move |outcome: &Outcome| (*outcome == Outcome::Pass) == (passed == total);
        OUTCOMES.into_iter().filter(fits).map(move |outcome| verdict(outcome, passed, total))
    })
}

#[test]
fn levels_are_those_of_rltf() {
    for (outcome, level) in [
        (Outcome::Pass, 1.0),
        (Outcome::Wrong, -0.3),
        (Outcome::Runtime, -0.6),
        (Outcome::Timeout, -0.6),
        (Outcome::Memory, -0.6),
        (Outcome::Output, -0.6),
        (Outcome::Processes, -0.6),
        (Outcome::Compile, -1.0),
        (Outcome::NoCode, -1.0),
        (Outcome::Tamper, -1.0),
    ] {
        let passed = if outcome == Outcome::Pass { 4 } else { 3 };
        let verdict = verdict(outcome, passed, 4);
        assert_eq!(OutcomeReward::Levels.of(&verdict, true), level, "{outcome:?}");
        let adaptive = OutcomeReward::Adaptive { ceiling: ONE }.of(&verdict, true);
        let expected = if outcome == Outcome::Wrong { -0.3 + 1.3 * 3.0 / 4.0 } else { level };
        assert!((adaptive - expected).abs() < 1e-6, "{outcome:?}: {adaptive}");
        let binary = OutcomeReward::Binary.of(&verdict, true);
        assert_eq!(binary, f32::from(u8::from(outcome == Outcome::Pass)));
    }
}

#[test]
fn fractions_are_shares_of_tests() {
    let fraction = |ceiling, outcome, passed, total| {
        OutcomeReward::Fraction { ceiling }.of(&verdict(outcome, passed, total), true)
    };
    assert_eq!(fraction(ONE, Outcome::Wrong, 1, 4), 0.25);
    assert_eq!(fraction(ONE, Outcome::Timeout, 3, 4), 0.75);
    assert_eq!(fraction(HALF, Outcome::Runtime, 3, 4), 0.375);
    assert_eq!(fraction(HALF, Outcome::Pass, 4, 4), 1.0, "the ceiling is for those that fail");
    assert_eq!(fraction(ONE, Outcome::Compile, 0, 4), 0.0);
    let adaptive = OutcomeReward::Adaptive { ceiling: HALF };
    assert!((adaptive.of(&verdict(Outcome::Wrong, 1, 2), true) - 0.1).abs() < 1e-6);
    assert_eq!(adaptive.of(&verdict(Outcome::Wrong, 0, 2), true), -0.3);
}

#[test]
fn a_failing_response_stays_below_the_ceiling_and_a_passing_one() {
    for rule in RULES {
        for verdict in verdicts() {
            let reward = rule.of(&verdict, true);
            if verdict.passes() {
                assert_eq!(reward, 1.0);
                continue;
            }
            assert!(reward < 1.0, "{rule:?}, {verdict:?}: {reward}");
            assert!(reward <= rule.ceiling(), "{rule:?}, {verdict:?}: {reward}");
            assert!(!rule.counts_tests() || reward < rule.ceiling(), "{rule:?}, {verdict:?}: {reward}");
        }
    }
}

#[test]
fn more_tests_never_earn_less() {
    for rule in RULES {
        for outcome in OUTCOMES.into_iter().filter(|outcome| *outcome != Outcome::Pass) {
            let rewards: Vec<f32> = (0..12).map(|p| rule.of(&verdict(outcome, p, 12), true)).collect();
            assert!(rewards.is_sorted(), "{rule:?}, {outcome:?}: {rewards:?}");
        }
    }
}

#[test]
fn tampering_gets_the_least_that_there_is() {
    for rule in RULES {
        let least = verdicts().map(|verdict| rule.of(&verdict, true)).fold(f32::INFINITY, f32::min);
        for verdict in verdicts().filter(|verdict| verdict.outcome == Outcome::Tamper) {
            assert_eq!((rule.of(&verdict, true), rule.of(&verdict, false)), (least, least), "{rule:?}");
        }
    }
}

#[test]
fn a_cut_response_has_failed_and_its_tests_do_not_count() {
    for rule in RULES {
        let none = rule.of(&verdict(Outcome::Wrong, 0, 1), true);
        for verdict in verdicts() {
            let (whole, cut) = (rule.of(&verdict, true), rule.of(&verdict, false));
            assert!(cut <= none && cut <= whole && cut <= 0.0, "{rule:?}, {verdict:?}: {cut}");
        }
    }
}

#[test]
fn configs_are_names_or_tables() {
    let read = |json: &str| serde_json::from_str::<OutcomeReward>(json);
    for (name, rule) in [
        ("binary", OutcomeReward::Binary),
        ("fraction", OutcomeReward::Fraction { ceiling: ONE }),
        ("levels", OutcomeReward::Levels),
        ("adaptive", OutcomeReward::Adaptive { ceiling: ONE }),
    ] {
        assert_eq!(read(&format!("{name:?}")).unwrap(), rule);
        assert_eq!(read(&format!(r#"{{"rule": {name:?}}}"#)).unwrap(), rule);
    }
    for rule in RULES {
        assert_eq!(read(&serde_json::to_string(&rule).unwrap()).unwrap(), rule);
    }
    for (json, message) in [
        (r#""fractions""#, "unknown variant `fractions`, expected one of `binary`, `fraction`, `levels`"),
        (r#"{"rule": "fraction", "ceiling": 1.5}"#, "reward ceiling 1.5 is out of bounds"),
        (r#"{"rule": "levels", "ceiling": 0.5}"#, "`ceiling` is for the rules that count tests"),
        (r#"{"rule": "fraction", "celing": 0.5}"#, "unknown field `celing`"),
        ("1", "expected the name of an outcome reward, or a table"),
    ] {
        let error = read(json).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}
