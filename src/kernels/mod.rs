//! The trunk's ops, one folder each: contract and tests in `mod.rs`, the CPU in `cpu.rs`, CUDA in
//! `cuda.rs` and `<op>.cu`.
//!
//! Numbers are f32, apart from weights that are held in bfloat16 ([`Numbers`]) and widened as they are read; on CUDA, the
//! activations that are multiplied by such weights are in bfloat16 as well. A row-major matrix of r rows and c columns is
//! written `[r, c]`. The rows of a batch are packed: N is the number of tokens of all rows together, and no pad token
//! exists.

pub mod adamw;
pub mod attention;
pub mod bfloat16;
pub mod bias;
#[cfg(feature = "cuda")]
pub mod cuda;
mod device;
pub mod embedding;
mod indices;
mod numbers;
mod pool;
pub mod product;
pub mod rms_norm;
pub mod rotary;
pub(crate) mod sample;
pub mod scale;
pub mod swiglu;
#[cfg(test)]
pub(crate) mod test_values;
pub mod token_log_prob;
pub(crate) mod vector;

pub(crate) use device::Backend;
pub use device::{Buffer, Device, Element, KernelError, Threads, View, ViewMut};
pub use indices::Indices;
pub(crate) use numbers::{Activation, HostNumbers};
pub use numbers::{Numbers, NumbersMut};
pub use pool::Host;

/// Runs an op's CPU or CUDA implementation, whichever `device` is.
macro_rules! dispatch {
    ($device:expr, cpu($threads:ident) => $cpu:expr, cuda($cuda:ident) => $on_cuda:expr $(,)?) => {
        match $device.backend() {
            $crate::kernels::Backend::Cpu($threads) => {
                let _ = $threads;
                $cpu;
                Ok(())
            }
            #[cfg(feature = "cuda")]
            $crate::kernels::Backend::Cuda($cuda) => return $on_cuda,
            #[cfg(not(feature = "cuda"))]
            $crate::kernels::Backend::None(never, _) => match never {},
        }
    };
}
pub(crate) use dispatch;
