//! How well a process reward model's scores tell good lines from bad ones.

use super::{StatisticsError, finite, same_length};
use crate::data::Label;

/// The chance that a good line scores above a bad one, ties counted half: the area under the ROC
/// curve, as the rank statistic of Mann and Whitney. Neutral lines are left out.
///
/// # Errors
/// If there are not as many labels as scores, a score is not finite, or there are not both good and
/// bad lines.
pub fn auroc(scores: &[f32], labels: &[Label]) -> Result<f64, StatisticsError> {
    same_length((scores, "scores"), (labels, "labels"))?;
    finite(scores.iter().map(|&score| f64::from(score)))?;
    let lines = scores.iter().zip(labels).filter(|&(_, &label)| label != Label::Neutral);
    let mut lines: Vec<_> = lines.map(|(&score, &label)| (score, label == Label::Good)).collect();
    lines.sort_by(|left, right| left.0.total_cmp(&right.0));

    let (mut wins, mut good, mut bad) = (0.0, 0_usize, 0_usize);
    // `==` and not the order's own equality, so that −0 and 0 are a tie.
    for tied in lines.chunk_by(|left, right| left.0 == right.0) {
        let good_here = tied.iter().filter(|(_, good)| *good).count();
        let bad_here = tied.len() - good_here;
        wins += good_here as f64 * (bad as f64 + bad_here as f64 / 2.0);
        good += good_here;
        bad += bad_here;
    }
    let one = |present| StatisticsError::OneClass {
        what: "AUROC",
        left: "good lines",
        right: "bad lines",
        present,
    };
    match (good, bad) {
        (0, 0) => Err(StatisticsError::TooFew { what: "AUROC", got: 0, needed: 2 }),
        (_, 0) => Err(one("good lines")),
        (0, _) => Err(one("bad lines")),
        _ => Ok(wins / (good as f64 * bad as f64)),
    }
}

/// The share of good and bad lines whose score has their label's sign; a score of 0 counts as good,
/// as in [`predicted_first_error`](super::predicted_first_error) at threshold 0. Neutral lines are
/// left out.
///
/// # Errors
/// If there are not as many labels as scores, a score is not finite, or all lines are neutral.
pub fn label_accuracy(scores: &[f32], labels: &[Label]) -> Result<f64, StatisticsError> {
    same_length((scores, "scores"), (labels, "labels"))?;
    finite(scores.iter().map(|&score| f64::from(score)))?;
    let (mut right, mut all) = (0_usize, 0_usize);
    for (&score, &label) in scores.iter().zip(labels).filter(|&(_, &label)| label != Label::Neutral) {
        right += usize::from((score >= 0.0) == (label == Label::Good));
        all += 1;
    }
    if all == 0 {
        return Err(StatisticsError::TooFew { what: "label accuracy", got: 0, needed: 1 });
    }
    Ok(right as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::Label::{Bad, Good, Neutral};
    use super::*;

    #[test]
    fn auroc_counts_pairs_in_the_right_order() {
        // Pairs (good, bad): .8>.1, .8>.5, .3>.1, .3<.5: 3 of 4.
        assert_eq!(auroc(&[0.1, 0.8, 0.3, 0.5], &[Bad, Good, Good, Bad]), Ok(0.75));
        assert_eq!(auroc(&[-1.0, 1.0], &[Bad, Good]), Ok(1.0));
        assert_eq!(auroc(&[-1.0, 1.0], &[Good, Bad]), Ok(0.0));
        // A comment may score what it likes.
        assert_eq!(auroc(&[-1.0, 9.0, 1.0, -9.0], &[Bad, Neutral, Good, Neutral]), Ok(1.0));
    }

    #[test]
    fn ties_count_half() {
        assert_eq!(auroc(&[0.5; 5], &[Good, Bad, Bad, Good, Good]), Ok(0.5));
        assert_eq!(auroc(&[-0.0, 0.0], &[Good, Bad]), Ok(0.5));
        // .5 ties one bad line and beats the other: 1.5 of 2.
        assert_eq!(auroc(&[0.5, 0.5, 0.1], &[Good, Bad, Bad]), Ok(0.75));
    }

    #[test]
    fn accuracy_is_of_code_lines_alone() {
        assert_eq!(label_accuracy(&[0.9, -0.1, -0.9, 0.2], &[Good, Good, Bad, Bad]), Ok(0.5));
        assert_eq!(label_accuracy(&[0.0, 0.7, -0.1], &[Good, Neutral, Bad]), Ok(1.0));
    }

    #[test]
    fn what_cannot_be_compared_is_an_error() {
        let error = auroc(&[0.1, 0.2], &[Good, Good]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "AUROC compares good lines and bad lines, and there are only good lines"
        );
        assert!(auroc(&[], &[]).is_err());
        assert!(auroc(&[f32::NAN, 0.2], &[Good, Bad]).is_err());
        assert!(label_accuracy(&[0.1], &[Neutral]).is_err());
        let error = label_accuracy(&[0.1], &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "1 scores and 0 labels do not belong together: there must be one for each"
        );
    }
}
