//! Study 7's record: how good a PRM is on responses of a policy that is trained with it.

use pspo::data::Label;
use pspo::eval::statistics::{auroc, first_error, label_accuracy};
use pspo::prm::HeldOut;
use serde::{Deserialize, Serialize};

use crate::config::Tuned;
use crate::truth::Truth;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FreshnessRecord {
    pub seed: u64,
    /// What the policy trained with.
    pub tuned: Tuned,
    pub rows: Vec<FreshnessRow>,
}

/// At one checkpoint. A figure that its responses do not allow is absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FreshnessRow {
    pub iteration: u64,
    pub prm: Age,
    pub truth: Truth,
    /// Those of which the truth is known, and those of them that fail.
    pub responses: usize,
    pub failing: usize,
    pub auroc: Option<f64>,
    pub accuracy: Option<f64>,
    pub first_error_f1: Option<f64>,
    /// Of failing responses, those whose first line with a score below 0 is the first bad one.
    pub first_error_exact: Option<f64>,
    /// The mean over lines of |said − true share|, in ten bins of what the PRM says of the chance that a line is good.
    pub calibration_error: Option<f64>,
    /// The mean of what it says less the share that is good: above 0 it is too sure.
    pub bias: Option<f64>,
}

/// Whose responses a PRM has learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Age {
    /// Those of the baseline, before.
    Before,
    /// Those of the policy that it judges.
    Fresh,
}

impl Age {
    /// As tables have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Fresh => "fresh",
        }
    }
}

impl FreshnessRow {
    /// By the truth about the responses.
    pub fn of(iteration: u64, prm: Age, truth: Truth, held_out: &HeldOut) -> Self {
        let (scores, labels) = held_out.lines();
        let (predicted, labelled) = held_out.first_errors(0.0);
        let (calibration_error, bias) = calibration(&scores, &labels).unzip();
        let failing = labelled.iter().filter(|labelled| labelled.is_some()).count();
        let exact = predicted.iter().zip(&labelled).filter(|(said, is)| is.is_some() && said == is).count();
        Self {
            iteration,
            prm,
            truth,
            responses: labelled.len(),
            failing,
            auroc: auroc(&scores, &labels).ok(),
            accuracy: label_accuracy(&scores, &labels).ok(),
            first_error_f1: first_error(&predicted, &labelled).ok().map(|found| found.f1),
            first_error_exact: (failing > 0).then(|| exact as f64 / failing as f64),
            calibration_error,
            bias,
        }
    }
}

/// Expected calibration error and bias of (score + 1) / 2 as the chance that a line is good.
fn calibration(scores: &[f32], labels: &[Label]) -> Option<(f64, f64)> {
    const BINS: usize = 10;
    let mut bins = [(0.0, 0.0); BINS];
    for (&score, label) in scores.iter().zip(labels) {
        let said = (f64::from(score) + 1.0) / 2.0;
        let bin = &mut bins[((said * BINS as f64) as usize).min(BINS - 1)];
        bin.0 += said;
        bin.1 += f64::from(u8::from(*label == Label::Good));
    }
    let lines = scores.len() as f64;
    let over = |of: fn(f64) -> f64| bins.iter().map(|(said, good)| of(said - good)).sum::<f64>() / lines;
    (!scores.is_empty()).then(|| (over(f64::abs), over(|difference| difference)))
}
