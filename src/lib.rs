#![doc = include_str!("../README.md")]

pub mod data;
pub mod eval;
pub mod kernels;
pub mod label;
pub mod model;
pub mod plugin;
pub mod problems;
pub mod rollouts;
pub mod sft;
pub mod steps;
pub mod trainer;
pub mod verify;

#[doc(hidden)]
pub use dfdx as __dfdx;
#[doc(hidden)]
pub use inventory as __inventory;
