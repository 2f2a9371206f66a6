#![doc = include_str!("../README.md")]

pub mod data;
pub mod plugin;
pub mod verify;

#[doc(hidden)]
pub use inventory as __inventory;
