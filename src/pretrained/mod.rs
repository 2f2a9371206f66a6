//! Pretrained models: reading their files.
//!
//! [`tensors`] reads named tensors from safetensors and GGUF files, [`gguf_tokenizer`] makes the tokenizer that a
//! GGUF file has in its metadata.

pub mod gguf_tokenizer;
pub mod tensors;
