//! A CUDA device: its context, its stream, its memory, and kernels compiled at their first use.
//!
//! Nothing links CUDA: the driver, NVRTC and cuBLASLt are opened when a device is asked for. All work of a device is queued
//! on one stream, in the order of the calls; a call returns before its work is done, except one that brings numbers back to
//! the host. An error of queued work is reported by a later call.
//!
//! To add an op's twin: write `<op>/<op>.cu` and `<op>/cuda.rs`, add the `cuda(..)` arm to its `dispatch!` and its source to
//! `SOURCES`, and compare the two with `test_values::twins`. Kernels are `extern "C"`, take lengths as `size_t` or, where
//! they are small, as `unsigned`, and sum in an order fixed by the shapes alone (no atomics but of whole numbers), so that a
//! run repeats to the same bits. They include what lies beside this file; CUDA's own headers are there only where
//! `CUDA_HOME` tells of a toolkit, so a kernel does without them. `.ci/nvrtc` compiles all of them without a GPU, and
//! `tests/cuda_emulator` runs them without one.

pub(super) mod blas;
mod cache;
pub(super) mod columns;
mod memory;
mod nvrtc;
mod pinned;
mod pointer;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::sys::{CUdevice_attribute, CUdeviceptr, CUfunction_attribute, CUresult};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaGraph, CudaModule, CudaSlice, CudaStream, DevicePtr, DeviceRepr,
    DriverError, LaunchArgs, LaunchConfig,
};
use cudarc::driver::{result, sys};
use cudarc::nvrtc::Ptx;

use super::{Element, KernelError};
use cache::Cache;
pub use memory::{Memory, ViewRef, ViewRefMut};
pub(crate) use nvrtc::Source;
pub(crate) use pinned::Pinned;
pub(crate) use pointer::Pointer;

/// The kernels of all ops, for the test that compiles them.
#[cfg(test)]
pub(crate) const SOURCES: &[&Source] = &[
    super::adamw::cuda::SOURCE,
    super::attention::cuda::SOURCE,
    super::attention::mma::SOURCE,
    super::attention::pages::SOURCE,
    super::attention::pages_mma::SOURCE,
    super::bfloat16::cuda::SOURCE,
    super::bias::cuda::SOURCE,
    columns::SOURCE,
    super::embedding::cuda::SOURCE,
    super::product::fragments::SOURCE,
    super::rms_norm::cuda::SOURCE,
    super::rotary::cuda::SOURCE,
    super::sample::cuda::SOURCE,
    super::scale::cuda::SOURCE,
    super::swiglu::cuda::SOURCE,
    super::token_log_prob::cuda::SOURCE,
];

/// A CUDA device. Clones are the same device.
#[derive(Clone)]
pub struct Cuda {
    shared: Arc<Shared>,
    /// What work is queued on: the device's own stream, but while a graph is captured.
    stream: Arc<CudaStream>,
}

struct Shared {
    context: Arc<CudaContext>,
    /// What kernels are compiled for, such as `sm_90a`.
    architecture: String,
    compiler: nvrtc::Compiler,
    blas: blas::Blas,
    cache: Cache,
    loaded: Mutex<Loaded>,
}

/// Work that is queued as a whole.
pub(crate) struct Graph(CudaGraph);

// SAFETY: the driver lets any thread use a graph, one at a time: whoever launches or drops one has it for itself.
unsafe impl Send for Graph {}
// SAFETY: nothing can be done with a shared graph.
unsafe impl Sync for Graph {}

#[derive(Default)]
struct Loaded {
    /// By the source's file.
    modules: BTreeMap<&'static str, Arc<CudaModule>>,
    /// By the source's file and the kernel's name.
    kernels: BTreeMap<(&'static str, &'static str), CudaFunction>,
    /// Bytes of dynamic shared memory that were asked for, of those kernels that have been.
    shared: BTreeMap<(&'static str, &'static str), u32>,
}

