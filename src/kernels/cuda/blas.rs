//! Products by cuBLASLt.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard};

use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys;
use cudarc::driver::result as driver;
use cudarc::driver::{CudaSlice, CudaStream, DevicePtr};
use half::bf16;

use super::{Cuda, Pointer};
use crate::kernels::KernelError;

/// Bytes that a product may use beside its matrices: what cuBLASLt's documentation advises for Hopper.
const WORKSPACE: usize = 32 << 20;

/// Bytes that a bias begins at a multiple of: cuBLASLt is not told where a bias lies, as it is of matrices.
pub(in crate::kernels) const BIAS_ALIGNMENT: u64 = 16;

/// Sizes of a product of column-major matrices, `rows` × `sum` by `sum` × `columns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::kernels) struct Product {
    pub(in crate::kernels) rows: usize,
    pub(in crate::kernels) columns: usize,
    pub(in crate::kernels) sum: usize,
    /// Columns for which cuBLASLt chooses its kernel, where these are not to decide: then a column of the result has the
    /// same bits whatever their number.
    pub(in crate::kernels) typical_columns: Option<usize>,
    /// Whether the product is added to what is there.
    pub(in crate::kernels) accumulate: bool,
}

/// A factor: the matrix itself in column-major order, without gaps, or its transpose.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Matrix {
    pub(in crate::kernels) numbers: Pointer,
    pub(in crate::kernels) transposed: bool,
}

fn kind(numbers: Pointer) -> sys::cudaDataType {
    if numbers.bfloat16 { sys::cudaDataType::CUDA_R_16BF } else { sys::cudaDataType::CUDA_R_32F }
}

/// What cuBLASLt's choice of a kernel depends on: sizes, transposes, precisions of factors and result, the bytes that the
/// three begin at a multiple of, and whether there is a bias.
type Key = (Product, [bool; 2], [bool; 2], [u32; 3], bool);

/// The largest power of two that an address is a multiple of, of which cuBLASLt wants to know up to 256.
fn alignment(numbers: Pointer) -> u32 {
    1 << numbers.address.trailing_zeros().min(8)
}

/// cuBLASLt on one device.
pub(super) struct Blas {
    handle: sys::cublasLtHandle_t,
    workspace: CudaSlice<u8>,
    chosen: Mutex<BTreeMap<Key, sys::cublasLtMatmulAlgo_t>>,
    queuing: Mutex<()>,
}

// SAFETY: cuBLASLt's documentation lets threads share a handle. Products, of one kernel or several, are queued one at a time
// on the device's one stream, alone or with a graph, and so have the workspace to themselves.
unsafe impl Send for Blas {}
// SAFETY: as above.
unsafe impl Sync for Blas {}

