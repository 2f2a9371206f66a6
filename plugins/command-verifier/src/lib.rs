#![doc = include_str!("../README.md")]
#![cfg(target_os = "linux")]

mod config;
mod verifier;

pub use config::CommandConfig;
pub use verifier::CommandVerifier;