impl std::fmt::Debug for Cuda {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Shared { context, architecture, .. } = &*self.shared;
        f.debug_struct("Cuda")
            .field("ordinal", &context.ordinal())
            .field("architecture", architecture)
            .finish_non_exhaustive()
    }
}

impl Cuda {
    /// Whether the two are clones of one device.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// The device of that number: the same one whenever it is asked for, and open from the first time on.
    ///
    /// # Errors
    /// [`KernelError::MissingLibrary`] without the driver or NVRTC, [`KernelError::NoDevice`] if the
    /// driver has no such device, [`KernelError::Driver`] if it cannot be used.
    pub fn new(ordinal: usize) -> Result<Self, KernelError> {
        static OPENED: Mutex<BTreeMap<usize, Cuda>> = Mutex::new(BTreeMap::new());
        // a poisoned lock is fine: entries are put in whole
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        match opened.get(&ordinal) {
            Some(cuda) => Ok(cuda.clone()),
            None => Ok(opened.entry(ordinal).or_insert(Self::open(ordinal)?).clone()),
        }
    }

    fn open(ordinal: usize) -> Result<Self, KernelError> {
        // SAFETY: opens the library by its name and closes it; its initializers ask nothing of us.
        // cudarc panics on a missing library, hence the question.
        if !unsafe { cudarc::driver::sys::is_culib_present() } {
            return Err(KernelError::MissingLibrary {
                library: "the CUDA driver (libcuda)",
                remedy: "install NVIDIA's driver, version 580 or later",
            });
        }
        let version = driver("asking for the driver's version", driver_version())?;
        if version < DRIVER {
            return Err(KernelError::OldDriver { version, needed: DRIVER });
        }
        let compiler = nvrtc::Compiler::find()?;
        let devices = match CudaContext::device_count() {
            Err(DriverError(CUresult::CUDA_ERROR_NO_DEVICE)) => 0,
            count => driver("counting the CUDA devices", count)? as usize,
        };
        if ordinal >= devices {
            return Err(KernelError::NoDevice { ordinal, devices });
        }
        let context = driver("opening a CUDA device", CudaContext::new(ordinal))?;
        // SAFETY: every buffer of this context is made, used and freed on the one stream below, which
        // orders that by itself: a device is opened once (`new`), and neither the context nor the stream
        // is handed out of this crate.
        unsafe { context.disable_event_tracking() };
        let (major, minor) = driver("asking for the compute capability", context.compute_capability())?;
        // from 9.0 on, an `a` opens the instructions of exactly this architecture
        let suffix = if major >= 9 { "a" } else { "" };
        keep_freed_memory(&context)?;
        // not the default stream, on which no graph can be captured
        let stream = driver("making a stream", context.new_stream())?;
        let shared = Arc::new(Shared {
            blas: blas::Blas::new(&stream)?,
            context,
            architecture: format!("sm_{major}{minor}{suffix}"),
            compiler,
            cache: Cache::of_the_user(),
            loaded: Mutex::default(),
        });
        Ok(Self { shared, stream })
    }

    /// `len` zeros.
    ///
    /// # Errors
    /// If the device has no room.
    pub fn zeros<T: Element>(&self, len: usize) -> Result<Memory<T>, KernelError> {
        let zeros = self.stream.alloc_zeros(len.max(1));
        Ok(Memory::new(self.allocated(zeros, len * size_of::<T>())?, len))
    }

    /// A copy of `values`.
    ///
    /// # Errors
    /// If the device has no room.
    pub fn upload<T: Element>(&self, values: &[T]) -> Result<Memory<T>, KernelError> {
        if values.is_empty() {
            return self.zeros(0);
        }
        Ok(Memory::new(self.numbers(values)?, values.len()))
    }

    /// A copy of `view`, on the host, when all work queued before is done.
    ///
    /// # Errors
    /// If `view` is on another device, or if work queued before failed.
    pub fn download<T: Element>(&self, view: &ViewRef<'_, T>) -> Result<Vec<T>, KernelError> {
        let part = view.part();
        if !self.owns(&part) {
            return Err(KernelError::OtherDevice { op: "download" });
        }
        self.read(&part)
    }

