//! A weight in bfloat16 as the tensor cores of a CUDA device take it, for the products of decoding: few rows, each of them
//! the same numbers whatever the others.

use cudarc::driver::sys::CUdeviceptr;
use cudarc::driver::{CudaSlice, DevicePtr, PushKernelArg};

use super::{Shape, WeightLayout};
use crate::kernels::cuda::{Cuda, Pointer, Source, run};
use crate::kernels::{KernelError, Numbers, View};

pub(in crate::kernels) const SOURCE: &Source =
    &Source { file: "fragments.cu", code: include_str!("fragments.cu") };

const OP: &str = "product";

/// Outputs of a tile, inputs of a group, and numbers of 32 bits of a tile's group.
const TILE: usize = 16;
const GROUP: usize = 32;
const GROUP_NUMBERS: usize = TILE * GROUP / 2;
/// Groups that a block packs.
const PACKED: usize = 8;

/// Kernels of blocks with a tile of outputs each, by the rows that they have.
const NARROW: [(usize, [&str; 2]); 4] = [
    (8, ["fragments_narrow_8_float32", "fragments_narrow_8_bfloat16"]),
    (16, ["fragments_narrow_16_float32", "fragments_narrow_16_bfloat16"]),
    (32, ["fragments_narrow_32_float32", "fragments_narrow_32_bfloat16"]),
    (64, ["fragments_narrow_64_float32", "fragments_narrow_64_bfloat16"]),
];
const GATED: [(usize, &str); 2] = [(8, "fragments_gated_8"), (16, "fragments_gated_16")];
const NARROW_THREADS: u32 = 512;
/// The kernel of blocks with more rows and outputs each.
const WIDE: [&str; 2] = ["fragments_wide_float32", "fragments_wide_bfloat16"];
const WIDE_ROWS: usize = 64;
const WIDE_OUTPUTS: usize = 128;
const WIDE_THREADS: u32 = 256;
/// Blocks that the wide kernel is worth: half as many as an H200 has multiprocessors; twice as many where it reads the
/// weight for its first rows alone, since each of them has little of it on its way.
const WIDE_BLOCKS: usize = 66;
const WIDE_BLOCKS_OF_FEW: usize = 264;

/// Which kernel takes a product. All give the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// That of [`NARROW`] at this place.
    Narrow(usize),
    Wide,
}

impl Way {
    fn of(rows: usize, outputs: usize) -> Self {
        let blocks = rows.div_ceil(WIDE_ROWS) * outputs.div_ceil(WIDE_OUTPUTS);
        let enough = if rows <= WIDE_ROWS { WIDE_BLOCKS_OF_FEW } else { WIDE_BLOCKS };
        match NARROW.iter().position(|&(held, _)| rows <= held) {
            Some(place @ 0..3) => Self::Narrow(place),
            _ if blocks >= enough => Self::Wide,
            place => Self::Narrow(place.unwrap_or(NARROW.len() - 1)),
        }
    }
}

/// A weight `[inputs, outputs]` in tiles.
#[derive(Debug)]
pub(crate) struct Fragments {
    tiles: CudaSlice<u32>,
    inputs: usize,
    outputs: usize,
}

