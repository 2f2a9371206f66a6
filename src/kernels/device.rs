//! Devices, and the buffers that live on them.

use std::ops::Range;
use std::sync::Arc;

use half::bf16;
use thiserror::Error;

use super::pool::{Host, Pool, Pooled};

/// Where a model's parameters live and its kernels run.
///
/// ```
/// use pspo::kernels::Device;
///
/// let device = Device::cpu();
/// let buffer = device.upload(&[1.0_f32, 2.0])?;
/// assert_eq!(device.download(buffer.view())?, [1.0, 2.0]);
/// # Ok::<(), pspo::kernels::KernelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Device(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Cpu {
        threads: Threads,
        pool: Arc<Pool>,
    },
    #[cfg(feature = "cuda")]
    Cuda(super::cuda::Cuda),
}

/// How many threads the CPU kernels of a device use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// Those of the rayon pool that the caller is in.
    Pool,
    /// The calling thread alone: for callers that share out work among threads themselves.
    One,
}

/// What a kernel is run with.
pub(crate) enum Backend<'a> {
    Cpu(Threads),
    #[cfg(feature = "cuda")]
    Cuda(&'a super::cuda::Cuda),
    #[cfg(not(feature = "cuda"))]
    #[allow(dead_code)] // keeps the lifetime used in builds without CUDA
    None(std::convert::Infallible, std::marker::PhantomData<&'a ()>),
}

/// A kernel could not run.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelError {
    /// A buffer does not have the length that its op's shapes ask for.
    #[error("{op}: `{buffer}` holds {got} numbers, {needed} are needed")]
    Shape {
        /// The op.
        op: &'static str,
        /// The buffer's name in the op's contract.
        buffer: &'static str,
        /// Its length.
        got: usize,
        /// The length needed.
        needed: usize,
    },
    /// A token that the model's vocabulary does not have.
    #[error("{op}: token {token} is not in a vocabulary of {vocabulary}")]
    Token {
        /// The op.
        op: &'static str,
        /// The token.
        token: u32,
        /// The vocabulary's size.
        vocabulary: usize,
    },
    /// A row is longer than the positions that the model knows.
    #[error("position {position} is beyond the model's {positions} positions")]
    Position {
        /// The position, from 0.
        position: usize,
        /// The model's positions.
        positions: usize,
    },
    /// Offsets of rows that do not rise from 0.
    #[error("row {row} begins at token {offset}: it must be at least {before}, and 0 for the first row")]
    Offset {
        /// The row.
        row: usize,
        /// Where it would begin.
        offset: u32,
        /// Where the one ahead of it begins; 0 for the first.
        before: u32,
    },
    /// Heads larger than the device has kernels for.
    #[error("{op}: heads of {size} numbers are more than this device's kernels hold, which is {held}")]
    HeadSize {
        /// The op.
        op: &'static str,
        /// Numbers of a head.
        size: usize,
        /// The most that there are kernels for.
        held: usize,
    },
    /// A buffer lives on another device than the one that the op runs on.
    #[error("{op}: a buffer lives on another device than the op runs on")]
    OtherDevice {
        /// The op.
        op: &'static str,
    },
    /// Numbers of one op in two precisions, where it wants one.
    #[error("{op}: its numbers must all be in float32, or all in bfloat16")]
    Mixed {
        /// The op.
        op: &'static str,
    },
    /// The op has no kernel for this device, or for numbers of that precision on it.
    #[error("{op}: there is no kernel for this device and precision; use f32 on `Device::cpu()`")]
    Unsupported {
        /// The op.
        op: &'static str,
    },
    /// A library that the device needs is not on this machine.
    #[error("{library} was not found: {remedy}")]
    MissingLibrary {
        /// The library.
        library: &'static str,
        /// Where it is to be had.
        remedy: &'static str,
    },
    /// The driver is older than what the kernels are made for.
    #[error(
        "the driver supports CUDA {}.{}, and {}.{} is needed: install NVIDIA's driver, version 580 or later",
        version / 1000, version % 1000 / 10, needed / 1000, needed % 1000 / 10
    )]
    OldDriver {
        /// The CUDA version that it supports: 1000 × major + 10 × minor.
        version: i32,
        /// The one that is needed.
        needed: i32,
    },
    /// The device has too little memory.
    #[error(
        "the device has no room for {needed} bytes more: {free} of its {total} bytes are free; take fewer tokens in a \
         pass, a smaller model, bfloat16 or an adapter"
    )]
    Memory {
        /// Bytes asked for.
        needed: usize,
        /// Bytes free then.
        free: usize,
        /// Bytes of the device.
        total: usize,
    },
    /// There is no CUDA device of that number.
    #[error("there is no device `cuda:{ordinal}`: the driver finds {devices} (they count from 0)")]
    NoDevice {
        /// The number asked for.
        ordinal: usize,
        /// The devices that there are.
        devices: usize,
    },
    /// The source of an op's kernels did not compile for the device.
    #[error("{file} did not compile for {architecture} with NVRTC {nvrtc}: {log}")]
    Compile {
        /// The source's file.
        file: &'static str,
        /// The device's architecture.
        architecture: String,
        /// NVRTC's version.
        nvrtc: String,
        /// What NVRTC says.
        log: String,
    },
    /// A call of the CUDA driver failed, or work that was queued before did.
    #[error("{what} failed: {reason}")]
    Driver {
        /// What was being done.
        what: &'static str,
        /// The driver's name for the error and its text.
        reason: String,
    },
    /// The device cannot be had or failed.
    #[error("the device failed: {0}")]
    Device(String),
}