    /// Copies a buffer to another of the same length.
    ///
    /// # Errors
    /// If one of them is on another device.
    pub(crate) fn copy<T: Element>(
        &self,
        from: super::View<'_, T>,
        to: super::ViewMut<'_, T>,
    ) -> Result<(), KernelError> {
        if from.is_empty() {
            return Ok(());
        }
        let (from, mut to) = (from.cuda("copy", self)?, to.cuda("copy", self)?);
        driver("copying on a CUDA device", self.stream.memcpy_dtod(&from, &mut to))
    }

    /// Copies bytes from one place of the device to another.
    ///
    /// # Safety
    /// Both places have that many bytes of this device's, apart from one another.
    pub(crate) unsafe fn copy_bytes(
        &self,
        from: CUdeviceptr,
        to: CUdeviceptr,
        bytes: usize,
    ) -> Result<(), KernelError> {
        self.bind()?;
        // SAFETY: by the caller's promise.
        driver("copying on a CUDA device", unsafe {
            cudarc::driver::result::memcpy_dtod_async(to, from, bytes, self.stream().cu_stream())
        })
    }

    /// Sets every element to zero.
    ///
    /// # Errors
    /// If the buffer is on another device.
    pub(crate) fn fill_zero<T: Element>(&self, to: super::ViewMut<'_, T>) -> Result<(), KernelError> {
        if to.is_empty() {
            return Ok(());
        }
        let mut to = to.cuda("fill_zero", self)?;
        driver("clearing on a CUDA device", self.stream.memset_zeros(&mut to))
    }

    /// `len` elements of any value, for an op to write.
    ///
    /// # Errors
    /// If the device has no room.
    pub fn any<T: Element>(&self, len: usize) -> Result<Memory<T>, KernelError> {
        Ok(Memory::new(self.scratch(len.max(1))?, len))
    }

    /// `len` elements of any value for a kernel's own use.
    pub(crate) fn scratch<T: DeviceRepr>(&self, len: usize) -> Result<CudaSlice<T>, KernelError> {
        // SAFETY: elements are plain numbers, of which any bits are one, and an op writes them before they are read.
        self.allocated(unsafe { self.stream.alloc(len) }, len * size_of::<T>())
    }

    /// A copy of numbers for a kernel's own use.
    pub(crate) fn numbers<T: DeviceRepr>(&self, numbers: &[T]) -> Result<CudaSlice<T>, KernelError> {
        self.allocated(self.stream.clone_htod(numbers), size_of_val(numbers))
    }

    /// What came of an allocation of so many bytes.
    fn allocated<T>(&self, result: Result<T, DriverError>, needed: usize) -> Result<T, KernelError> {
        match result {
            Err(DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
                let (free, total) = self.shared.context.mem_get_info().unwrap_or_default();
                Err(KernelError::Memory { needed, free, total })
            }
            result => driver("allocating on a CUDA device", result),
        }
    }

    /// A copy on the host.
    pub(crate) fn read<T: DeviceRepr + Clone + Default>(
        &self,
        part: &impl DevicePtr<T>,
    ) -> Result<Vec<T>, KernelError> {
        let mut values = vec![T::default(); part.len()];
        if !values.is_empty() {
            driver("copying from a CUDA device", self.stream.memcpy_dtoh(part, &mut values))?;
        }
        driver("waiting for a CUDA device", self.stream.synchronize())?;
        Ok(values)
    }

    /// Makes this device the calling thread's, as the driver's own functions want it: cudarc's methods do that themselves.
    pub(crate) fn bind(&self) -> Result<(), KernelError> {
        driver("turning to a CUDA device", self.shared.context.bind_to_thread())
    }

    /// Whether that is memory of this device.
    pub(crate) fn owns<T>(&self, part: &impl DevicePtr<T>) -> bool {
        part.stream().context() == &self.shared.context
    }

