#![doc = include_str!("../README.md")]

pub mod answer;
pub mod config;
pub mod data;
pub mod eval;
mod files;
pub mod formats;
pub mod kernels;
pub mod label;
pub mod model;
pub mod plugin;
pub mod ppo;
pub mod pretrained;
pub mod prm;
pub mod problems;
pub mod prompts;
pub mod report;
pub mod reward;
pub mod reward_model;
pub mod rollouts;
#[cfg(target_os = "linux")]
pub mod sandbox;
pub mod sft;
pub mod steps;
pub mod trainer;
pub mod value;
pub mod verify;

#[doc(hidden)]
pub use inventory as __inventory;