impl Device {
    /// The CPU, with the threads of the rayon pool that each call is made in.
    pub fn cpu() -> Self {
        Self(Inner::Cpu { threads: Threads::Pool, pool: Arc::default() })
    }

    /// The CPU, with the calling thread alone.
    pub fn cpu_single_thread() -> Self {
        Self(Inner::Cpu { threads: Threads::One, pool: Arc::default() })
    }

    /// The CUDA device of that number.
    ///
    /// # Errors
    /// [`KernelError::MissingLibrary`] without the driver or NVRTC, [`KernelError::NoDevice`] if the
    /// driver has no such device, [`KernelError::Driver`] if it cannot be used.
    #[cfg(feature = "cuda")]
    pub fn cuda(ordinal: usize) -> Result<Self, KernelError> {
        Ok(Self(Inner::Cuda(super::cuda::Cuda::new(ordinal)?)))
    }

    /// A CUDA device's handle, as a device.
    #[cfg(feature = "cuda")]
    pub(crate) fn of(cuda: super::cuda::Cuda) -> Self {
        Self(Inner::Cuda(cuda))
    }

    /// The CUDA device that this is, if it is one.
    #[cfg(feature = "cuda")]
    pub(crate) fn as_cuda(&self) -> Option<&super::cuda::Cuda> {
        match &self.0 {
            Inner::Cpu { .. } => None,
            Inner::Cuda(cuda) => Some(cuda),
        }
    }

    /// A device by its name in a config: `"cpu"`, or `"cuda:0"` with the feature `cuda`.
    ///
    /// # Errors
    /// If there is no such device.
    pub fn named(name: &str) -> Result<Self, KernelError> {
        match name.strip_prefix("cuda:").map(str::parse::<usize>) {
            _ if name == "cpu" => Ok(Self::cpu()),
            #[cfg(feature = "cuda")]
            Some(Ok(ordinal)) => Self::cuda(ordinal),
            #[cfg(not(feature = "cuda"))]
            Some(Ok(_)) => {
                Err(KernelError::Device(format!("device `{name}` needs a build with the feature `cuda`")))
            }
            _ => Err(KernelError::Device(format!("`{name}` is no device: it must be `cpu` or `cuda:N`"))),
        }
    }