impl Fragments {
    /// The weight of a product in tiles; `None` if it is not in bfloat16, or has inputs that the kernels do not read: they
    /// must be a multiple of 8.
    ///
    /// # Errors
    /// If the weight has another length than the shape says, or the device has no room.
    pub(crate) fn of(cuda: &Cuda, shape: Shape, weight: Numbers<'_>) -> Result<Option<Self>, KernelError> {
        let Shape { inputs, outputs, layout, .. } = shape;
        weight.expect("pack", "w", inputs * outputs)?;
        let from = weight.pointer("pack", cuda)?;
        if !from.bfloat16 || !inputs.is_multiple_of(8) || inputs * outputs == 0 {
            return Ok(None);
        }
        let count = inputs.div_ceil(GROUP) * outputs.div_ceil(TILE);
        let mut tiles = cuda.scratch::<u32>(count * GROUP_NUMBERS)?;
        let (input_stride, output_stride) = match layout {
            WeightLayout::InOut => (outputs, 1_usize),
            WeightLayout::OutIn => (1, inputs),
        };
        let [of_inputs, of_outputs] = [inputs, outputs].map(|size| size as u32);
        let kernel = cuda.kernel(SOURCE, "fragments_pack")?;
        let mut call = cuda.call(&kernel);
        call.arg(&from.address).arg(&mut tiles).arg(&of_inputs).arg(&of_outputs);
        call.arg(&input_stride).arg(&output_stride);
        // SAFETY: the kernel's arguments; the weight has the length of its sizes, and there is room for every group
        // of every tile, of which each has a warp.
        unsafe { run(call, (count.div_ceil(PACKED), 1), 32 * PACKED as u32) }?;
        Ok(Some(Self { tiles, inputs, outputs }))
    }

    /// y = x W + b, or y += x W + b: x `[rows, inputs]` in bfloat16, y `[rows, outputs]` in either precision, the bias, where
    /// there is one, `[outputs]`.
    ///
    /// # Safety
    /// x and y have that many numbers, x at a multiple of 16 bytes, borrowed until this returns, and y is not a part of x.
    pub(crate) unsafe fn forward(
        &self,
        cuda: &Cuda,
        rows: usize,
        x: Pointer,
        bias: Option<View<'_>>,
        y: Pointer,
        accumulate: bool,
    ) -> Result<(), KernelError> {
        // SAFETY: by the caller's promise.
        unsafe { self.forward_by(Way::of(rows, self.outputs), cuda, rows, x, bias, y, accumulate) }
    }

    /// The same with a given kernel.
    ///
    /// # Safety
    /// As [`Fragments::forward`].
    unsafe fn forward_by(
        &self,
        way: Way,
        cuda: &Cuda,
        rows: usize,
        x: Pointer,
        bias: Option<View<'_>>,
        y: Pointer,
        accumulate: bool,
    ) -> Result<(), KernelError> {
        let bias = match bias {
            Some(bias) => {
                bias.expect(OP, "bias", self.outputs)?;
                Numbers::from(bias).pointer(OP, cuda)?.address
            }
            None => 0,
        };
        let (names, blocks, threads) = match way {
            Way::Narrow(place) => {
                let (held, names) = NARROW[place];
                (names, (self.outputs.div_ceil(TILE), rows.div_ceil(held)), NARROW_THREADS)
            }
            Way::Wide => {
                (WIDE, (rows.div_ceil(WIDE_ROWS), self.outputs.div_ceil(WIDE_OUTPUTS)), WIDE_THREADS)
            }
        };
        // SAFETY: the kernels leave out rows and outputs beyond the sizes; the rest is the caller's promise.
        unsafe {
            self.call(cuda, y.pick(names), (blocks, threads), x, bias, (y, rows, self.outputs), accumulate)
        }
    }

    /// Whether there is a kernel for [`Fragments::forward_gated`] of so many rows.
    pub(crate) fn gates(&self, rows: usize) -> bool {
        rows <= GATED[GATED.len() - 1].0 && self.outputs.is_multiple_of(2 * TILE)
    }

    /// y = silu(g) u of the weight's first half of outputs, g, and its second, u: x `[rows, inputs]` and y
    /// `[rows, outputs / 2]` in bfloat16. The same numbers as by [`Fragments::forward`] and then SwiGLU.
    ///
    /// # Safety
    /// As [`Fragments::forward`]; and [`Fragments::gates`] says yes.
    pub(crate) unsafe fn forward_gated(
        &self,
        cuda: &Cuda,
        rows: usize,
        x: Pointer,
        y: Pointer,
    ) -> Result<(), KernelError> {
        let place =
            GATED.iter().position(|&(held, _)| rows <= held).filter(|_| y.bfloat16 && self.gates(rows));
        let (_, name) = GATED[place.ok_or(KernelError::Unsupported { op: OP })?];
        let outputs = self.outputs / 2;
        // SAFETY: a block for each tile of gates, which finds that of its ups so many tiles on; the rest is the caller's
        // promise.
        unsafe {
            self.call(cuda, name, ((outputs / TILE, 1), NARROW_THREADS), x, 0, (y, rows, outputs), false)
        }
    }

