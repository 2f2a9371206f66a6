//! The op on CUDA.
