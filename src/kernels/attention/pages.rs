//! Keys and values on a CUDA device, in pages that rows share; attention of one new token a row over them.

use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{CudaSlice, DevicePtr, PushKernelArg};

use super::{Heads, pages_mma};
use crate::kernels::KernelError;
use crate::kernels::cuda::{Cuda, Pointer, Source, run, run_over};
use crate::kernels::rotary::Table;

pub(in crate::kernels) const SOURCE: &Source = &Source { file: "pages.cu", code: include_str!("pages.cu") };

/// Tokens of a page.
pub(crate) const PAGE: usize = 32;
/// Tokens that a block attends to.
pub(super) const SPLIT: usize = 256;
const THREADS: u32 = 128;
/// Pages that are allocated together at first; then as many as there are, up to so many bytes.
const FEWEST: usize = 64;
const SLAB_BYTES: usize = 256 << 20;

/// Numbers of a head in a page.
pub(super) const SIZES: [usize; 3] = [32, 64, 128];
/// Kernels in float32 by size, and by the query heads that a block attends for.
const GROUPS: [usize; 3] = [1, 4, 8];
const ATTEND: [[&str; 3]; 3] = [
    ["pages_attend_32_1", "pages_attend_32_4", "pages_attend_32_8"],
    ["pages_attend_64_1", "pages_attend_64_4", "pages_attend_64_8"],
    ["pages_attend_128_1", "pages_attend_128_4", "pages_attend_128_8"],
];
/// What pages hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) layers: usize,
    pub(crate) heads: Heads,
    pub(crate) bfloat16: bool,
}

impl Format {
    /// The place of the head's size among [`SIZES`].
    fn place(&self) -> Result<usize, KernelError> {
        let size = self.heads.size;
        let held = SIZES[SIZES.len() - 1];
        let place = SIZES.iter().position(|&held| size <= held);
        place.ok_or(KernelError::HeadSize { op: "attention over pages", size, held })
    }

    fn bytes(&self) -> Result<usize, KernelError> {
        let number = if self.bfloat16 { 2 } else { 4 };
        Ok(self.layers * 2 * self.heads.keys * PAGE * SIZES[self.place()?] * number)
    }

    /// Tokens that a block attends to.
    pub(crate) const TOKENS_OF_SPLIT: usize = SPLIT;

    /// Splits of rows of at most so many tokens.
    pub(crate) fn splits(tokens: usize) -> usize {
        tokens.div_ceil(SPLIT)
    }

    /// Numbers in f32 that attention uses between its two kernels.
    pub(crate) fn partial(&self, rows: usize, splits: usize) -> Result<usize, KernelError> {
        Ok(rows * self.heads.queries * splits * (SIZES[self.place()?] + 2))
    }
}

/// Pages of one format on a device.
pub(crate) struct Pool {
    cuda: Cuda,
    pub(crate) format: Format,
    bytes: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    slabs: Vec<CudaSlice<u8>>,
    free: Vec<CUdeviceptr>,
    pages: usize,
}

/// A page, given back when it is dropped: whoever gets it next writes behind all that was queued before.
pub(crate) struct Page {
    address: CUdeviceptr,
    pool: Arc<Pool>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("format", &self.format).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Page({:#x})", self.address)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.pool.held.lock().unwrap_or_else(PoisonError::into_inner).free.push(self.address);
    }
}

impl Page {
    pub(crate) fn address(&self) -> CUdeviceptr {
        self.address
    }

    /// Whether it is on the device of `pool` and of its format.
    pub(crate) fn is_like(&self, pool: &Pool) -> bool {
        self.pool.format == pool.format && self.pool.cuda.is(&pool.cuda)
    }
}

impl Pool {
    /// An empty pool.
    ///
    /// # Errors
    /// [`KernelError::HeadSize`] for heads that there are no kernels for.
    pub(crate) fn new(cuda: &Cuda, format: Format) -> Result<Arc<Self>, KernelError> {
        let bytes = format.bytes()?;
        Ok(Arc::new(Self { cuda: cuda.clone(), format, bytes, held: Mutex::default() }))
    }

    /// A page of any content.
    ///
    /// # Errors
    /// If the device has no room.
    pub(crate) fn page(self: &Arc<Self>) -> Result<Page, KernelError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.free.is_empty() {
            let wanted = held.pages.max(FEWEST).min(SLAB_BYTES.div_ceil(self.bytes));
            let (pages, slab) = as_many_as_fit(wanted, |pages| self.cuda.scratch::<u8>(pages * self.bytes))?;
            let first = slab.device_ptr(self.cuda.stream()).0;
            held.free.extend((0..pages).rev().map(|page| first + (page * self.bytes) as CUdeviceptr));
            held.slabs.push(slab);
            held.pages += pages;
        }
        let address = held.free.pop().expect("there are free ones now");
        Ok(Page { address, pool: Arc::clone(self) })
    }

    /// A page with the content of another.
    ///
    /// # Errors
    /// If the device has no room.
    pub(crate) fn copy_of(self: &Arc<Self>, page: &Page) -> Result<Page, KernelError> {
        let copy = self.page()?;
        // SAFETY: both are pages of this pool, which has memory of `bytes` for each.
        unsafe { self.cuda.copy_bytes(page.address, copy.address, self.bytes) }?;
        Ok(copy)
    }
}