    /// Whether the two are clones of one device.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Inner::Cpu { threads, pool }, Inner::Cpu { threads: others, pool: other }) => {
                threads == others && Arc::ptr_eq(pool, other)
            }
            #[cfg(feature = "cuda")]
            (Inner::Cuda(cuda), Inner::Cuda(other)) => cuda.is(other),
            #[cfg(feature = "cuda")]
            _ => false,
        }
    }

    /// Whether a buffer of the other is one of this as well.
    pub(crate) fn has_memory_of(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Inner::Cpu { .. }, Inner::Cpu { .. }) => true,
            #[cfg(feature = "cuda")]
            _ => self.is(other),
        }
    }

    /// `len` zeros.
    ///
    /// # Errors
    /// If the device has no room.
    pub fn zeros<T: Element>(&self, len: usize) -> Result<Buffer<T>, KernelError> {
        match &self.0 {
            Inner::Cpu { pool, .. } => {
                let mut values = Host::any(pool, len);
                values.fill(T::default());
                Ok(Buffer::Host(values))
            }
            #[cfg(feature = "cuda")]
            Inner::Cuda(cuda) => Ok(Buffer::Cuda(cuda.zeros(len)?)),
        }
    }

    /// `len` elements of any value, for an op to write: on the host those of a buffer used before.
    ///
    /// # Errors
    /// If the device has no room.
    pub fn scratch<T: Element>(&self, len: usize) -> Result<Buffer<T>, KernelError> {
        match &self.0 {
            Inner::Cpu { pool, .. } => Ok(Buffer::Host(Host::any(pool, len))),
            #[cfg(feature = "cuda")]
            Inner::Cuda(cuda) => Ok(Buffer::Cuda(cuda.any(len)?)),
        }
    }

    /// A copy of `values`.
    ///
    /// # Errors
    /// If the device has no room.
    pub fn upload<T: Element>(&self, values: &[T]) -> Result<Buffer<T>, KernelError> {
        match &self.0 {
            Inner::Cpu { pool, .. } => {
                let mut copy = Host::any(pool, values.len());
                copy.copy_from_slice(values);
                Ok(Buffer::Host(copy))
            }
            #[cfg(feature = "cuda")]
            Inner::Cuda(cuda) => Ok(Buffer::Cuda(cuda.upload(values)?)),
        }
    }

    /// A copy of a buffer, on the host.
    ///
    /// # Errors
    /// If the buffer is not this device's.
    pub fn download<T: Element>(&self, view: View<'_, T>) -> Result<Vec<T>, KernelError> {
        match (&self.0, view) {
            (_, View::Host(values)) => Ok(values.to_vec()),
            #[cfg(feature = "cuda")]
            (Inner::Cuda(cuda), View::Cuda(view)) => cuda.download(&view),
            #[cfg(feature = "cuda")]
            _ => Err(KernelError::OtherDevice { op: "download" }),
        }
    }

    /// Copies a buffer to another of the same length on this device.
    ///
    /// # Errors
    /// If the lengths differ, or a buffer is not this device's.
    pub fn copy<T: Element>(&self, from: View<'_, T>, to: ViewMut<'_, T>) -> Result<(), KernelError> {
        const OP: &str = "copy";
        to.expect(OP, "to", from.len())?;
        match self.backend() {
            Backend::Cpu(_) => to.host(OP)?.copy_from_slice(from.host(OP)?),
            #[cfg(feature = "cuda")]
            Backend::Cuda(cuda) => cuda.copy(from, to)?,
            #[cfg(not(feature = "cuda"))]
            Backend::None(never, _) => match never {},
        }
        Ok(())
    }

    /// Sets every element to zero.
    ///
    /// # Errors
    /// If the buffer is not this device's.
    pub fn fill_zero<T: Element>(&self, to: ViewMut<'_, T>) -> Result<(), KernelError> {
        match self.backend() {
            Backend::Cpu(_) => to.host("fill_zero")?.fill(T::default()),
            #[cfg(feature = "cuda")]
            Backend::Cuda(cuda) => cuda.fill_zero(to)?,
            #[cfg(not(feature = "cuda"))]
            Backend::None(never, _) => match never {},
        }
        Ok(())
    }

    /// Bytes of the host that buffers of this device use.
    #[cfg(test)]
    pub(crate) fn used(&self) -> &super::pool::Used {
        match &self.0 {
            Inner::Cpu { pool, .. } => pool.used(),
            #[cfg(feature = "cuda")]
            Inner::Cuda(_) => panic!("the buffers of a CUDA device are not on the host"),
        }
    }

    /// Whether it has products of activations in bfloat16.
    pub(crate) fn multiplies_in_bfloat16(&self) -> bool {
        match &self.0 {
            Inner::Cpu { .. } => false,
            #[cfg(feature = "cuda")]
            Inner::Cuda(_) => true,
        }
    }

    pub(crate) fn backend(&self) -> Backend<'_> {
        match &self.0 {
            Inner::Cpu { threads, .. } => Backend::Cpu(*threads),
            #[cfg(feature = "cuda")]
            Inner::Cuda(cuda) => Backend::Cuda(cuda),
        }
    }
}