    /// # Safety
    /// The kernel of that name keeps within x, y and the bias with so many blocks and threads; all are borrowed until this
    /// returns.
    unsafe fn call(
        &self,
        cuda: &Cuda,
        name: &'static str,
        (blocks, threads): ((usize, usize), u32),
        x: Pointer,
        bias: CUdeviceptr,
        (y, rows, outputs): (Pointer, usize, usize),
        accumulate: bool,
    ) -> Result<(), KernelError> {
        if !x.bfloat16 {
            return Err(KernelError::Mixed { op: OP });
        }
        let tiles = self.tiles.device_ptr(cuda.stream()).0;
        let [rows, inputs, outputs] = [rows, self.inputs, outputs].map(|size| size as u32);
        let accumulate = i32::from(accumulate);
        let kernel = cuda.kernel(SOURCE, name)?;
        let mut call = cuda.call(&kernel);
        call.arg(&tiles).arg(&x.address).arg(&bias).arg(&y.address);
        call.arg(&rows).arg(&inputs).arg(&outputs).arg(&accumulate);
        // SAFETY: the kernels' arguments; the rest is the caller's promise.
        unsafe { run(call, blocks, threads) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::forward;
    use super::*;
    use crate::kernels::cuda::test_device;
    use crate::kernels::test_values::{activation_of, assert_close, uniform, wide};
    use crate::kernels::{Activation, Buffer, Device, bias, swiglu};

    const WAYS: [Way; 5] = [Way::Narrow(0), Way::Narrow(1), Way::Narrow(2), Way::Narrow(3), Way::Wide];

    /// x of so many rows of 70, W and a bias.
    fn operands(device: &Device, shape: Shape) -> (Activation, Activation, Buffer) {
        let Shape { rows, inputs, outputs, .. } = shape;
        let of = |values: &[f32]| activation_of(device, true, values).unwrap();
        let (x, w) = (of(&uniform("x", 70 * inputs)[..rows * inputs]), of(&uniform("w", inputs * outputs)));
        (x, w, device.upload(&uniform("b", outputs)).unwrap())
    }

    /// y of so many rows, added to what was there, or with a bias.
    fn product(device: &Device, way: Way, shape: Shape, bfloat16: bool, accumulate: bool) -> Vec<f32> {
        let cuda = device.as_cuda().unwrap();
        let Shape { rows, outputs, .. } = shape;
        let (x, w, bias) = operands(device, shape);
        let fragments = Fragments::of(cuda, shape, w.numbers()).unwrap().unwrap();
        let before = if accumulate { uniform("y", 70 * outputs) } else { vec![f32::NAN; 70 * outputs] };
        let mut y = activation_of(device, bfloat16, &before[..rows * outputs]).unwrap();
        let from = x.numbers().pointer("test", cuda).unwrap();
        let to = y.numbers_mut().pointer("test", cuda).unwrap();
        let bias = Some(bias.view()).filter(|_| !accumulate);
        // SAFETY: x, the bias and y are as long as the shape says.
        unsafe { fragments.forward_by(way, cuda, rows, from, bias, to, accumulate) }.unwrap();
        device.download(wide(device, y).unwrap().view()).unwrap()
    }

    #[test]
    fn agrees_with_the_cpu_and_a_row_with_itself_whatever_the_kernel_and_the_others_are() {
        let Some(device) = test_device() else { return };
        for layout in [WeightLayout::InOut, WeightLayout::OutIn] {
            for (inputs, outputs) in [(8, 1), (32, 16), (24, 130), (264, 33), (1096, 150)] {
                for (bfloat16, accumulate) in [(false, false), (false, true), (true, true)] {
                    let shape = |rows| Shape { rows, inputs, outputs, layout };
                    let all = product(&device, Way::Wide, shape(70), bfloat16, accumulate);
                    for (way, rows) in WAYS.into_iter().zip([70, 17, 70, 70, 9]).chain([(WAYS[0], 1)]) {
                        let got = product(&device, way, shape(rows), bfloat16, accumulate);
                        assert_eq!(
                            got,
                            all[..rows * outputs],
                            "{rows} rows of {inputs} x {outputs}, {way:?}"
                        );
                    }
                    let cpu = Device::cpu();
                    let (x, w, bias) = operands(&cpu, shape(70));
                    let mut y = activation_of(&cpu, bfloat16, &uniform("y", 70 * outputs)).unwrap();
                    if !accumulate {
                        bias::forward(&cpu, bias.view(), y.numbers_mut()).unwrap();
                    }
                    forward(&cpu, shape(70), x.numbers(), w.numbers(), y.numbers_mut(), true).unwrap();
                    let exact = cpu.download(wide(&cpu, y).unwrap().view()).unwrap();
                    assert_close(&all, &exact, if bfloat16 { 4e-3 } else { 2e-5 });
                }
            }
        }
    }

    #[test]
    fn a_gated_product_is_a_product_and_then_swiglu() {
        let Some(device) = test_device() else { return };
        let cuda = device.as_cuda().unwrap();
        for (rows, inputs, hidden) in [(1, 8, 16), (7, 72, 48), (9, 1096, 32), (16, 264, 16)] {
            let shape = Shape { rows, inputs, outputs: 2 * hidden, layout: WeightLayout::InOut };
            let (x, w, _) = operands(&device, shape);
            let fragments = Fragments::of(cuda, shape, w.numbers()).unwrap().unwrap();
            assert!(fragments.gates(rows) && !fragments.gates(17));
            let activation =
                |width: usize| activation_of(&device, true, &vec![f32::NAN; rows * width]).unwrap();
            let (mut both, mut apart, mut gated) =
                (activation(2 * hidden), activation(hidden), activation(hidden));
            let from = x.numbers().pointer("test", cuda).unwrap();
            let to = both.numbers_mut().pointer("test", cuda).unwrap();
            // SAFETY: x and both results are as long as the shape says.
            unsafe {
                fragments.forward(cuda, rows, from, None, to, false).unwrap();
                let to = gated.numbers_mut().pointer("test", cuda).unwrap();
                fragments.forward_gated(cuda, rows, from, to).unwrap();
            }
            swiglu::forward(&device, hidden, both.numbers(), apart.numbers_mut()).unwrap();
            let [apart, gated] =
                [apart, gated].map(|y| device.download(wide(&device, y).unwrap().view()).unwrap());
            assert_eq!(gated, apart, "{rows} rows of {inputs} x {hidden}");
        }
    }

    #[test]
    fn few_rows_and_few_outputs_take_narrow_blocks() {
        for (rows, outputs, way) in [
            (1, 150_000, Way::Narrow(0)),
            (16, 150_000, Way::Narrow(1)),
            (32, 150_000, Way::Narrow(2)),
            (33, 150_000, Way::Wide),
            (64, 9728, Way::Narrow(3)),
            (65, 9728, Way::Wide),
            (33, 896, Way::Narrow(3)),
            (512, 896, Way::Narrow(3)),
            (1024, 896, Way::Wide),
        ] {
            assert_eq!(Way::of(rows, outputs), way, "{rows} rows, {outputs} outputs");
        }
    }

    #[test]
    fn a_weight_that_the_kernels_do_not_read_is_left_to_others() {
        let Some(device) = test_device() else { return };
        let cuda = device.as_cuda().unwrap();
        for (bfloat16, inputs) in [(false, 8), (true, 7)] {
            let weight = activation_of(&device, bfloat16, &uniform("w", 3 * inputs)).unwrap();
            let shape = Shape { rows: 0, inputs, outputs: 3, layout: WeightLayout::InOut };
            assert!(Fragments::of(cuda, shape, weight.numbers()).unwrap().is_none());
        }
    }
}
