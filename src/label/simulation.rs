//! How exact a labeler is, and what it costs, on responses simulated by a simple model of errors.
//!
//! Each of a response's M lines is right with probability q, independently of the others; one wrong
//! line and the program fails for good. Only failing responses are labelled. The completions of a
//! prefix of m right lines pass with probability q^(M−m), those of a prefix with an error never.
//!
//! A label is exact when its first −1 is the response's first wrong line. All failing responses count,
//! also those whose first line is wrong already, which no labeler misses: with e right lines before
//! the first error, e = 0 … M−1 has probability q^e (1−q) / (1−q^M). That is the convention of the
//! method's figures; without e = 0 those of 12 lines at K = 4 would be 83 % instead of 85 %.
//!
//! With q = 0.9, over 20,000 responses (first errors found exactly; completions per response, each
//! prefix sampled until the first that passes):
//!
//! | lines | K | [binary search](super::BinarySearch) | [every prefix](super::EveryPrefix) |
//! |---|---|---|---|
//! | 12 | 4 | 84.9 %; 10.7 | 91.7 %; 35.8 |
//! | 12 | 8 | 97.6 %; 19.0 | 98.6 %; 63.8 |
//! | 12 | 20 | 100.0 %; 42.4 | 100.0 %; 144.7 |
//! | 20 | 8 | 78.7 %; 25.5 | 88.0 %; 126.3 |
//! | 20 | 20 | 97.8 %; 56.6 | 98.6 %; 284.7 |

use rand::RngExt;

use crate::data::numbers::Fraction;
use crate::data::{Seed, Step, StepKind, Steps};
use crate::plugin::labeler::Answer;
use crate::plugin::{Answers, CheckedLabeler, LabelError, Next};

/// The model of errors: see the [module](self).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IndependentLines {
    /// M, the lines of every response.
    pub lines: usize,
    /// q, the probability that a line is right.
    pub right: Fraction,
}

/// What a labeler did on simulated responses: means per response, NaN if there was none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Performance {
    /// The share of responses whose first error it found exactly.
    pub exact: f64,
    /// Prefixes that it asked about.
    pub questions: f64,
    /// Completions sampled, for each prefix until the first that passes.
    pub completions: f64,
}

impl IndependentLines {
    /// Labels `responses` simulated responses. Each draws from a stream of its own under `seed`.
    ///
    /// ```
    /// use pspo::data::{Seed, numbers::Fraction};
    /// use pspo::label::{BinarySearch, simulation::IndependentLines};
    /// use pspo::plugin::CheckedLabeler;
    ///
    /// let model = IndependentLines { lines: 12, right: Fraction::new(0.9) };
    /// let labeler = CheckedLabeler::new(BinarySearch::best_of(8));
    /// let performance = model.performance(&labeler, 2000, Seed::root(1))?;
    /// assert!((performance.exact - 0.98).abs() < 0.01);
    /// # Ok::<(), pspo::plugin::LabelError>(())
    /// ```
    ///
    /// # Errors
    /// If there are no lines, or the labeler breaks its contract.
    pub fn performance(
        &self,
        labeler: &CheckedLabeler,
        responses: usize,
        seed: Seed,
    ) -> Result<Performance, LabelError> {
        let right = f64::from(self.right.get());
        let steps = self.steps();
        // P(first error ≤ e) up to a factor; as q goes to 1 all places become equally likely.
        let cumulative: Vec<f64> = (0..self.lines)
            .scan((0.0, 1.0), |(sum, weight), _| {
                *sum += *weight;
                *weight *= right;
                Some(*sum)
            })
            .collect();
        let total = cumulative.last().copied().unwrap_or(0.0);
        let (mut exact, mut questions, mut sampled) = (0_usize, 0_usize, 0_usize);
        for response in 0..responses {
            let mut rng = seed.index(response as u64).rng();
            let place = rng.random::<f64>() * total;
            let first_error = cumulative.partition_point(|&sum| sum <= place);
            let mut answers = Answers::default();
            let labels = loop {
                match labeler.next(&steps, &answers)? {
                    Next::Labeled(labels) => break labels,
                    Next::Ask { prefix, completions } => {
                        let left = (self.lines - prefix) as i32;
                        let passes = if prefix <= first_error { right.powi(left) } else { 0.0 };
                        let failed = (0..completions).take_while(|_| rng.random::<f64>() >= passes).count();
                        let recoverable = failed < completions;
                        sampled += failed + usize::from(recoverable);
                        answers.asked.push(Answer { prefix, recoverable });
                    }
                }
            };
            questions += answers.asked.len();
            exact += usize::from(labels.first_error() == Some(first_error));
        }
        let mean = |sum: usize| sum as f64 / responses as f64;
        Ok(Performance { exact: mean(exact), questions: mean(questions), completions: mean(sampled) })
    }

