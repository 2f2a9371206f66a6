//! A weight in bfloat16 as the tensor cores of a CUDA device take it, for the products of decoding: few rows, each of them
//! the same numbers whatever the others.

use cudarc::driver::{CudaSlice, DevicePtr, PushKernelArg};

use super::{Shape, WeightLayout};
use crate::kernels::cuda::{Cuda, Pointer, Source, run};
use crate::kernels::{KernelError, Numbers};

pub(in crate::kernels) const SOURCE: &Source =
    &Source { file: "fragments.cu", code: include_str!("fragments.cu") };

/// Inputs and outputs of a tile, and numbers of 32 bits that it has.
const TILE: usize = 16;
const TILE_NUMBERS: usize = TILE * TILE / 2;
/// Tiles that a block packs.
const PACKED: usize = 8;
/// Threads of a block of few rows, and of one of more; the rows and outputs of the latter.
const NARROW_THREADS: u32 = 512;
const WIDE_THREADS: u32 = 256;
const WIDE: [usize; 2] = [64, 128];

const NARROW_8: [&str; 2] = ["fragments_narrow_8_float32", "fragments_narrow_8_bfloat16"];
const NARROW_16: [&str; 2] = ["fragments_narrow_16_float32", "fragments_narrow_16_bfloat16"];
const WIDER: [&str; 2] = ["fragments_wide_float32", "fragments_wide_bfloat16"];

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
        const OP: &str = "pack";
        let Shape { inputs, outputs, layout, .. } = shape;
        weight.expect(OP, "w", inputs * outputs)?;
        let from = weight.pointer(OP, cuda)?;
        if !from.bfloat16 || !inputs.is_multiple_of(8) || inputs * outputs == 0 {
            return Ok(None);
        }
        let count = inputs.div_ceil(TILE) * outputs.div_ceil(TILE);
        let mut tiles = cuda.scratch::<u32>(count * TILE_NUMBERS)?;
        let (input_stride, output_stride) = match layout {
            WeightLayout::InOut => (outputs, 1_usize),
            WeightLayout::OutIn => (1, inputs),
        };
        let [of_inputs, of_outputs] = [inputs, outputs].map(|size| size as u32);
        let kernel = cuda.kernel(SOURCE, "fragments_pack")?;
        let mut call = cuda.call(&kernel);
        call.arg(&from.address).arg(&mut tiles).arg(&of_inputs).arg(&of_outputs);
        call.arg(&input_stride).arg(&output_stride);
        // SAFETY: the kernel's arguments; the weight has the length of its sizes, and there is room for every tile, of
        // which each has a warp.
        unsafe { run(call, (count.div_ceil(PACKED), 1), 32 * PACKED as u32) }?;
        Ok(Some(Self { tiles, inputs, outputs }))
    }

    /// y = x W, or that added to y: x `[rows, inputs]` in bfloat16, y `[rows, outputs]` in either precision.
    ///
    /// # Safety
    /// x and y have that many numbers, x at a multiple of 16 bytes, borrowed until this returns, and y is not a part of x.
    pub(crate) unsafe fn forward(
        &self,
        cuda: &Cuda,
        rows: usize,
        x: Pointer,
        y: Pointer,
        accumulate: bool,
    ) -> Result<(), KernelError> {
        let Self { tiles, inputs, outputs } = self;
        if !x.bfloat16 {
            return Err(KernelError::Mixed { op: "product" });
        }
        if rows == 0 {
            return Ok(());
        }
        let (names, blocks, threads) = match rows {
            ..=8 => (NARROW_8, (outputs.div_ceil(TILE), 1), NARROW_THREADS),
            9..=16 => (NARROW_16, (outputs.div_ceil(TILE), 1), NARROW_THREADS),
            _ => (WIDER, (outputs.div_ceil(WIDE[1]), rows.div_ceil(WIDE[0])), WIDE_THREADS),
        };
        let tiles = tiles.device_ptr(cuda.stream()).0;
        let [of_rows, of_inputs, of_outputs] = [rows, *inputs, *outputs].map(|size| size as u32);
        let accumulate = i32::from(accumulate);
        let kernel = cuda.kernel(SOURCE, y.pick(names))?;
        let mut call = cuda.call(&kernel);
        call.arg(&tiles).arg(&x.address).arg(&y.address);
        call.arg(&of_rows).arg(&of_inputs).arg(&of_outputs).arg(&accumulate);
        // SAFETY: the kernel's arguments; rows and outputs beyond the sizes are left out; the rest is the caller's promise.
        unsafe { run(call, blocks, threads) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::forward;
    use super::*;
    use crate::kernels::cuda::test_device;
    use crate::kernels::test_values::{activation_of, assert_close, uniform, wide};
    use crate::kernels::{Backend, Device};

    const ROWS: [usize; 8] = [1, 2, 8, 9, 16, 17, 64, 70];

    /// y of so many rows, added to what was there or not.
    fn product(shape: Shape, bfloat16: bool, accumulate: bool) -> Option<Vec<f32>> {
        let device = test_device()?;
        let Backend::Cuda(cuda) = device.backend() else { unreachable!() };
        let Shape { rows, inputs, outputs, .. } = shape;
        let weight = activation_of(&device, true, &uniform("w", inputs * outputs)).unwrap();
        let fragments = Fragments::of(cuda, shape, weight.numbers()).unwrap().unwrap();
        let x = activation_of(&device, true, &uniform("x", 70 * inputs)[..rows * inputs]).unwrap();
        let before = if accumulate { uniform("y", 70 * outputs) } else { vec![f32::NAN; 70 * outputs] };
        let mut y = activation_of(&device, bfloat16, &before[..rows * outputs]).unwrap();
        let from = x.numbers().pointer("test", cuda).unwrap();
        let to = y.numbers_mut().pointer("test", cuda).unwrap();
        // SAFETY: x and y are as long as the shape says.
        unsafe { fragments.forward(cuda, rows, from, to, accumulate) }.unwrap();
        Some(device.download(wide(&device, y).unwrap().view()).unwrap())
    }

    #[test]
    fn agrees_with_the_cpu_and_a_row_with_itself_whatever_the_others_are() {
        for layout in [WeightLayout::InOut, WeightLayout::OutIn] {
            for (inputs, outputs) in [(8, 1), (16, 16), (24, 130), (264, 33), (1040, 150)] {
                for (bfloat16, accumulate) in [(false, false), (false, true), (true, true)] {
                    let shape = |rows| Shape { rows, inputs, outputs, layout };
                    let Some(all) = product(shape(70), bfloat16, accumulate) else { return };
                    for rows in ROWS {
                        let got = product(shape(rows), bfloat16, accumulate).unwrap();
                        assert_eq!(got, all[..rows * outputs], "{rows} rows of {inputs} x {outputs}");
                    }
                    let cpu = Device::cpu();
                    let of = |name, len| activation_of(&cpu, true, &uniform(name, len)).unwrap();
                    let (x, w) = (of("x", 70 * inputs), of("w", inputs * outputs));
                    let mut y = activation_of(&cpu, bfloat16, &uniform("y", 70 * outputs)).unwrap();
                    forward(&cpu, shape(70), x.numbers(), w.numbers(), y.numbers_mut(), accumulate).unwrap();
                    let exact = cpu.download(wide(&cpu, y).unwrap().view()).unwrap();
                    assert_close(&all, &exact, if bfloat16 { 4e-3 } else { 2e-5 });
                }
            }
        }
    }

    #[test]
    fn a_weight_that_the_kernels_do_not_read_is_left_to_others() {
        let Some(device) = test_device() else { return };
        let Backend::Cuda(cuda) = device.backend() else { unreachable!() };
        for (bfloat16, inputs) in [(false, 8), (true, 7)] {
            let weight = activation_of(&device, bfloat16, &uniform("w", 3 * inputs)).unwrap();
            let shape = Shape { rows: 0, inputs, outputs: 3, layout: WeightLayout::InOut };
            assert!(Fragments::of(cuda, shape, weight.numbers()).unwrap().is_none());
        }
    }
}
