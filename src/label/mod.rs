//! Labels: which lines of a response are right, found by completing its prefixes (section 3 of the
//! method), and which labelled responses the PRM is trained on.
//!
//! [`BinarySearch`] is the method's labeler (algorithm 1), [`EveryPrefix`] the baseline that it saves
//! completions against, [`simulation`] measures how exact a labeler is. All ask and none samples: the
//! completions are a driver's work.

pub mod binary_search;
pub mod counts;
pub mod every_prefix;
pub mod selection;
pub mod simulation;

pub use binary_search::BinarySearch;
pub use counts::LabelCounts;
pub use every_prefix::EveryPrefix;
pub use selection::Selection;

use crate::data::{Label, Labels, ResponseClass, Steps};

/// The labels of a response whose first `recoverable` steps are right: the end of algorithm 1.
///
/// A response that passes is Correct and all its code +1, whatever `recoverable` says. One that fails
/// is Wrong if `recoverable` is 0, else Revised: code is +1 in the first `recoverable` steps and −1
/// after them. Comments are 0 in every case.
///
/// ```
/// use pspo::data::{Label::{Bad, Good, Neutral}, ResponseClass};
/// use pspo::label::label_steps;
/// use pspo::plugin::CheckedSplitter;
/// use pspo::steps::Lines;
///
/// let steps = CheckedSplitter::new(Lines::python()).split("x = 1\ny = 2\n# note\nprint(x)")?;
/// let labels = label_steps(&steps, false, 1);
/// assert_eq!(labels.steps, [Good, Bad, Neutral, Bad]);
/// assert_eq!(labels.class, ResponseClass::Revised);
/// # Ok::<(), pspo::plugin::SplitError>(())
/// ```
pub fn label_steps(steps: &Steps, passes: bool, recoverable: usize) -> Labels {
    let class = match (passes, recoverable) {
        (true, _) => ResponseClass::Correct,
        (false, 0) => ResponseClass::Wrong,
        (false, _) => ResponseClass::Revised,
    };
    let label = |step| match steps.is_comment(step) {
        true => Label::Neutral,
        false if passes || step < recoverable => Label::Good,
        false => Label::Bad,
    };
    Labels { steps: (0..steps.len()).map(label).collect(), class }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::StepKind::{Code, Comment};
    use crate::plugin::testkit::lines_of;
    use Label::{Bad, Good, Neutral};

    #[test]
    fn comments_are_neutral_in_every_class() {
        let steps = lines_of(&[Comment, Code, Comment, Code, Comment]);
        let labels = |steps: [Label; 5], class| Labels { steps: steps.to_vec(), class };
        for recoverable in 0..5 {
            assert_eq!(
                label_steps(&steps, true, recoverable),
                labels([Neutral, Good, Neutral, Good, Neutral], ResponseClass::Correct)
            );
        }
        assert_eq!(
            label_steps(&steps, false, 0),
            labels([Neutral, Bad, Neutral, Bad, Neutral], ResponseClass::Wrong)
        );
        // A recoverable comment alone makes it Revised, as algorithm 1 counts lines of any kind.
        assert_eq!(
            label_steps(&steps, false, 1),
            labels([Neutral, Bad, Neutral, Bad, Neutral], ResponseClass::Revised)
        );
        assert_eq!(
            label_steps(&steps, false, 3),
            labels([Neutral, Good, Neutral, Bad, Neutral], ResponseClass::Revised)
        );
    }
}