    fn steps(&self) -> Steps {
        const LINE: &str = "x()\n";
        let step = |line| Step { span: line * LINE.len()..(line + 1) * LINE.len(), kind: StepKind::Code };
        Steps::new(LINE.repeat(self.lines), (0..self.lines).map(step).collect())
            .expect("equal lines tile their program")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::{BinarySearch, EveryPrefix};
    use crate::plugin::Labeler;

    const RESPONSES: usize = 20_000;

    fn performance(lines: usize, labeler: impl Labeler + 'static) -> Performance {
        let model = IndependentLines { lines, right: Fraction::new(0.9) };
        model.performance(&CheckedLabeler::new(labeler), RESPONSES, Seed::root(20)).unwrap()
    }

    #[test]
    fn binary_search_is_as_exact_as_the_method_says() {
        for (lines, completions, percent) in
            [(12, 4, 85.0), (12, 8, 98.0), (12, 20, 100.0), (20, 8, 78.0), (20, 20, 98.0)]
        {
            let exact = performance(lines, BinarySearch::best_of(completions)).exact;
            println!("{lines} lines, K = {completions}: {:.1} %", 100.0 * exact);
            // The figures are rounded to whole percents, so half a percent beside three deviations.
            let deviation = (exact * (1.0 - exact) / RESPONSES as f64).sqrt();
            let difference = (exact - percent / 100.0).abs();
            assert!(difference < 3.0 * deviation + 0.005, "{lines} lines, K = {completions}: {exact}");
        }
    }

    /// The same probability without sampling: over the first error e, the chance that the search ends
    /// at e, by recursion on its interval.
    #[test]
    fn the_simulation_agrees_with_the_exact_probability() {
        fn ends_at(error: usize, lo: usize, hi: usize, passes: &dyn Fn(usize) -> f64) -> f64 {
            if hi - lo <= 1 {
                return f64::from(lo == error);
            }
            let middle = (lo + hi) / 2;
            let p = if middle <= error { passes(middle) } else { 0.0 };
            p * ends_at(error, middle, hi, passes) + (1.0 - p) * ends_at(error, lo, middle, passes)
        }
        for (lines, completions) in [(12, 4), (20, 4), (20, 8), (7, 1)] {
            let q = f64::from(0.9_f32);
            let passes = |prefix: usize| 1.0 - (1.0 - q.powi((lines - prefix) as i32)).powi(completions);
            let expected: f64 = (0..lines)
                .map(|e| {
                    let weight = q.powi(e as i32) * (1.0 - q) / (1.0 - q.powi(lines as i32));
                    weight * ends_at(e, 0, lines, &passes)
                })
                .sum();
            let exact = performance(lines, BinarySearch::best_of(completions as usize)).exact;
            let deviation = (expected * (1.0 - expected) / RESPONSES as f64).sqrt();
            assert!(
                (exact - expected).abs() < 4.0 * deviation,
                "{lines}, {completions}: {exact}, {expected}"
            );
        }
    }

    #[test]
    fn every_prefix_is_more_exact_and_costs_more() {
        let search = performance(20, BinarySearch::best_of(8));
        let every = performance(20, EveryPrefix::best_of(8));
        println!("{search:?}\n{every:?}");
        assert_eq!(every.questions, 19.0);
        assert!(search.questions <= 5.0);
        assert!(every.exact > search.exact + 0.05);
        assert!(every.completions > 2.0 * search.completions);
    }

    #[test]
    fn the_ends_of_the_range() {
        let at = |lines, right| {
            let model = IndependentLines { lines, right: Fraction::new(right) };
            let labeler = CheckedLabeler::new(BinarySearch::best_of(1));
            model.performance(&labeler, 100, Seed::root(1))
        };
        assert_eq!(at(0, 0.5), Err(LabelError::NoSteps));
        assert_eq!(at(1, 0.5).unwrap(), Performance { exact: 1.0, questions: 0.0, completions: 0.0 });
        assert_eq!(at(8, 0.0).unwrap().exact, 1.0); // always the first line
        assert_eq!(at(8, 1.0).unwrap().exact, 1.0); // every completion of a right prefix passes
    }
}
