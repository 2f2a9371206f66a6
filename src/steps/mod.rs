//! Steps: where the lines of a response are, which of them are comments, and which token ends each.
//!
//! [`Lines`] is the method's splitter: a step is a line. [`step_tokens`](step_tokens()) maps each step
//! to the token at which the PRM is read and the dense reward given; [`own_steps`](own_steps()) and
//! [`program_step_tokens`] do so where the program is a part of the response. [`python`] is the scan of Python
//! source behind it, public so that other splitters need no lexer of their own.

pub mod lines;
pub mod own_steps;
pub mod python;
pub mod step_tokens;

pub use lines::Lines;
pub use own_steps::own_steps;
pub use step_tokens::{StepTokenError, program_step_tokens, step_tokens};
