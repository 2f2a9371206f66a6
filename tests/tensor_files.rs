//! Files of tensors: what is read from them, and that whatever is wrong in one ends in an error that names it.

#[path = "tensor_files/counted.rs"]
mod counted;
#[path = "tensor_files/fuzz.rs"]
mod fuzz;
#[path = "tensor_files/gguf.rs"]
mod gguf;
#[path = "tensor_files/gguf_cases.rs"]
mod gguf_cases;
#[path = "tensor_files/mutate.rs"]
mod mutate;
#[path = "tensor_files/safetensors.rs"]
mod safetensors;
#[path = "tensor_files/safetensors_cases.rs"]
mod safetensors_cases;
#[path = "tensor_files/tokenizer_cases.rs"]
mod tokenizer_cases;

#[global_allocator]
static ALLOCATOR: counted::Counted = counted::Counted;
