//! The verify stage: many programs judged at once, and the rules by which answers are compared.
//!
//! [`VerifierPool`] stands between the trainer and a verifier: it judges a batch in parallel, the same
//! program once and a group up to its first pass, and stops the run when too many programs could not be
//! judged. Verifiers that run programs are crates of their own; [`Tally`] and the functions here are what they share.
//! The one here, [`AnswerMatch`], judges answers that are text.

pub mod answer_match;
pub mod compare;
#[cfg(target_os = "linux")]
pub mod failure;
pub mod fenced;
pub mod matching;
mod memo;
pub mod pool;
pub mod tally;

pub use answer_match::{AnswerMatch, AnswerMatchConfig};
pub use compare::{excerpt, same_output, same_value};
#[cfg(target_os = "linux")]
pub use failure::{build_failure, failure, run_failure, silence};
pub use fenced::{Fenced, FencedConfig};
pub use matching::{matches_output, matches_value};
pub use pool::{ErrorLimit, JobsError, Judged, TooManyErrors, VerifierPool};
pub use tally::{Failure, Tally, failed, output_failure};
