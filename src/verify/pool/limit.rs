//! [`ErrorLimit`]: when programs that could not be judged stop a run.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Judged;
use crate::data::numbers::Fraction;
use crate::plugin::VerifyError;

/// When "could not judge" has happened too often to go on: more than `share` of the last `window`
/// programs.
///
/// A broken verifier from the start is noticed after `share * window` programs. A share of 1 is never
/// passed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ErrorLimit {
    /// How many of the last programs are looked at.
    pub window: NonZeroUsize,
    /// The share of them that may fail to be judged.
    pub share: Fraction,
}

impl Default for ErrorLimit {
    /// A fifth of the last 500 programs.
    fn default() -> Self {
        const WINDOW: NonZeroUsize = NonZeroUsize::new(500).unwrap();
        const SHARE: Fraction = Fraction::new(0.2);
        Self { window: WINDOW, share: SHARE }
    }
}

/// Too many programs could not be judged.
#[derive(Clone, Debug, Error)]
#[error(
    "{errors} of the last {window} programs could not be judged, where at most a share of {share} may \
     fail; the last failure: {last}"
)]
pub struct TooManyErrors {
    /// How many of the last programs failed.
    pub errors: usize,
    /// How many were looked at, at most.
    pub window: usize,
    /// The share that may fail.
    pub share: f32,
    /// The last failure.
    pub last: Arc<VerifyError>,
}

/// The last judgements, as far as the limit looks.
#[derive(Default)]
pub(super) struct Recent {
    failed: VecDeque<bool>,
    errors: usize,
}

impl Recent {
    /// Takes a judgement, and says whether it passes the limit.
    pub fn push(&mut self, judged: &Judged, limit: &ErrorLimit) -> Option<TooManyErrors> {
        let window = limit.window.get();
        while self.failed.len() >= window {
            self.errors -= usize::from(self.failed.pop_front() == Some(true));
        }
        self.failed.push_back(judged.is_err());
        let last = judged.as_ref().err()?;
        self.errors += 1;
        let (errors, share) = (self.errors, limit.share.get());
        let passed = errors as f64 > f64::from(share) * window as f64;
        passed.then(|| TooManyErrors { errors, window, share, last: Arc::clone(last) })
    }
}
