//! Whether a process reward model finds the first wrong line.

use serde::Serialize;

use super::{StatisticsError, same_length};
use crate::data::Steps;

/// How often the first error was found, by the definition of ProcessBench (Zheng et al., "ProcessBench:
/// Identifying Process Errors in Mathematical Reasoning", arXiv 2412.06559): a response with an error
/// counts if exactly the first wrong step is named, a correct one if none is. The F1 is the harmonic
/// mean of the two accuracies, so that neither naming errors everywhere nor naming none is worth
/// anything.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FirstError {
    /// Accuracy on responses with an error.
    pub on_erroneous: f64,
    /// Accuracy on responses without.
    pub on_correct: f64,
    /// Their harmonic mean; 0 if both are 0.
    pub f1: f64,
    /// Responses with an error.
    pub erroneous: usize,
    /// Responses without.
    pub correct: usize,
}

/// Compares predicted first errors with the labelled ones (`Labels::first_error`), a step's number
/// or `None` for each response.
///
/// ```
/// use pspo::eval::statistics::first_error;
///
/// let predicted = [Some(2), Some(1), None, None];
/// let labelled = [Some(2), Some(3), None, None];
/// let found = first_error(&predicted, &labelled)?;
/// assert_eq!((found.on_erroneous, found.on_correct), (0.5, 1.0));
/// assert_eq!(found.f1, 2.0 / 3.0);
/// # Ok::<(), pspo::eval::StatisticsError>(())
/// ```
///
/// # Errors
/// If there are not as many labels as predictions, or not both responses with an error and without.
pub fn first_error(
    predicted: &[Option<usize>],
    labelled: &[Option<usize>],
) -> Result<FirstError, StatisticsError> {
    same_length((predicted, "predictions"), (labelled, "labels"))?;
    let count = |erroneous: bool| {
        let pairs = predicted.iter().zip(labelled).filter(|(_, label)| label.is_some() == erroneous);
        pairs.fold((0, 0), |(right, all), (predicted, label)| {
            (right + usize::from(predicted == label), all + 1)
        })
    };
    let ((found, erroneous), (spared, correct)) = (count(true), count(false));
    let (left, right) = ("responses with an error", "responses without");
    let one = |present| StatisticsError::OneClass { what: "the first-error F1", left, right, present };
    match (erroneous, correct) {
        (0, 0) => return Err(StatisticsError::TooFew { what: "the first-error F1", got: 0, needed: 2 }),
        (_, 0) => return Err(one(left)),
        (0, _) => return Err(one(right)),
        _ => {}
    }
    let (on_erroneous, on_correct) = (found as f64 / erroneous as f64, spared as f64 / correct as f64);
    let sum = on_erroneous + on_correct;
    let f1 = if sum == 0.0 { 0.0 } else { 2.0 * on_erroneous * on_correct / sum };
    Ok(FirstError { on_erroneous, on_correct, f1, erroneous, correct })
}

/// The first line of code that scores below `threshold`; comments are passed over, as the labels of
/// comments are neutral. A threshold of 0 is the middle of the scores' range.
///
/// # Errors
/// If there are not as many scores as steps.
pub fn predicted_first_error(
    scores: &[f32],
    steps: &Steps,
    threshold: f32,
) -> Result<Option<usize>, StatisticsError> {
    let (left, right) = (scores.len(), steps.len());
    if left != right {
        return Err(StatisticsError::Lengths { left, left_name: "scores", right, right_name: "steps" });
    }
    Ok((0..left).find(|&step| scores[step] < threshold && !steps.is_comment(step)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Step, StepKind};

    #[test]
    fn f1_is_the_harmonic_mean_of_two_accuracies() {
        // Of three with an error one is named exactly (a later line and none are both wrong); of two
        // without, one is left alone: 2 · 1/3 · 1/2 / (5/6) = 0.4.
        let predicted = [Some(0), Some(4), None, None, Some(1)];
        let labelled = [Some(0), Some(3), Some(2), None, None];
        let found = first_error(&predicted, &labelled).unwrap();
        assert_eq!((found.erroneous, found.correct), (3, 2));
        assert_eq!((found.on_erroneous, found.on_correct), (1.0 / 3.0, 0.5));
        assert!((found.f1 - 0.4).abs() < 1e-15);
        // Crying wolf at the first line is worth nothing.
        assert_eq!(first_error(&[Some(0); 4], &[Some(0), Some(0), None, None]).unwrap().f1, 0.0);
        assert_eq!(first_error(&[Some(1); 2], &[Some(0), None]).unwrap().f1, 0.0);
    }

    #[test]
    fn one_class_is_an_error() {
        assert!(matches!(first_error(&[None], &[Some(1)]), Err(StatisticsError::OneClass { .. })));
        assert!(matches!(first_error(&[None], &[None]), Err(StatisticsError::OneClass { .. })));
        assert!(matches!(first_error(&[], &[]), Err(StatisticsError::TooFew { .. })));
        assert!(matches!(first_error(&[None], &[]), Err(StatisticsError::Lengths { .. })));
    }

    #[test]
    fn a_comment_is_never_the_error() {
        let kinds = [(0..2, StepKind::Code), (2..4, StepKind::Comment), (4..6, StepKind::Code)];
        let steps = kinds.map(|(span, kind)| Step { span, kind }).to_vec();
        let steps = Steps::new("a\n#\nb\n", steps).unwrap();
        assert_eq!(predicted_first_error(&[0.5, -0.9, -0.1], &steps, 0.0), Ok(Some(2)));
        assert_eq!(predicted_first_error(&[0.0, -0.9, 0.0], &steps, 0.0), Ok(None));
        assert_eq!(predicted_first_error(&[0.0, -0.9, 0.0], &steps, 0.1), Ok(Some(0)));
        assert!(predicted_first_error(&[0.0], &steps, 0.0).is_err());
    }
}