    /// The kernel of that name, compiled and loaded if this is its first use.
    pub(crate) fn kernel(&self, source: &Source, name: &'static str) -> Result<CudaFunction, KernelError> {
        // a poisoned lock is fine: entries are put in whole
        let mut loaded = self.shared.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernel) = loaded.kernels.get(&(source.file, name)) {
            return Ok(kernel.clone());
        }
        let module = match loaded.modules.get(source.file) {
            Some(module) => Arc::clone(module),
            None => {
                let cubin = Ptx::from_binary(self.cubin(source)?);
                let module = driver("loading a compiled kernel", self.shared.context.load_module(cubin))?;
                loaded.modules.insert(source.file, Arc::clone(&module));
                module
            }
        };
        let kernel = driver("finding a kernel in its module", module.load_function(name))?;
        loaded.kernels.insert((source.file, name), kernel.clone());
        Ok(kernel)
    }

    /// The same, for calls with up to that many bytes of dynamic shared memory.
    pub(crate) fn kernel_with_shared(
        &self,
        source: &Source,
        name: &'static str,
        bytes: u32,
    ) -> Result<CudaFunction, KernelError> {
        let kernel = self.kernel(source, name)?;
        let mut loaded = self.shared.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        // more than 48 KiB have to be asked for
        let asked = loaded.shared.entry((source.file, name)).or_insert(48 << 10);
        if bytes > *asked {
            self.bind()?;
            let most = CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
            let most = driver("asking for a device's shared memory", self.shared.context.attribute(most))?;
            if bytes > most as u32 {
                let message = format!(
                    "`{name}` needs {bytes} bytes of shared memory, and a block has {most} there: use bfloat16, or heads \
                     of at most 64 numbers"
                );
                return Err(KernelError::Device(message));
            }
            let attribute = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            driver("asking for shared memory", kernel.set_attribute(attribute, bytes as i32))?;
            *asked = bytes;
        }
        Ok(kernel)
    }

    fn cubin(&self, source: &Source) -> Result<Vec<u8>, KernelError> {
        let Shared { architecture, compiler, cache, .. } = &*self.shared;
        let key = compiler.key(source, architecture);
        if let Some(cubin) = cache.load(source.file, &key) {
            return Ok(cubin);
        }
        let cubin = compiler.compile(source, architecture)?;
        cache.store(source.file, &key, &cubin);
        Ok(cubin)
    }

    /// The stream that work is queued on.
    pub(crate) fn stream(&self) -> &Arc<CudaStream> {
        &self.stream
    }

    /// What `work` queues, as a graph. It must neither allocate nor wait, and use no kernel for the first time.
    ///
    /// # Errors
    /// That of `work`, or if the driver cannot make a graph of it.
    pub(crate) fn capture(
        &self,
        work: impl FnOnce(&Self) -> Result<(), KernelError>,
    ) -> Result<Graph, KernelError> {
        // on a stream of its own, so that nothing that others queue meanwhile becomes a part of it
        let stream = driver("making a stream", self.shared.context.new_stream())?;
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        driver("beginning a graph", stream.begin_capture(mode))?;
        let worked = work(&Self { shared: self.shared.clone(), stream: stream.clone() });
        let graph = stream.end_capture(sys::CUgraphInstantiate_flags(0));
        worked?;
        let graph = driver("making a graph", graph)?;
        graph.map(Graph).ok_or_else(|| KernelError::Device("a graph of nothing was asked for".to_owned()))
    }

    /// Queues a graph's work.
    pub(crate) fn launch(&self, graph: &mut Graph) -> Result<(), KernelError> {
        self.bind()?;
        let _alone = self.shared.blas.alone();
        // SAFETY: the graph is alive, of this device's context, and used by nobody else meanwhile.
        driver("starting a graph", unsafe {
            result::graph::launch(graph.0.cu_graph_exec(), self.stream.cu_stream())
        })
    }

    /// A call of `kernel`: give it its arguments, then [`run`] it.
    pub(crate) fn call<'a>(&'a self, kernel: &'a CudaFunction) -> LaunchArgs<'a> {
        self.stream.launch_builder(kernel)
    }
}

