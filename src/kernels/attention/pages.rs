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
    use super::super::{Rows, forward};
    use super::*;
    use crate::kernels::cuda::test_device;
    use crate::kernels::rotary::{Direction, Scaling, rotate};
    use crate::kernels::test_values::{activation_of, assert_close, uniform, wide};
    use crate::kernels::{Device, NumbersMut, View, ViewMut};

    /// Tokens of the rows, the new one among them: none, within a page, over its end, within a split, over its end.
    const LENS: [usize; 9] = [0, 1, 7, 32, 33, 100, 256, 257, 600];

    fn table(device: &Device, heads: Heads) -> Table {
        Table::new(device, heads.size, 1000, 100.0, Scaling::None).unwrap()
    }

    /// Rows of qkv of all tokens but the last of each row, and of the last ones, which are not turned yet.
    fn tokens(heads: Heads, bfloat16: bool) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
        let width = heads.qkv_width();
        let all = uniform("qkv", LENS.iter().sum::<usize>() * width);
        let all = activation_of(&Device::cpu(), bfloat16, &all.iter().map(|x| 2.0 * x).collect::<Vec<_>>());
        let all = Device::cpu().download(wide(&Device::cpu(), all.unwrap()).unwrap().view()).unwrap();
        let (mut before, mut last, mut first) = (Vec::new(), Vec::new(), 0);
        for len in LENS {
            let (row, tokens) = (&all[first * width..(first + len) * width], len.saturating_sub(1));
            before.push(row[..tokens * width].to_vec());
            last.push(row[tokens * width..].to_vec());
            first += len;
        }
        (before, last)
    }

    /// What the last tokens attend to, by the op over whole rows on the CPU.
    fn exact(heads: Heads, bfloat16: bool) -> Vec<f32> {
        let cpu = Device::cpu();
        let (before, last) = tokens(heads, bfloat16);
        let (mut qkv, mut offsets) = (Vec::new(), vec![0]);
        for (before, mut last) in before.into_iter().zip(last) {
            let tokens = before.len() / heads.qkv_width();
            qkv.extend(before);
            if !last.is_empty() {
                let (table, place) = (table(&cpu, heads), cpu.indices(&[tokens as u32]).unwrap());
                let (turned, stride) = (heads.queries + heads.keys, last.len());
                let x = NumbersMut::from(ViewMut::Host(&mut last[..]));
                rotate(&cpu, &table, Direction::Forward, turned, stride, &place, x).unwrap();
                let rounded = activation_of(&cpu, bfloat16, &last).unwrap();
                qkv.extend(cpu.download(wide(&cpu, rounded).unwrap().view()).unwrap());
            }
            offsets.push((qkv.len() / heads.qkv_width()) as u32);
        }
        let rows = Rows::new(&cpu, &offsets).unwrap();
        let width = heads.out_width();
        let (mut out, mut sums) =
            (vec![0.0; rows.tokens() * width], vec![0.0; rows.tokens() * heads.queries]);
        forward(&cpu, heads, &rows, View::Host(&qkv), ViewMut::Host(&mut out), ViewMut::Host(&mut sums))
            .unwrap();
        let of_row = |pair: &[u32]| match pair[1] > pair[0] {
            true => out[(pair[1] as usize - 1) * width..pair[1] as usize * width].to_vec(),
            false => vec![0.0; width],
        };
        offsets.windows(2).flat_map(of_row).collect()
    }

    /// The same over pages of rows from `rows` on, with splits for the longest of all.
    fn over_pages(device: &Device, heads: Heads, bfloat16: bool, rows: std::ops::Range<usize>) -> Vec<f32> {
        let cuda = device.as_cuda().unwrap();
        let pool = Pool::new(cuda, Format { layers: 2, heads, bfloat16 }).unwrap();
        let (before, last) = tokens(heads, bfloat16);
        let layer = 1;
        let splits = Format::splits(LENS[rows.clone()].iter().copied().max().unwrap_or(0).max(1));
        let max_pages = splits * SPLIT / PAGE;
        let mut held = Vec::new();
        let mut addresses = vec![0; rows.len() * max_pages];
        for (place, row) in rows.clone().enumerate() {
            let pages: Vec<Page> = (0..LENS[row].div_ceil(PAGE)).map(|_| pool.page().unwrap()).collect();
            for (to, page) in addresses[place * max_pages..].iter_mut().zip(&pages) {
                *to = page.address();
            }
            let count = LENS[row].saturating_sub(1);
            if count > 0 {
                let of_token: Vec<u64> = (0..count).map(|token| pages[token / PAGE].address()).collect();
                let slots: Vec<u32> = (0..count).map(|token| (token % PAGE) as u32).collect();
                let (of_token, slots) = (cuda.numbers(&of_token).unwrap(), cuda.numbers(&slots).unwrap());
                let at = (of_token.device_ptr(cuda.stream()).0, slots.device_ptr(cuda.stream()).0);
                let qkv = activation_of(device, bfloat16, &before[row]).unwrap();
                let qkv = qkv.numbers().pointer("test", cuda).unwrap();
                // SAFETY: a page of this row, a slot in it and a row of qkv for each token.
                unsafe { put(cuda, pool.format, layer, at, qkv, count) }.unwrap();
            }
            held.push(pages);
        }
        let lens: Vec<u32> = LENS[rows.clone()].iter().map(|&len| len as u32).collect();
        let width = heads.qkv_width();
        let new: Vec<f32> = rows
            .clone()
            .flat_map(|row| if last[row].is_empty() { vec![f32::NAN; width] } else { last[row].clone() })
            .collect();
        let qkv = activation_of(device, bfloat16, &new).unwrap();
        let mut out =
            activation_of(device, bfloat16, &vec![f32::NAN; rows.len() * heads.out_width()]).unwrap();
        let partial = cuda.scratch::<f32>(pool.format.partial(rows.len(), splits).unwrap()).unwrap();
        let (addresses, lens) = (cuda.numbers(&addresses).unwrap(), cuda.numbers(&lens).unwrap());
        let at = |numbers: &CudaSlice<f32>| numbers.device_ptr(cuda.stream()).0;
        let rotary = table(device, heads);
        let attended = Attended {
            table: addresses.device_ptr(cuda.stream()).0,
            max_pages,
            lens: lens.device_ptr(cuda.stream()).0,
            rows: rows.len(),
            splits,
            rotary: &rotary,
        };
        let from = qkv.numbers().pointer("test", cuda).unwrap();
        let to = out.numbers_mut().pointer("test", cuda).unwrap();
        // SAFETY: the table has a page for all tokens of each row, and the buffers are as long as they must be.
        unsafe { attend(cuda, pool.format, layer, attended, from, at(&partial), to) }.unwrap();
        device.download(wide(device, out).unwrap().view()).unwrap()
    }

    #[test]
    fn a_new_token_attends_as_the_last_one_of_a_whole_row() {
        let Some(device) = test_device() else { return };
        // sizes below, at and between those that pages have; groups of one block, of a part of it, of several
        for (queries, keys, size) in
            [(1, 1, 2), (4, 2, 32), (14, 2, 64), (3, 3, 36), (20, 1, 20), (2, 1, 128)]
        {
            let heads = Heads { queries, keys, size };
            for (bfloat16, tolerance) in [(false, 1e-5), (true, 2e-2)] {
                let got = over_pages(&device, heads, bfloat16, 0..LENS.len());
                assert_close(&got, &exact(heads, bfloat16), tolerance);
                // rows of one split need no second kernel, and have the same bits
                let few = over_pages(&device, heads, bfloat16, 0..7);
                assert_eq!(few, got[..7 * heads.out_width()], "{heads:?}");
            }
        }
    }

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
