#![doc = include_str!("../README.md")]

mod config;
mod dialect;
mod failure;
mod judge;
mod meter;
mod output;
mod program;
mod value;
mod verifier;
mod workers;

pub use config::MontyConfig;
pub use meter::MeteredAllocator;
pub use verifier::MontyVerifier;