/// Threads of a block where each has one number.
pub(crate) const NUMBERS: u32 = 256;

/// The blocks of so many numbers, a thread each.
pub(crate) fn numbers(len: usize) -> (usize, usize) {
    (len.div_ceil(NUMBERS as usize), 1)
}

/// Queues a call over a grid of `blocks` (x, y) of `threads` each; a grid of none, which the driver refuses, is nothing to do.
///
/// # Safety
/// The arguments given are those of the kernel, in order and type, and with these blocks it stays within
/// the buffers among them.
pub(crate) unsafe fn run(
    call: LaunchArgs<'_>,
    blocks: (usize, usize),
    threads: u32,
) -> Result<(), KernelError> {
    // SAFETY: by the caller's promise.
    unsafe { run_over(call, [blocks.0, blocks.1, 1], threads, 0) }
}

/// The same over a grid of `blocks` (x, y, z), with `shared` bytes of dynamic shared memory.
///
/// # Safety
/// As [`run`]; and that is as much as the kernel uses.
pub(crate) unsafe fn run_over(
    mut call: LaunchArgs<'_>,
    blocks: [usize; 3],
    threads: u32,
    shared: u32,
) -> Result<(), KernelError> {
    if blocks.contains(&0) {
        return Ok(());
    }
    let [x, y, z] = blocks;
    let (Ok(x), Ok(y), Ok(z)) = (i32::try_from(x), u16::try_from(y), u16::try_from(z)) else {
        return Err(KernelError::Device(format!("{blocks:?} blocks are more than a grid of CUDA's holds")));
    };
    let grid = LaunchConfig {
        grid_dim: (x as u32, u32::from(y), u32::from(z)),
        block_dim: (threads, 1, 1),
        shared_mem_bytes: shared,
    };
    // SAFETY: by the caller's promise.
    driver("starting a kernel", unsafe { call.launch(grid) }).map(|_| ())
}

/// The CUDA version that the driver must support at least, as it counts: 13.0.
const DRIVER: i32 = 13_000;

fn driver_version() -> Result<i32, DriverError> {
    let mut version = 0;
    // SAFETY: the pointer is to an integer of this frame.
    unsafe { sys::cuDriverGetVersion(&raw mut version) }.result()?;
    Ok(version)
}

/// Lets the driver keep what is freed, to be allocated again: by default it goes back to the system whenever the host
/// waits for the device.
fn keep_freed_memory(context: &CudaContext) -> Result<(), KernelError> {
    let mut threshold = u64::MAX;
    // SAFETY: the device is that of a context; the attribute is a 64-bit integer, of this frame.
    let mut set = || unsafe {
        let pool = result::device::get_default_mem_pool(context.cu_device())?;
        let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        result::mem_pool::set_attribute(pool, attribute, (&raw mut threshold).cast())
    };
    driver("setting up the device's memory", set())
}

fn driver<T>(what: &'static str, result: Result<T, DriverError>) -> Result<T, KernelError> {
    result.map_err(|error| KernelError::Driver { what, reason: reason(error) })
}

/// `CUDA_ERROR_OUT_OF_MEMORY (out of memory)`.
fn reason(error: DriverError) -> String {
    match error.error_string() {
        Ok(text) => format!("{:?} ({})", error.0, text.to_string_lossy()),
        Err(_) => format!("{:?}", error.0),
    }
}

