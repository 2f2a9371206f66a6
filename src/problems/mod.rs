//! Problems: benchmarks as published ([`datasets`]), and generated ones.
//!
//! The generated problems are pseudocode to Python, with output that cannot be taken back.
//!
//! A prompt is a few steps in words, one per line, and a last line `python:`. The response is a Python
//! program over four integers (`a` to `d`) and two lists (`xs`, `ys`), which the tests set, mostly one
//! line per step:
//!
//! ```text
//! take 3 off b                      b -= 3
//! for each x in xs: add x to b      for x in xs:
//!                                       b += x
//! show b mod 7                      print(b % 7)
//! python:
//! ```
//!
//! A model needs no arithmetic for this, only a translation line by line; it errs now and then, and
//! what is printed stays printed. So a program of n lines passes with about qⁿ: the hardness is the
//! length. Every line matters: a program without it prints something else, on the tests that the reward
//! sees and on those held out.
//!
//! - [`pseudocode`] draws the problems.
//! - [`oracle`] knows of every prefix of a program whether it can still pass.
//! - [`python`] is the subset of Python that they use: syntax, parser, evaluator.

pub mod datasets;
#[cfg(test)]
mod mistakes;
pub mod oracle;
pub mod pseudocode;
pub mod python;

pub use oracle::{Oracle, OracleError, Truth};
pub use pseudocode::{Pseudocode, PseudocodeError, Sizes, Splits, StepRange};
