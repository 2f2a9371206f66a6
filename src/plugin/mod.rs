//! The five plugin points, each a runtime trait and a config trait.
//!
//! | point | runtime trait | config trait | says |
//! |---|---|---|---|
//! | [`splitter`] | [`StepSplitter`] | [`SplitterConfig`] | where a response's steps are |
//! | [`verifier`] | [`Verifier`] | [`VerifierConfig`] | whether a program passes its tests |
//! | [`labeler`] | [`Labeler`] | [`LabelerConfig`] | which prefix to ask about next, and the labels |
//! | [`prm`] | [`ProcessRewardModel`] | [`PrmConfig`] | a score in [−1, 1] for every step |
//! | [`value_init`] | [`ValueInit`] | [`ValueInitConfig`] | the critic's starting parameters |
//!
//! The runtime trait is plain and object-safe. The config trait carries `typetag`, so that a config
//! file names an implementation by its `type`, and its `build` ends in the same constructor that code
//! calls. A [`card`](crate::card!) beside the config tells users that the implementation exists.
//! The wrappers named `Checked…` test at every call what an implementation promises, and
//! [`testkit`] tests the same and more in the implementation's own tests.

pub mod card;
pub mod labeler;
pub mod prm;
pub mod splitter;
pub mod testkit;
pub mod value_init;
pub mod verifier;

pub use card::{Card, Kind, PluginError, build, cards};
pub use labeler::{Answers, CheckedLabeler, LabelError, Labeler, LabelerConfig, Next};
pub use prm::{CheckedPrm, PrmConfig, PrmError, PrmInput, ProcessRewardModel};
pub use splitter::{CheckedSplitter, SplitError, SplitterConfig, StepSplitter, splitter_fn};
pub use value_init::{CheckedValueInit, ValueInit, ValueInitConfig, ValueInitError, ValueSources};
pub use verifier::{
    CheckedVerifier, Outcome, Submission, Verdict, Verifier, VerifierConfig, VerifyError, verifier_fn,
};