/// The first CUDA device, for tests that are skipped where there is none.
#[cfg(test)]
pub(crate) fn test_device() -> Option<super::Device> {
    match super::Device::cuda(0) {
        Ok(device) => Some(device),
        Err(
            why @ (KernelError::MissingLibrary { .. }
            | KernelError::NoDevice { .. }
            | KernelError::OldDriver { .. }),
        ) => {
            println!("skipped: no CUDA device ({why})");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::product::{Shape, WeightLayout, forward};
    use crate::kernels::{Device, View};

    #[test]
    fn a_device_crosses_threads() {
        fn crosses<T: Clone + Send + Sync + std::fmt::Debug>() {}
        crosses::<Cuda>();
    }

    #[test]
    fn a_device_is_the_same_whoever_asks_for_it() {
        let Some(device) = test_device() else { return };
        let there = std::thread::spawn(test_device).join().unwrap().unwrap();
        assert!(device.as_cuda().unwrap().is(there.as_cuda().unwrap()));
    }

    #[test]
    fn a_device_that_is_not_there_is_a_typed_error() {
        let ordinal = 1_000_000;
        match Device::named(&format!("cuda:{ordinal}")) {
            Err(KernelError::NoDevice { ordinal: named, .. }) => assert_eq!(named, ordinal),
            Err(KernelError::MissingLibrary { remedy, .. }) => assert!(!remedy.is_empty()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn more_shared_memory_than_there_is_is_told() {
        let Some(device) = test_device() else { return };
        let source = crate::kernels::adamw::cuda::SOURCE;
        let Err(error) = device.as_cuda().unwrap().kernel_with_shared(source, "adamw_step", 1 << 30) else {
            panic!("no device has so much")
        };
        let told = error.to_string();
        assert!(
            told.contains("`adamw_step` needs 1073741824 bytes of shared memory, and a block has"),
            "{told}"
        );
    }

    #[test]
    fn memory_comes_back_as_it_went() {
        let Some(device) = test_device() else { return };
        for len in [0_u32, 1, 31, 33, 100_000] {
            let values: Vec<u32> = (0..len).collect();
            let buffer = device.upload(&values).unwrap();
            assert_eq!(device.download(buffer.view()).unwrap(), values);
            let part = (values.len() / 3)..(values.len() / 2);
            assert_eq!(device.download(buffer.slice(part.clone())).unwrap(), values[part]);
            let zeros = device.zeros::<f32>(values.len()).unwrap();
            assert_eq!(device.download(zeros.view()).unwrap(), vec![0.0; values.len()]);
        }
    }

    #[test]
    fn buffers_of_two_devices_do_not_mix() {
        let Some(device) = test_device() else { return };
        let buffer = device.upload(&[1.0_f32]).unwrap();
        let other = Err(KernelError::OtherDevice { op: "download" });
        assert_eq!(Device::cpu().download(buffer.view()), other);
        let norm = crate::kernels::adamw::squared_norm(&device, View::Host(&[1.0]));
        assert_eq!(norm, Err(KernelError::OtherDevice { op: "squared_norm" }));
    }

    #[test]
    fn a_thread_may_use_two_devices_in_turn() {
        let (Some(first), Ok(second)) = (test_device(), Device::cuda(1)) else {
            println!("skipped: no second CUDA device");
            return;
        };
        let [one, other] = [&first, &second].map(|device| device.upload(&[3.0_f32, 4.0]).unwrap());
        assert_eq!(second.download(one.view()), Err(KernelError::OtherDevice { op: "download" }));
        for (device, buffer) in [(&first, &one), (&second, &other), (&first, &one)] {
            // cuBLASLt's calls do not turn the thread to their device
            let shape = Shape { rows: 1, inputs: 2, outputs: 1, layout: WeightLayout::InOut };
            let mut product = device.zeros::<f32>(1).unwrap();
            forward(device, shape, buffer.view(), buffer.view(), product.view_mut(), false).unwrap();
            let turn = if std::ptr::eq(device, &first) { &second } else { &first };
            turn.as_cuda().unwrap().bind().unwrap();
            forward(device, shape, buffer.view(), buffer.view(), product.view_mut(), true).unwrap();
            assert_eq!(device.download(product.view()).unwrap(), [50.0]);
        }
    }
}