/// What a buffer may hold: `f32` for numbers, `bf16` for weights, `u32` for tokens, offsets and positions.
#[cfg(not(feature = "cuda"))]
pub trait Element: Pooled + Copy + Default + Send + Sync + std::fmt::Debug + 'static {}
/// What a buffer may hold: `f32` for numbers, `bf16` for weights, `u32` for tokens, offsets and positions.
#[cfg(feature = "cuda")]
pub trait Element:
    Pooled
    + Copy
    + Default
    + Send
    + Sync
    + std::fmt::Debug
    + cudarc::driver::DeviceRepr
    + cudarc::driver::ValidAsZeroBits
    + 'static
{
}

impl Element for f32 {}
impl Element for u32 {}
impl Element for bf16 {}

/// Numbers on a device.
#[derive(Debug)]
#[non_exhaustive]
pub enum Buffer<T: Element = f32> {
    /// On the host, for the CPU.
    Host(Host<T>),
    /// On a CUDA device.
    #[cfg(feature = "cuda")]
    Cuda(super::cuda::Memory<T>),
}

/// A part of a buffer, to be read.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum View<'a, T: Element = f32> {
    /// On the host.
    Host(&'a [T]),
    /// On a CUDA device.
    #[cfg(feature = "cuda")]
    Cuda(super::cuda::ViewRef<'a, T>),
}

/// A part of a buffer, to be written.
#[derive(Debug)]
#[non_exhaustive]
pub enum ViewMut<'a, T: Element = f32> {
    /// On the host.
    Host(&'a mut [T]),
    /// On a CUDA device.
    #[cfg(feature = "cuda")]
    Cuda(super::cuda::ViewRefMut<'a, T>),
}

impl<T: Element> Buffer<T> {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Host(values) => values.len(),
            #[cfg(feature = "cuda")]
            Self::Cuda(memory) => memory.len(),
        }
    }

    /// No elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole buffer, to be read.
    pub fn view(&self) -> View<'_, T> {
        self.slice(0..self.len())
    }

    /// The whole buffer, to be written.
    pub fn view_mut(&mut self) -> ViewMut<'_, T> {
        self.slice_mut(0..self.len())
    }

    /// A part of the buffer, to be read.
    ///
    /// # Panics
    /// If the range is not within the buffer, as slice indexing does.
    pub fn slice(&self, range: Range<usize>) -> View<'_, T> {
        match self {
            Self::Host(values) => View::Host(&values[range]),
            #[cfg(feature = "cuda")]
            Self::Cuda(memory) => View::Cuda(super::cuda::ViewRef::new(memory, range)),
        }
    }

    /// A part of the buffer, to be written.
    ///
    /// # Panics
    /// If the range is not within the buffer, as slice indexing does.
    pub fn slice_mut(&mut self, range: Range<usize>) -> ViewMut<'_, T> {
        match self {
            Self::Host(values) => ViewMut::Host(&mut values[range]),
            #[cfg(feature = "cuda")]
            Self::Cuda(memory) => ViewMut::Cuda(super::cuda::ViewRefMut::new(memory, range)),
        }
    }
}

