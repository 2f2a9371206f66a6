//! Products by cuBLASLt.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::Mutex;

use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys;
use cudarc::driver::{CudaSlice, CudaStream, CudaView, CudaViewMut, DevicePtr, DevicePtrMut};
use half::bf16;

use super::Cuda;
use crate::kernels::{Element, KernelError};

/// Bytes that a product may use beside its matrices: what cuBLASLt's documentation advises for Hopper.
const WORKSPACE: usize = 32 << 20;

/// Numbers that cuBLASLt multiplies; their sums are in float.
pub(in crate::kernels) trait Factor: Element {
    const TYPE: sys::cudaDataType;
}

impl Factor for f32 {
    const TYPE: sys::cudaDataType = sys::cudaDataType::CUDA_R_32F;
}

impl Factor for bf16 {
    const TYPE: sys::cudaDataType = sys::cudaDataType::CUDA_R_16BF;
}

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
pub(in crate::kernels) struct Matrix<'a, T> {
    pub(in crate::kernels) numbers: &'a CudaView<'a, T>,
    pub(in crate::kernels) transposed: bool,
}

/// What cuBLASLt's choice of a kernel depends on.
type Key = (Product, [bool; 2], bool);

/// cuBLASLt on one device.
pub(super) struct Blas {
    handle: sys::cublasLtHandle_t,
    workspace: CudaSlice<u8>,
    chosen: Mutex<BTreeMap<Key, sys::cublasLtMatmulAlgo_t>>,
}

// SAFETY: cuBLASLt's documentation lets threads share a handle. Products run one after another on the device's one stream,
// and so have the workspace to themselves.
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
        Ok(Self { handle, workspace, chosen: Mutex::default() })
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

fn layout(kind: sys::cudaDataType, rows: usize, columns: usize) -> Result<Layout, KernelError> {
    let made =
        result::create_matrix_layout(kind, rows as u64, columns as u64, rows as i64).map_err(failed)?;
    Ok(Described(made, result::destroy_matrix_layout))
}

/// The layouts of both factors and of the result.
fn layouts(
    kind: sys::cudaDataType,
    product: Product,
    transposed: [bool; 2],
) -> Result<[Layout; 3], KernelError> {
    let Product { rows, columns, sum, .. } = product;
    let factor = |sizes: [usize; 2], transposed: bool| {
        let [rows, columns] = if transposed { [sizes[1], sizes[0]] } else { sizes };
        layout(kind, rows, columns)
    };
    let (a, b) = (factor([rows, sum], transposed[0])?, factor([sum, columns], transposed[1])?);
    Ok([a, b, layout(sys::cudaDataType::CUDA_R_32F, rows, columns)?])
}

impl Cuda {
    /// `to` = a b, or that added to it.
    pub(in crate::kernels) fn product<T: Factor>(
        &self,
        product: Product,
        a: Matrix<'_, T>,
        b: Matrix<'_, T>,
        to: &mut CudaViewMut<'_, f32>,
    ) -> Result<(), KernelError> {
        let (blas, stream) = (&self.0.blas, &self.0.stream);
        let Product { rows, columns, sum, accumulate, .. } = product;
        for (buffer, got, needed) in [
            ("a", a.numbers.len(), rows * sum),
            ("b", b.numbers.len(), sum * columns),
            ("result", to.len(), rows * columns),
        ] {
            if got != needed {
                return Err(KernelError::Shape { op: "product", buffer, got, needed });
            }
        }
        if rows * columns == 0 {
            return Ok(());
        }
        if sum == 0 {
            return match accumulate {
                true => Ok(()),
                false => super::driver("clearing on a CUDA device", stream.memset_zeros(to)),
            };
        }
        let transposed = [a.transposed, b.transposed];
        let description = describe(transposed)?;
        let [of_a, of_b, of_result] = layouts(T::TYPE, product, transposed)?;
        let algorithm = blas.algorithm(T::TYPE, product, transposed, &description)?;
        let (alpha, beta) = (1.0_f32, if accumulate { 1.0_f32 } else { 0.0 });
        let (from_a, _a) = a.numbers.device_ptr(stream);
        let (from_b, _b) = b.numbers.device_ptr(stream);
        let (workspace, _workspace) = blas.workspace.device_ptr(stream);
        let (result, _result) = to.device_ptr_mut(stream);
        // SAFETY: the buffers have the lengths that the layouts say, as checked above, and are this stream's context's;
        // the descriptors live until the end of this function, and cuBLASLt has read both factors by then.
        unsafe {
            result::matmul(
                blas.handle,
                description.0,
                (&raw const alpha).cast(),
                (&raw const beta).cast(),
                from_a as *const c_void,
                of_a.0,
                from_b as *const c_void,
                of_b.0,
                result as *const c_void,
                of_result.0,
                result as *mut c_void,
                of_result.0,
                &raw const algorithm,
                workspace as *mut c_void,
                WORKSPACE,
                stream.cu_stream() as sys::cudaStream_t,
            )
        }
        .map_err(failed)
    }
}

