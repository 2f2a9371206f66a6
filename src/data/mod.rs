//! The nouns that every other module speaks: problems, steps, labels, ragged rows, checked numbers,
//! seeds, a PRM's objective and named parameters. Nothing here imports from the rest of the crate.

pub mod labels;
pub mod matching;
pub mod mean;
pub mod numbers;
pub mod objective;
pub mod parameters;
pub mod problem;
pub mod ragged;
pub mod seed;
pub mod sequence;
pub mod steps;

pub use labels::{Label, Labels, PromptClass, ResponseClass};
pub use matching::Matching;
pub use mean::mean;
pub use objective::Objective;
pub use parameters::{Layout, LayoutError, Parameters};
pub use problem::{Problem, ProblemError, ProblemSet, Task, TestCase};
pub use ragged::{Ragged, RaggedError};
pub use seed::Seed;
pub use sequence::Sequence;
pub use steps::{Step, StepError, StepKind, Steps};