impl Blas {
    pub(super) fn new(stream: &std::sync::Arc<CudaStream>) -> Result<Self, KernelError> {
        // SAFETY: opens the library by its name and closes it; its initializers ask nothing of us.
        if !unsafe { sys::is_culib_present() } {
            return Err(KernelError::MissingLibrary {
                library: "cuBLASLt (libcublasLt)",
                remedy: "install the CUDA toolkit 13, or the package `nvidia-cublas` of PyPI with its folder \
                         `nvidia/cu13/lib` on LD_LIBRARY_PATH",
            });
        }
        // SAFETY: bytes of any value are bytes, and cuBLASLt writes them before it reads them.
        let workspace = super::driver("allocating on a CUDA device", unsafe { stream.alloc(WORKSPACE) })?;
        let handle = result::create_handle().map_err(failed)?;
        Ok(Self { handle, workspace, chosen: Mutex::default(), queuing: Mutex::default() })
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        // SAFETY: the handle is used by no one after this.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

/// A descriptor of cuBLASLt's, with what frees it.
struct Described<T: Copy>(T, unsafe fn(T) -> Result<(), CublasError>);

impl<T: Copy> Drop for Described<T> {
    fn drop(&mut self) {
        // SAFETY: the descriptor was made by the function's pair, and is used by no one after this.
        let _ = unsafe { (self.1)(self.0) };
    }
}

type Layout = Described<sys::cublasLtMatrixLayout_t>;

fn layout(kind: sys::cudaDataType, rows: usize, columns: usize) -> Result<Layout, CublasError> {
    let made = result::create_matrix_layout(kind, rows as u64, columns as u64, rows as i64)?;
    Ok(Described(made, result::destroy_matrix_layout))
}

/// The layouts of both factors and of the result.
fn layouts(product: Product, [a, b]: [Matrix; 2], to: Pointer) -> Result<[Layout; 3], CublasError> {
    let Product { rows, columns, sum, .. } = product;
    let factor = |matrix: Matrix, [rows, columns]: [usize; 2]| {
        let [rows, columns] = if matrix.transposed { [columns, rows] } else { [rows, columns] };
        layout(kind(matrix.numbers), rows, columns)
    };
    Ok([factor(a, [rows, sum])?, factor(b, [sum, columns])?, layout(kind(to), rows, columns)?])
}

impl Cuda {
    /// `to` = a b, or that added to it; and, where there is one, the bias added to each column. Both factors are in one
    /// precision, and the bias is in that of `to`, at a multiple of [`BIAS_ALIGNMENT`] bytes.
    ///
    /// # Safety
    /// The numbers of a, b and `to` are as many as the product's sizes say and those of the bias as its rows, `to` is not a
    /// part of a factor, and all are borrowed until this returns.
    pub(in crate::kernels) unsafe fn product(
        &self,
        product: Product,
        a: Matrix,
        b: Matrix,
        bias: Option<Pointer>,
        to: Pointer,
    ) -> Result<(), KernelError> {
        let (blas, stream) = (&self.shared.blas, self.stream());
        let Product { rows, columns, sum, accumulate, .. } = product;
        if rows * columns == 0 {
            return Ok(());
        }
        self.bind()?;
        if sum == 0 {
            return match accumulate {
                true => Ok(()),
                // SAFETY: by the caller's promise it has that many numbers; zero is zero in both precisions.
                false => super::driver("clearing on a CUDA device", unsafe {
                    let width = if to.bfloat16 { size_of::<bf16>() } else { size_of::<f32>() };
                    driver::memset_d8_async(to.address, 0, rows * columns * width, stream.cu_stream())
                }),
            };
        }
        debug_assert!(bias.is_none_or(|bias| bias.bfloat16 == to.bfloat16));
        let (alpha, beta) = (1.0_f32, if accumulate { 1.0_f32 } else { 0.0 });
        let (workspace, _workspace) = blas.workspace.device_ptr(stream);
        let multiply = |product: Product| {
            let description = describe([a.transposed, b.transposed], bias)?;
            let [of_a, of_b, of_result] = layouts(product, [a, b], to)?;
            let algorithm = blas.algorithm(product, [a, b], to, bias, &description)?;
            let _alone = blas.alone();
            // SAFETY: the buffers have the lengths that the layouts say, by the caller's promise, and are this stream's
            // context's; the descriptors live until the end of this function, and cuBLASLt has read both factors by then.
            unsafe {
                result::matmul(
                    blas.handle,
                    description.0,
                    (&raw const alpha).cast(),
                    (&raw const beta).cast(),
                    a.numbers.address as *const c_void,
                    of_a.0,
                    b.numbers.address as *const c_void,
                    of_b.0,
                    to.address as *const c_void,
                    of_result.0,
                    to.address as *mut c_void,
                    of_result.0,
                    &raw const algorithm,
                    workspace as *mut c_void,
                    WORKSPACE,
                    stream.cu_stream() as sys::cudaStream_t,
                )
            }
        };
        match multiply(product) {
            // No kernel for the typical columns without split sums, or none that does for these: then one that does.
            Err(CublasError(
                sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED
                | sys::cublasStatus_t::CUBLAS_STATUS_INVALID_VALUE,
            )) if product.typical_columns.is_some() => multiply(Product { typical_columns: None, ..product }),
            result => result,
        }
        .map_err(failed)
    }
}

fn describe(
    [a, b]: [bool; 2],
    bias: Option<Pointer>,
) -> Result<Described<sys::cublasLtMatmulDesc_t>, CublasError> {
    use sys::cublasLtMatmulDescAttributes_t as Attribute;
    let (compute, scale) = (sys::cublasComputeType_t::CUBLAS_COMPUTE_32F, sys::cudaDataType::CUDA_R_32F);
    let made = result::create_matmul_desc(compute, scale)?;
    let description = Described(made, result::destroy_matmul_desc);
    let set = |attribute, value: *const c_void, size| {
        // SAFETY: callers give attributes of that size, of this frame.
        unsafe { result::set_matmul_desc_attribute(made, attribute, value, size) }
    };
    for (attribute, transposed) in
        [(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, a), (Attribute::CUBLASLT_MATMUL_DESC_TRANSB, b)]
    {
        let operation = i32::from(transposed); // CUBLAS_OP_N is 0, CUBLAS_OP_T is 1
        set(attribute, (&raw const operation).cast(), size_of::<i32>())?;
    }
    if let Some(Pointer { address, .. }) = bias {
        let epilogue = sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS as i32;
        set(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, (&raw const epilogue).cast(), size_of::<i32>())?;
        set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, (&raw const address).cast(), size_of::<u64>())?;
    }
    Ok(description)
}

impl Blas {
    /// Held while a product or a graph is queued: a product's kernels leave sums in the workspace for one another.
    pub(super) fn alone(&self) -> MutexGuard<'_, ()> {
        self.queuing.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The kernel for a product, chosen at its first use.
    fn algorithm(
        &self,
        product: Product,
        [a, b]: [Matrix; 2],
        to: Pointer,
        bias: Option<Pointer>,
        description: &Described<sys::cublasLtMatmulDesc_t>,
    ) -> Result<sys::cublasLtMatmulAlgo_t, CublasError> {
        let columns = product.typical_columns.unwrap_or(product.columns);
        let asked = Product { columns, ..product };
        let aligned = [a.numbers, b.numbers, to].map(alignment);
        let (transposed, bfloat16) = ([a.transposed, b.transposed], [a.numbers.bfloat16, to.bfloat16]);
        let key = (asked, transposed, bfloat16, aligned, bias.is_some());
        // a poisoned lock is fine: entries are put in whole
        let mut chosen = self.chosen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(algorithm) = chosen.get(&key) {
            return Ok(*algorithm);
        }
        let preference = result::create_matmul_pref()?;
        let preference = Described(preference, result::destroy_matmul_pref);
        use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
        let workspace = WORKSPACE;
        // CUBLASLT_REDUCTION_SCHEME_NONE: the sum of a result is not split among blocks, whose number would depend on
        // the columns.
        let no_split = 0_u32;
        let set = |attribute, value: *const c_void, size| {
            // SAFETY: callers give attributes of that size, of this frame.
            unsafe { result::set_matmul_pref_attribute(preference.0, attribute, value, size) }
        };
        let bytes = Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        set(bytes, (&raw const workspace).cast(), size_of::<usize>())?;
        if product.typical_columns.is_some() {
            let scheme = Attribute::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK;
            set(scheme, (&raw const no_split).cast(), size_of::<u32>())?;
        }
        for (attribute, aligned) in [
            (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, aligned[0]),
            (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, aligned[1]),
            (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, aligned[2]),
            (Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, aligned[2]),
        ] {
            set(attribute, (&raw const aligned).cast(), size_of::<u32>())?;
        }
        let [a, b, to] = layouts(asked, [a, b], to)?;
        // SAFETY: all descriptors live until the end of this function.
        let found = unsafe {
            result::get_matmul_algo_heuristic(self.handle, description.0, a.0, b.0, to.0, to.0, preference.0)
        };
        let algorithm = found?.algo;
        chosen.insert(key, algorithm);
        Ok(algorithm)
    }
}

fn failed(error: CublasError) -> KernelError {
    KernelError::Driver { what: "a product by cuBLASLt", reason: format!("{:?}", error.0) }
}
