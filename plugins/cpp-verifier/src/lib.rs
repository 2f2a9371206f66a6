#![doc = include_str!("../README.md")]
#![cfg(target_os = "linux")]

mod config;
mod generate;
mod judges;
mod prefix;
mod session;
mod signature;
mod source;
mod toolchain;
mod verifier;
mod wire;

pub use config::CppConfig;
pub use verifier::CppVerifier;
