//! [`HeldOut`]: scores beside labels, in the forms that statistics are computed from.

use crate::data::Label;
use crate::plugin::PrmError;

/// The scores and labels of responses that a PRM was not trained on, step by step.
///
/// ```
/// use pspo::data::Label::{Bad, Good, Neutral};
/// use pspo::eval::statistics::{auroc, first_error, label_accuracy};
/// use pspo::prm::HeldOut;
///
/// let held_out = HeldOut::new(
///     vec![vec![0.8, -0.9, -0.2], vec![0.4, 0.1]],
///     [vec![Good, Neutral, Bad], vec![Good, Good]],
/// )?;
/// let (scores, labels) = held_out.lines();
/// assert_eq!(label_accuracy(&scores, &labels)?, 1.0);
/// assert_eq!(auroc(&scores, &labels)?, 1.0);
/// let (predicted, labelled) = held_out.first_errors(0.0);
/// assert_eq!(predicted, [Some(2), None]); // the comment is passed over
/// assert_eq!(first_error(&predicted, &labelled)?.f1, 1.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOut {
    responses: Vec<Vec<(f32, Label)>>,
}

impl HeldOut {
    /// Joins each response's scores with its labels: those of the labeler, or what is known to be true.
    ///
    /// # Errors
    /// [`PrmError::Contract`] if there are not as many scores as labels.
    pub fn new(
        scores: Vec<Vec<f32>>,
        labels: impl IntoIterator<Item = Vec<Label>>,
    ) -> Result<Self, PrmError> {
        let labels: Vec<_> = labels.into_iter().collect();
        if scores.len() != labels.len() {
            let (got, needed) = (scores.len(), labels.len());
            return Err(PrmError::Contract(format!("scores for {got} of {needed} labelled responses")));
        }
        let join = |(row, (scores, labels)): (usize, (Vec<f32>, Vec<Label>))| {
            if scores.len() != labels.len() {
                let (got, needed) = (scores.len(), labels.len());
                return Err(PrmError::Contract(format!(
                    "{got} scores for the {needed} labels of response {row}"
                )));
            }
            Ok(scores.into_iter().zip(labels).collect())
        };
        let responses = scores.into_iter().zip(labels).enumerate().map(join).collect::<Result<_, _>>()?;
        Ok(Self { responses })
    }

    /// Scores and labels of the lines of code of all responses, in order: comments are left out.
    pub fn lines(&self) -> (Vec<f32>, Vec<Label>) {
        self.responses.iter().flatten().filter(|(_, label)| *label != Label::Neutral).copied().unzip()
    }

    /// For each response the first line of code that scores below `threshold`, and the first that is
    /// labelled bad.
    pub fn first_errors(&self, threshold: f32) -> (Vec<Option<usize>>, Vec<Option<usize>>) {
        let first = |row: &[(f32, Label)], is_error: &dyn Fn(f32, Label) -> bool| {
            row.iter().position(|&(score, label)| is_error(score, label))
        };
        let predicted = |score, label| score < threshold && label != Label::Neutral;
        let labelled = |_, label| label == Label::Bad;
        self.responses.iter().map(|row| (first(row, &predicted), first(row, &labelled))).unzip()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Label::{Bad, Good};

    #[test]
    fn scores_and_labels_belong_together() {
        let rows = |scores, labels: Vec<Vec<Label>>| HeldOut::new(scores, labels).map_err(|e| e.to_string());
        assert!(rows(vec![], vec![vec![]]).unwrap_err().contains("scores for 0 of 1 labelled responses"));
        let error = rows(vec![vec![], vec![0.1]], vec![vec![], vec![Good, Bad]]).unwrap_err();
        assert!(error.contains("1 scores for the 2 labels of response 1"), "{error}");
        let (predicted, labelled) =
            rows(vec![vec![], vec![-0.1, 0.0]], vec![vec![], vec![Good, Bad]]).unwrap().first_errors(0.0);
        assert_eq!((predicted, labelled), (vec![None, Some(0)], vec![None, Some(1)]));
    }
}