impl<'a, T: Element> View<'a, T> {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Host(values) => values.len(),
            #[cfg(feature = "cuda")]
            Self::Cuda(view) => view.len(),
        }
    }

    /// No elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A part of it.
    ///
    /// # Panics
    /// If the range is not within the part, as slice indexing does.
    #[must_use]
    pub fn slice(self, range: Range<usize>) -> Self {
        match self {
            Self::Host(values) => Self::Host(&values[range]),
            #[cfg(feature = "cuda")]
            Self::Cuda(view) => Self::Cuda(view.slice(range)),
        }
    }

    /// The host's slice, for the CPU kernel of `op`.
    pub(crate) fn host(self, _op: &'static str) -> Result<&'a [T], KernelError> {
        match self {
            Self::Host(values) => Ok(values),
            #[cfg(feature = "cuda")]
            Self::Cuda(_) => Err(KernelError::OtherDevice { op: _op }),
        }
    }

    /// The device's slice, for the CUDA kernel of `op`.
    #[cfg(feature = "cuda")]
    pub(crate) fn cuda(
        self,
        op: &'static str,
        device: &super::cuda::Cuda,
    ) -> Result<cudarc::driver::CudaView<'a, T>, KernelError> {
        match self {
            Self::Cuda(view) => Some(view.part()).filter(|part| device.owns(part)),
            Self::Host(_) => None,
        }
        .ok_or(KernelError::OtherDevice { op })
    }

    /// Checks the length that the contract of `op` asks of `buffer`.
    pub(crate) fn expect(
        &self,
        op: &'static str,
        buffer: &'static str,
        needed: usize,
    ) -> Result<(), KernelError> {
        expect(op, buffer, self.len(), needed)
    }
}

impl<'a, T: Element> ViewMut<'a, T> {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Host(values) => values.len(),
            #[cfg(feature = "cuda")]
            Self::Cuda(view) => view.len(),
        }
    }

    /// No elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same part, for a shorter time.
    pub fn reborrow(&mut self) -> ViewMut<'_, T> {
        match self {
            Self::Host(values) => ViewMut::Host(values),
            #[cfg(feature = "cuda")]
            Self::Cuda(view) => ViewMut::Cuda(view.reborrow()),
        }
    }

    /// The host's slice, for the CPU kernel of `op`.
    pub(crate) fn host(self, _op: &'static str) -> Result<&'a mut [T], KernelError> {
        match self {
            Self::Host(values) => Ok(values),
            #[cfg(feature = "cuda")]
            Self::Cuda(_) => Err(KernelError::OtherDevice { op: _op }),
        }
    }

    /// The device's slice, for the CUDA kernel of `op`.
    #[cfg(feature = "cuda")]
    pub(crate) fn cuda(
        self,
        op: &'static str,
        device: &super::cuda::Cuda,
    ) -> Result<cudarc::driver::CudaViewMut<'a, T>, KernelError> {
        match self {
            Self::Cuda(view) => Some(view.part()).filter(|part| device.owns(part)),
            Self::Host(_) => None,
        }
        .ok_or(KernelError::OtherDevice { op })
    }

    /// Checks the length that the contract of `op` asks of `buffer`.
    pub(crate) fn expect(
        &self,
        op: &'static str,
        buffer: &'static str,
        needed: usize,
    ) -> Result<(), KernelError> {
        expect(op, buffer, self.len(), needed)
    }
}

fn expect(op: &'static str, buffer: &'static str, got: usize, needed: usize) -> Result<(), KernelError> {
    if got == needed { Ok(()) } else { Err(KernelError::Shape { op, buffer, got, needed }) }
}
