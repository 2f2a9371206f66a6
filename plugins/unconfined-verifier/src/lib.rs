#![doc = include_str!("../README.md")]
#![cfg(unix)]

mod config;
mod process;
mod verifier;

pub use config::UnconfinedConfig;
pub use verifier::UnconfinedVerifier;
