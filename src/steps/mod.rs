//! Steps: where the lines of a response are, which of them are comments, and which token ends each.
//!
//! [`Lines`] is the method's splitter: a step is a line. [`step_tokens`](step_tokens()) maps each step
//! to the token at which the PRM is read and the dense reward given. [`python`] is the scan of Python
//! source behind it, public so that other splitters need no lexer of their own.

pub mod lines;
pub mod python;
pub mod step_tokens;

pub use lines::Lines;
pub use step_tokens::{StepTokenError, step_tokens};
