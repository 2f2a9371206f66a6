//! Pretrained models: reading their files.
//!
//! [`tensors`] reads named tensors from safetensors and GGUF files.

pub mod tensors;
