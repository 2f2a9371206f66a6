#![doc = include_str!("../README.md")]
#![cfg(target_os = "linux")]

mod asks;
mod channel;
mod config;
mod outcome;
mod plain;
mod python;
mod servers;
mod session;
mod verifier;

pub use config::PythonConfig;
pub use verifier::PythonVerifier;
