//! Products with a weight matrix: y = x W, and its two gradients.
//!
//! A row of the result depends on that row of x alone, to the last bit, whatever the number of rows and
//! threads: a token sampled in a batch is the token sampled alone. So does a row of the input's gradient on that row
//! of dy. The weight's gradient is a sum over all rows, whose bits depend on which rows it is taken over at once. A weight
//! in bfloat16 gives what the same numbers in f32 give.

pub(super) mod cpu;
#[cfg(feature = "cuda")]
pub(super) mod cuda;
#[cfg(feature = "cuda")]
pub(super) mod fragments;
mod packed;
mod tile;
mod widened;

use super::{Device, KernelError, Numbers, NumbersMut, View, ViewMut, bias, dispatch};

#[cfg(feature = "cuda")]
pub(crate) use fragments::Fragments;
pub(crate) use packed::Packed;
pub(crate) use tile::{Left, PANEL, ROWS, Right, Tiled, multiply, tiled, with_rows};

/// How a weight lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightLayout {
    /// `[inputs, outputs]`: the trunk's own, whose forward product needs no packing.
    InOut,
    /// `[outputs, inputs]`: an embedding table, used again as the output layer.
    OutIn,
}

/// Sizes of a product: `rows` × `inputs` by `inputs` × `outputs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows of x and y.
    pub rows: usize,
    /// Columns of x.
    pub inputs: usize,
    /// Columns of y.
    pub outputs: usize,
    /// How the weight lies.
    pub layout: WeightLayout,
}

impl Shape {
    fn check(&self, op: &'static str, x: usize, w: usize, y: usize) -> Result<(), KernelError> {
        let Self { rows, inputs, outputs, .. } = *self;
        for (buffer, got, needed) in
            [("x", x, rows * inputs), ("w", w, inputs * outputs), ("y", y, rows * outputs)]
        {
            if got != needed {
                return Err(KernelError::Shape { op, buffer, got, needed });
            }
        }
        Ok(())
    }
}

/// y = x W, or y += x W where `accumulate`. x `[rows, inputs]`, y `[rows, outputs]`.
///
/// # Errors
/// If a buffer has another length.
pub fn forward<'a, 'y>(
    device: &Device,
    shape: Shape,
    x: impl Into<Numbers<'a>>,
    w: impl Into<Numbers<'a>>,
    y: impl Into<NumbersMut<'y>>,
    accumulate: bool,
) -> Result<(), KernelError> {
    const OP: &str = "product";
    let (x, w, y) = (x.into(), w.into(), y.into());
    shape.check(OP, x.len(), w.len(), y.len())?;
    dispatch!(device,
        cpu(threads) => cpu::forward(threads, shape, x.float32(OP)?, w.host(OP)?, y.host(OP)?, accumulate),
        cuda(cuda) => cuda::forward(cuda, OP, shape, x, w, y, accumulate),
    )
}

/// y = x W + b, for a bias `[outputs]`.
///
/// # Errors
/// If a buffer has another length.
pub fn forward_biased<'a, 'y>(
    device: &Device,
    shape: Shape,
    x: impl Into<Numbers<'a>>,
    w: impl Into<Numbers<'a>>,
    bias: View<'_>,
    y: impl Into<NumbersMut<'y>>,
) -> Result<(), KernelError> {
    const OP: &str = "product with a bias";
    let (x, w, mut y) = (x.into(), w.into(), y.into());
    shape.check(OP, x.len(), w.len(), y.len())?;
    bias.expect(OP, "bias", shape.outputs)?;
    dispatch!(device,
        cpu(threads) => {
            bias::forward(device, bias, y.reborrow())?;
            cpu::forward(threads, shape, x.float32(OP)?, w.host(OP)?, y.host(OP)?, true)
        },
        cuda(cuda) => match shape.inputs {
            0 => bias::forward(device, bias, y),
            _ => cuda::forward_biased(cuda, OP, shape, x, w, bias, y),
        },
    )
}