/// What `allocate` gives for so many pages, or for fewer where the device has no room for them.
fn as_many_as_fit<T>(
    mut pages: usize,
    allocate: impl Fn(usize) -> Result<T, KernelError>,
) -> Result<(usize, T), KernelError> {
    loop {
        match allocate(pages) {
            Err(KernelError::Memory { .. }) if pages > 1 => pages /= 2,
            result => return Ok((pages, result?)),
        }
    }
}

/// Puts keys and values of `count` tokens, as they stand in rows of qkv, at `slots` of `pages`.
///
/// # Safety
/// `pages` are `count` addresses of pages of this format, `slots` are `count` numbers below [`PAGE`], and qkv has
/// `count` rows in the format's precision. All are memory of the device, borrowed until this returns.
pub(crate) unsafe fn put(
    cuda: &Cuda,
    format: Format,
    layer: usize,
    (pages, slots): (CUdeviceptr, CUdeviceptr),
    qkv: Pointer,
    count: usize,
) -> Result<(), KernelError> {
    let Heads { queries, keys, size } = format.heads;
    let [queries, keys, size, layer] = [queries, keys, size, layer].map(|number| number as u32);
    let head_size = SIZES[format.place()?] as u32;
    let kernel = cuda.kernel(SOURCE, qkv.pick(["pages_put_float32", "pages_put_bfloat16"]))?;
    let mut call = cuda.call(&kernel);
    call.arg(&pages).arg(&slots).arg(&qkv.address);
    call.arg(&queries).arg(&keys).arg(&size).arg(&head_size).arg(&layer);
    // SAFETY: the kernel's arguments; the rest is the caller's promise.
    unsafe { run(call, (count, 1), THREADS) }
}

/// What new tokens, one a row, attend to.
#[derive(Clone, Copy)]
pub(crate) struct Attended<'a> {
    /// `[rows, max_pages]` addresses of pages.
    pub(crate) table: CUdeviceptr,
    pub(crate) max_pages: usize,
    /// Tokens of each row, the new one among them, `[rows]`; 0 for none.
    pub(crate) lens: CUdeviceptr,
    pub(crate) rows: usize,
    /// Splits of the longest row, or more.
    pub(crate) splits: usize,
    /// Angles of the positions.
    pub(crate) rotary: &'a Table,
}

/// Turns queries and keys in `qkv` `[rows, (queries + 2 keys) size]` to their positions, puts keys and values into the rows'
/// last pages, and writes what the queries attend to, `out` `[rows, queries size]`. `partial` is scratch.
///
/// # Safety
/// The table holds a page of this format for every [`PAGE`] tokens of each row or a part of them, the last of them for this
/// row alone; the angles are those of heads of the format's size, for each row's length; qkv and out have `rows` rows in the
/// format's precision, and `partial` is as long as [`Format::partial`] says. All are memory of the device, borrowed until
/// this returns.
pub(crate) unsafe fn attend(
    cuda: &Cuda,
    format: Format,
    layer: usize,
    attended: Attended<'_>,
    qkv: Pointer,
    partial: CUdeviceptr,
    out: Pointer,
) -> Result<(), KernelError> {
    let Attended { table, max_pages, lens, rows, splits, rotary } = attended;
    let (cosines, sines) = rotary.on_cuda("attention over pages", cuda)?;
    let (place, scale) = (format.place()?, format.heads.scale());
    let group = format.heads.group();
    let (kernel, held, shared) = if format.bfloat16 {
        let (kernel, shared) = pages_mma::kernel(cuda, place)?;
        (kernel, pages_mma::GROUP, shared)
    } else {
        let held = GROUPS.iter().position(|&held| group <= held).unwrap_or(GROUPS.len() - 1);
        (cuda.kernel(SOURCE, ATTEND[place][held])?, GROUPS[held], 0)
    };
    let chunks = group.div_ceil(held);
    let Heads { queries, keys, size } = format.heads;
    let head_blocks = keys * chunks;
    let [max_pages, query_heads, keys, size, layer, head_size, split_count] =
        [max_pages, queries, keys, size, layer, SIZES[place], splits].map(|number| number as u32);
    let mut call = cuda.call(&kernel);
    call.arg(&table).arg(&lens).arg(&qkv.address).arg(&cosines).arg(&sines).arg(&partial).arg(&out.address);
    call.arg(&max_pages).arg(&query_heads).arg(&keys).arg(&size).arg(&layer).arg(&scale);
    // SAFETY: the kernel's arguments; the rest is the caller's promise.
    unsafe { run_over(call, [rows, head_blocks, splits], THREADS, shared) }?;
    if splits == 1 {
        return Ok(());
    }

    let kernel = cuda.kernel(SOURCE, out.pick(["pages_combine_float32", "pages_combine_bfloat16"]))?;
    let mut call = cuda.call(&kernel);
    call.arg(&lens)
        .arg(&partial)
        .arg(&out.address)
        .arg(&query_heads)
        .arg(&size)
        .arg(&head_size)
        .arg(&split_count);
    // SAFETY: as above.
    unsafe { run(call, (rows, queries), THREADS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_nearly_full_gives_fewer_pages() {
        let room = |free: usize| {
            move |needed: usize| match needed <= free {
                true => Ok(needed),
                false => Err(KernelError::Memory { needed, free, total: 100 }),
            }
        };
        assert_eq!(as_many_as_fit(64, room(64)), Ok((64, 64)));
        assert_eq!(as_many_as_fit(64, room(5)), Ok((4, 4)));
        assert_eq!(as_many_as_fit(5, room(1)), Ok((1, 1)));
        assert_eq!(as_many_as_fit(64, room(0)), Err(KernelError::Memory { needed: 1, free: 0, total: 100 }));
    }
}
