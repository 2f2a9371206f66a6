#![doc = include_str!("../README.md")]

use std::num::NonZeroUsize;

use pspo::data::Steps;
use pspo::data::numbers::Fraction;
use pspo::label::label_steps;
use pspo::plugin::{Answers, LabelError, Labeler, LabelerConfig, Next};
use serde::{Deserialize, Serialize};

pspo::card! {
    kind: Labeler,
    name: "monte_carlo",
    summary: "Binary search with as many completions as a prefix needs for an equal chance to be missed.",
    example: "type = \"monte_carlo\"\nline_success = 0.9\nmiss = 0.01\nmax_completions = 100",
}

/// Binary search that fixes the chance to miss a recoverable prefix, not the number of completions.
///
/// If each line still to write comes out right with probability r, one completion of a recoverable
/// y≤m passes with probability r^(M−m), and K of them all fail with probability (1 − r^(M−m))^K. It
/// asks for the least K that brings this down to `miss`, at least 1 and at most `max_completions`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MonteCarlo {
    /// r: the probability that the policy writes one line right. A policy that passes with
    /// probability p at programs of M lines has about r = p^(1/M).
    pub line_success: Fraction,
    /// The chance for the completions of a recoverable prefix all to fail.
    pub miss: Fraction,
    /// Bound on the completions of one prefix: long responses would ask for thousands.
    pub max_completions: NonZeroUsize,
}

/// r = 0.9, 1 % missed, at most 100 completions.
impl Default for MonteCarlo {
    fn default() -> Self {
        Self {
            line_success: const { Fraction::new(0.9) },
            miss: const { Fraction::new(0.01) },
            max_completions: const { NonZeroUsize::new(100).unwrap() },
        }
    }
}

impl MonteCarlo {
    /// K for a prefix that `left` lines are missing from.
    pub fn completions(&self, left: usize) -> usize {
        let passes = f64::from(self.line_success.get()).powf(left as f64);
        let needed = f64::from(self.miss.get()).ln() / (-passes).ln_1p();
        // 0.9 and 0.01 are not exact in f32: a hair above 2 means 2. `max` turns 0/0, where nothing may be
        // missed and nothing can be, into 1.
        (needed - 1e-5).ceil().max(1.0).min(self.max_completions.get() as f64) as usize
    }
}

impl Labeler for MonteCarlo {
    fn next(&self, steps: &Steps, answers: &Answers) -> Next {
        if answers.passes {
            return Next::Labeled(label_steps(steps, true, steps.len()));
        }
        let (mut lo, mut hi) = (0, steps.len());
        while hi > lo + 1 {
            let middle = usize::midpoint(lo, hi);
            match answers.get(middle) {
                Some(true) => lo = middle,
                Some(false) => hi = middle,
                None => {
                    let completions = self.completions(steps.len() - middle);
                    return Next::Ask { prefix: middle, completions };
                }
            }
        }
        Next::Labeled(label_steps(steps, false, lo))
    }
}

#[typetag::serde(name = "monte_carlo")]
impl LabelerConfig for MonteCarlo {
    fn build(&self) -> Result<Box<dyn Labeler>, LabelError> {
        Ok(Box::new(*self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pspo::data::{Seed, StepKind};
    use pspo::label::BinarySearch;
    use pspo::label::simulation::{IndependentLines, Performance};
    use pspo::plugin::testkit::{self, label_with, lines_of};
    use pspo::plugin::{CheckedLabeler, Kind, build};

    fn performance(lines: usize, right: f32, labeler: impl Labeler + 'static) -> Performance {
        let model = IndependentLines { lines, right: Fraction::new(right) };
        model.performance(&CheckedLabeler::new(labeler), 20_000, Seed::root(4)).unwrap()
    }

    #[test]
    fn the_contract_holds() {
        testkit::labeler(MonteCarlo::default());
    }

    #[test]
    fn the_first_error_is_found() {
        let labeler = CheckedLabeler::new(MonteCarlo::default());
        for lines in 1..=20_usize {
            let steps = lines_of(&vec![StepKind::Code; lines]);
            for error in 0..lines {
                let (labels, questions) = label_with(&labeler, &steps, false, |prefix, _| prefix <= error);
                assert_eq!(labels.first_error(), Some(error));
                assert!(questions <= lines.next_power_of_two().ilog2() as usize);
            }
        }
    }

    #[test]
    fn completions_hold_the_chance_to_miss() {
        let labeler = MonteCarlo::default();
        let (r, miss) = (f64::from(labeler.line_success.get()), f64::from(labeler.miss.get()));
        for left in 1..25 {
            let missed = |completions: usize| (1.0 - r.powi(left)).powi(completions as i32);
            let completions = labeler.completions(left as usize);
            assert!(missed(completions) <= 1.0001 * miss, "{left} lines left: {completions}");
            assert!(completions == 1 || missed(completions - 1) > miss, "{left} lines left: {completions}");
        }
        assert_eq!(labeler.completions(1000), 100);
    }

    #[test]
    fn the_ends_of_the_range() {
        let completions = |line_success, miss| {
            let (line_success, miss) = (Fraction::new(line_success), Fraction::new(miss));
            MonteCarlo { line_success, miss, ..MonteCarlo::default() }.completions(5)
        };
        assert_eq!([completions(1.0, 0.01), completions(1.0, 0.0)], [1, 1]);
        assert_eq!([completions(0.0, 0.01), completions(0.5, 0.0)], [100, 100]);
        assert_eq!([completions(0.5, 1.0), completions(0.0, 1.0)], [1, 1]);
    }

    #[test]
    fn it_is_more_exact_than_a_fixed_k_at_the_same_cost() {
        // In the last row r = 0.9 is assumed and wrong.
        for (lines, right, completions) in [(12, 0.9, 8), (20, 0.9, 16), (20, 0.85, 18)] {
            let search = performance(lines, right, BinarySearch::best_of(completions));
            let equal = performance(lines, right, MonteCarlo::default());
            println!("{lines} lines, q = {right}: K = {completions} {search:?}, {equal:?}");
            assert!(equal.completions < 1.03 * search.completions, "{equal:?} {search:?}");
            assert!(equal.exact > search.exact + 0.01, "{equal:?} {search:?}");
        }
    }

    #[test]
    fn a_config_names_it() {
        let table = serde_json::json!({"type": "monte_carlo", "miss": 0.05, "max_completions": 7});
        let config: Box<dyn LabelerConfig> = build(Kind::Labeler, table).unwrap();
        let steps = lines_of(&[StepKind::Code; 20]);
        let asked = config.build().unwrap().next(&steps, &Answers::default());
        assert_eq!(asked, Next::Ask { prefix: 10, completions: 7 });
        let table = serde_json::json!({"type": "monte_carlo", "miss": 1.5});
        let Err(error) = build::<Box<dyn LabelerConfig>>(Kind::Labeler, table) else { panic!() };
        assert!(error.to_string().contains("fraction 1.5 is out of bounds"), "{error}");
    }
}