/// dx = dy Wᵀ, or dx += dy Wᵀ where `accumulate`.
///
/// # Errors
/// If a buffer has another length.
pub fn backward_input<'a, 'x>(
    device: &Device,
    shape: Shape,
    dy: impl Into<Numbers<'a>>,
    w: impl Into<Numbers<'a>>,
    dx: impl Into<NumbersMut<'x>>,
    accumulate: bool,
) -> Result<(), KernelError> {
    const OP: &str = "product, gradient of the input";
    let (dy, w, dx) = (dy.into(), w.into(), dx.into());
    shape.check(OP, dx.len(), w.len(), dy.len())?;
    dispatch!(device,
        cpu(threads) => cpu::backward_input(threads, shape, dy.float32(OP)?, w.host(OP)?, dx.host(OP)?, accumulate),
        cuda(cuda) => cuda::backward_input(cuda, OP, shape, dy, w, dx, accumulate),
    )
}

/// dW += xᵀ dy.
///
/// # Errors
/// If a buffer has another length.
pub fn backward_weight<'a>(
    device: &Device,
    shape: Shape,
    x: impl Into<Numbers<'a>>,
    dy: impl Into<Numbers<'a>>,
    dw: ViewMut<'_>,
) -> Result<(), KernelError> {
    const OP: &str = "product, gradient of the weight";
    let (x, dy) = (x.into(), dy.into());
    shape.check(OP, x.len(), dw.len(), dy.len())?;
    dispatch!(device,
        cpu(threads) => cpu::backward_weight(threads, shape, x.float32(OP)?, dy.float32(OP)?, dw.host(OP)?),
        cuda(cuda) => cuda::backward_weight(cuda, OP, shape, x, dy, dw),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::test_values::{assert_close, uniform};
    use crate::kernels::{HostNumbers, Threads};
    use half::bf16;

    fn exact(shape: Shape, x: &[f32], w: &[f32]) -> Vec<f32> {
        let Shape { rows, inputs, outputs, layout } = shape;
        let weight = |i: usize, o: usize| match layout {
            WeightLayout::InOut => w[i * outputs + o],
            WeightLayout::OutIn => w[o * inputs + i],
        };
        let mut y = Vec::new();
        for r in 0..rows {
            for o in 0..outputs {
                let dot: f64 =
                    (0..inputs).map(|i| f64::from(x[r * inputs + i]) * f64::from(weight(i, o))).sum();
                y.push(dot as f32);
            }
        }
        y
    }

    #[test]
    fn products_and_gradients_agree_with_the_definition() {
        for layout in [WeightLayout::InOut, WeightLayout::OutIn] {
            for (rows, inputs, outputs) in [(0, 3, 4), (1, 1, 1), (1, 33, 31), (31, 33, 7), (33, 600, 65)] {
                let shape = Shape { rows, inputs, outputs, layout };
                let (x, w) = (uniform("x", rows * inputs), uniform("w", inputs * outputs));
                let dy = uniform("dy", rows * outputs);
                for device in [Device::cpu(), Device::cpu_single_thread()] {
                    let mut y = vec![7.0; rows * outputs];
                    forward(&device, shape, View::Host(&x), View::Host(&w), ViewMut::Host(&mut y), false)
                        .unwrap();
                    assert_close(&y, &exact(shape, &x, &w), 1e-5);

                    let flipped = match layout {
                        WeightLayout::InOut => WeightLayout::OutIn,
                        WeightLayout::OutIn => WeightLayout::InOut,
                    };
                    let back = Shape { rows, inputs: outputs, outputs: inputs, layout: flipped };
                    let mut dx = vec![1.0; rows * inputs];
                    backward_input(
                        &device,
                        shape,
                        View::Host(&dy),
                        View::Host(&w),
                        ViewMut::Host(&mut dx),
                        true,
                    )
                    .unwrap();
                    let needed: Vec<_> = exact(back, &dy, &w).iter().map(|v| v + 1.0).collect();
                    assert_close(&dx, &needed, 1e-5);

                    let mut dw = vec![1.0; inputs * outputs];
                    backward_weight(&device, shape, View::Host(&x), View::Host(&dy), ViewMut::Host(&mut dw))
                        .unwrap();
                    for i in 0..inputs {
                        for o in 0..outputs {
                            let needed =
                                1.0 + (0..rows).map(|r| x[r * inputs + i] * dy[r * outputs + o]).sum::<f32>();
                            let place =
                                if layout == WeightLayout::InOut { i * outputs + o } else { o * inputs + i };
                            assert_close(&dw[place..=place], &[needed], 1e-4);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_in_every_batch() {
        for layout in [WeightLayout::InOut, WeightLayout::OutIn] {
            for (inputs, outputs) in [(64, 16), (128, 352), (700, 96), (33, 513)] {
                let x = uniform("x", 130 * inputs);
                let w = uniform("w", inputs * outputs);
                let run = |device: &Device, rows: usize| {
                    let shape = Shape { rows, inputs, outputs, layout };
                    let mut y = vec![0.5; rows * outputs];
                    let x = View::Host(&x[..rows * inputs]);
                    forward(device, shape, x, View::Host(&w), ViewMut::Host(&mut y), true).unwrap();
                    y[..outputs].to_vec()
                };
                let alone = run(&Device::cpu_single_thread(), 1);
                for rows in [2, 3, 4, 5, 8, 17, 64, 130] {
                    assert_eq!(run(&Device::cpu(), rows), alone, "{rows} rows of {inputs} x {outputs}");
                    assert_eq!(run(&Device::cpu_single_thread(), rows), alone);
                }
            }
        }
    }

    #[test]
    fn a_row_s_gradient_has_the_same_bits_in_every_batch() {
        for layout in [WeightLayout::InOut, WeightLayout::OutIn] {
            for (inputs, outputs) in [(16, 64), (60, 1100), (128, 352), (700, 96), (33, 2), (3, 1)] {
                let (dy, w) = (uniform("dy", 130 * outputs), uniform("w", inputs * outputs));
                let run = |device: &Device, rows: usize| {
                    let shape = Shape { rows, inputs, outputs, layout };
                    let mut dx = vec![f32::NAN; rows * inputs];
                    let dy = View::Host(&dy[..rows * outputs]);
                    backward_input(device, shape, dy, View::Host(&w), ViewMut::Host(&mut dx), false).unwrap();
                    dx
                };
                let all = run(&Device::cpu(), 130);
                for rows in [1, 2, 3, 4, 5, 8, 17, 64, 65] {
                    for device in [Device::cpu(), Device::cpu_single_thread()] {
                        let few = run(&device, rows);
                        assert_eq!(few, all[..rows * inputs], "{rows} rows of {inputs} x {outputs}");
                    }
                }
            }
        }
    }

    #[test]
    fn packed_products_agree_with_the_definition_and_have_the_same_bits_in_every_batch() {
        for layout in [WeightLayout::InOut, WeightLayout::OutIn] {
            for (inputs, outputs) in [(1, 1), (33, 31), (64, 16), (257, 130), (700, 96)] {
                let (x, w) = (uniform("x", 70 * inputs), uniform("w", inputs * outputs));
                let shape = |rows| Shape { rows, inputs, outputs, layout };
                let packed = Packed::new(Threads::Pool, shape(0), HostNumbers::Float32(&w));
                let run = |threads, rows: usize, accumulate| {
                    let mut y = vec![if accumulate { 0.5 } else { f32::NAN }; rows * outputs];
                    packed.forward(threads, &x[..rows * inputs], &mut y, accumulate, &mut Vec::new());
                    y
                };
                let needed = exact(shape(70), &x, &w);
                assert_close(&run(Threads::Pool, 70, false), &needed, 3e-5);
                let added = run(Threads::One, 70, true);
                assert_close(&added, &needed.iter().map(|y| y + 0.5).collect::<Vec<_>>(), 3e-5);
                for rows in [0, 1, 2, 3, 5, 6, 7, 12, 13, 33] {
                    for threads in [Threads::One, Threads::Pool] {
                        assert_eq!(run(threads, rows, true), added[..rows * outputs], "{rows} rows");
                    }
                }
            }
        }
    }

    #[test]
    fn weights_in_bfloat16_give_the_bits_of_the_same_numbers_in_float32() {
        for layout in [WeightLayout::InOut, WeightLayout::OutIn] {
            for (inputs, outputs) in [(1, 1), (33, 31), (64, 16), (257, 130), (700, 96), (1100, 2100)] {
                let (x, dy) = (uniform("x", 30 * inputs), uniform("dy", 30 * outputs));
                let w: Vec<bf16> = uniform("w", inputs * outputs).into_iter().map(bf16::from_f32).collect();
                let wide: Vec<f32> = w.iter().map(|w| w.to_f32()).collect();
                let shape = |rows| Shape { rows, inputs, outputs, layout };
                let packed = Packed::new(Threads::Pool, shape(0), HostNumbers::Bfloat16(&w));
                let packed_wide = Packed::new(Threads::Pool, shape(0), HostNumbers::Float32(&wide));
                for (device, threads) in
                    [(Device::cpu(), Threads::Pool), (Device::cpu_single_thread(), Threads::One)]
                {
                    for rows in [0, 1, 2, 5, 6, 7, 13, 30] {
                        let run = |w: Numbers<'_>, packed: &Packed| {
                            let (x, dy) = (&x[..rows * inputs], &dy[..rows * outputs]);
                            let (mut y, mut dx) = (vec![0.5; rows * outputs], vec![0.5; rows * inputs]);
                            let mut decoded = y.clone();
                            packed.forward(threads, x, &mut decoded, true, &mut Vec::new());
                            let (x, dy) = (View::Host(x), View::Host(dy));
                            forward(&device, shape(rows), x, w, ViewMut::Host(&mut y), true).unwrap();
                            backward_input(&device, shape(rows), dy, w, ViewMut::Host(&mut dx), true)
                                .unwrap();
                            (y, dx, decoded)
                        };
                        let rounded = run(View::Host(&w[..]).into(), &packed);
                        let needed = run(View::Host(&wide[..]).into(), &packed_wide);
                        assert!(rounded == needed, "{rows} rows of {inputs} x {outputs}, {layout:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_packed_product_is_rounded_to_the_size_of_what_it_is_added_to_but_once_for_each_run_of_inputs() {
        const LARGE: f32 = 20_000.0; // of which the last bit is 2^-9
        let (inputs, outputs) = (1536, 16);
        let (x, w) = (uniform("x", inputs), uniform("w", inputs * outputs));
        let shape = Shape { rows: 1, inputs, outputs, layout: WeightLayout::InOut };
        let mut y = vec![LARGE; outputs];
        let packed = Packed::new(Threads::One, shape, HostNumbers::Float32(&w));
        packed.forward(Threads::One, &x, &mut y, true, &mut Vec::new());
        let runs = inputs.div_ceil(packed::DEPTH);
        let bound = (runs as f32 * 0.5 + 0.1) / 512.0;
        for (y, needed) in y.iter().zip(exact(shape, &x, &w)) {
            let off = f64::from(*y) - f64::from(LARGE) - f64::from(needed);
            assert!(off.abs() <= f64::from(bound), "{off}, more than {bound}");
        }
    }

    #[test]
    fn a_wrong_length_is_named() {
        let shape = Shape { rows: 2, inputs: 3, outputs: 4, layout: WeightLayout::InOut };
        let error = forward(
            &Device::cpu(),
            shape,
            View::Host(&[0.0; 6]),
            View::Host(&[0.0; 11]),
            ViewMut::Host(&mut [0.0; 8]),
            false,
        )
        .unwrap_err();
        assert_eq!(error.to_string(), "product: `w` holds 11 numbers, 12 are needed");
    }
}