fn describe([a, b]: [bool; 2]) -> Result<Described<sys::cublasLtMatmulDesc_t>, KernelError> {
    use sys::cublasLtMatmulDescAttributes_t::{CUBLASLT_MATMUL_DESC_TRANSA, CUBLASLT_MATMUL_DESC_TRANSB};
    let (compute, scale) = (sys::cublasComputeType_t::CUBLAS_COMPUTE_32F, sys::cudaDataType::CUDA_R_32F);
    let made = result::create_matmul_desc(compute, scale).map_err(failed)?;
    let description = Described(made, result::destroy_matmul_desc);
    for (attribute, transposed) in [(CUBLASLT_MATMUL_DESC_TRANSA, a), (CUBLASLT_MATMUL_DESC_TRANSB, b)] {
        let operation = i32::from(transposed); // CUBLAS_OP_N is 0, CUBLAS_OP_T is 1
        // SAFETY: the attribute is a 32-bit integer, of this frame.
        unsafe {
            result::set_matmul_desc_attribute(
                made,
                attribute,
                (&raw const operation).cast(),
                size_of::<i32>(),
            )
        }
        .map_err(failed)?;
    }
    Ok(description)
}

impl Blas {
    /// The kernel for a product, chosen at its first use.
    fn algorithm(
        &self,
        kind: sys::cudaDataType,
        product: Product,
        transposed: [bool; 2],
        description: &Described<sys::cublasLtMatmulDesc_t>,
    ) -> Result<sys::cublasLtMatmulAlgo_t, KernelError> {
        let columns = product.typical_columns.unwrap_or(product.columns);
        let asked = Product { columns, ..product };
        let key = (asked, transposed, kind == sys::cudaDataType::CUDA_R_16BF);
        // a poisoned lock is fine: entries are put in whole
        let mut chosen = self.chosen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(algorithm) = chosen.get(&key) {
            return Ok(*algorithm);
        }
        let preference = result::create_matmul_pref().map_err(failed)?;
        let preference = Described(preference, result::destroy_matmul_pref);
        use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
        let workspace = WORKSPACE;
        // CUBLASLT_REDUCTION_SCHEME_NONE: the sum of a result is not split among blocks, whose number would depend on
        // the columns.
        let no_split = 0_u32;
        // SAFETY: the attributes are of these types, and of this frame.
        unsafe {
            result::set_matmul_pref_attribute(
                preference.0,
                Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                (&raw const workspace).cast(),
                size_of::<usize>(),
            )
            .map_err(failed)?;
            if product.typical_columns.is_some() {
                result::set_matmul_pref_attribute(
                    preference.0,
                    Attribute::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                    (&raw const no_split).cast(),
                    size_of::<u32>(),
                )
                .map_err(failed)?;
            }
        }
        let [a, b, to] = layouts(kind, asked, transposed)?;
        // SAFETY: all descriptors live until the end of this function.
        let found = unsafe {
            result::get_matmul_algo_heuristic(self.handle, description.0, a.0, b.0, to.0, to.0, preference.0)
        };
        let algorithm = found.map_err(failed)?.algo;
        chosen.insert(key, algorithm);
        Ok(algorithm)
    }
}

fn failed(error: CublasError) -> KernelError {
    KernelError::Driver { what: "a product by cuBLASLt", reason: format!("{:?}", error.0) }
}
