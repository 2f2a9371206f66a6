//! Products of few rows with a weight that is used again and again, as decoding has them: the weight lies as the
//! processor reads it, and its pass through memory is all the time that a product of one row takes.

use std::ops::Range;

use half::bf16;
use pulp::Simd;

use super::tile::{Left, PANEL, Pairs, Right, Tiled, multiply, multiply_pairs, tiled, with_rows};
use super::{Shape, WeightLayout};
use crate::kernels::vector::{SharedMut, for_each_task, spread};
use crate::kernels::{HostNumbers, Threads};

/// Inputs of a block, an even number: so much of a panel stays in the first cache while tile after tile is multiplied
/// with it.
pub(super) const DEPTH: usize = 256;
/// Panels of one task at least: fewer are not worth another thread's start.
const TASK: usize = 4;

/// A weight `[inputs, outputs]` in panels of [`PANEL`] columns, the last filled with zeros.
#[derive(Debug)]
pub(crate) struct Packed {
    panels: Panels,
    inputs: usize,
    outputs: usize,
}

#[derive(Debug)]
enum Panels {
    /// `[panels, inputs, PANEL]`
    Float32(Vec<f32>),
    /// In bfloat16, `[panels, pairs of inputs, PANEL]`: the words of [`Pairs`].
    Bfloat16(Vec<u32>),
}

impl Packed {
    /// The weight `w` of a product of that shape, whose rows do not matter.
    pub(crate) fn new(threads: Threads, shape: Shape, w: HostNumbers<'_>) -> Self {
        let Shape { inputs, outputs, .. } = shape;
        assert_eq!(w.len(), inputs * outputs, "a weight has as many numbers as its shape says");
        let panels = match w {
            HostNumbers::Float32(w) => Panels::Float32(panels(threads, outputs, inputs, |to, columns| {
                numbers(shape, w, to, columns)
            })),
            HostNumbers::Bfloat16(w) => {
                let pairs = inputs.div_ceil(2);
                Panels::Bfloat16(panels(threads, outputs, pairs, |to, columns| words(shape, w, to, columns)))
            }
        };
        Self { panels, inputs, outputs }
    }

    /// Columns of x.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// y = x W, or y += x W where `accumulate`, for x `[rows, inputs]` and y `[rows, outputs]`.
    ///
    /// Each number of y is summed in the order of the inputs, one multiplication and addition after another, by sums of
    /// [`DEPTH`] inputs that begin at 0 and are then added: had they begun at y, a residual of 20,000, as real models have at
    /// their first token, would round every product to its own last bit. So a row's numbers depend on that row alone, to
    /// the last bit, whatever the number of rows, threads or vector lanes.
    /// `scratch` is used for a copy of x.
    pub(crate) fn forward(
        &self,
        threads: Threads,
        x: &[f32],
        y: &mut [f32],
        accumulate: bool,
        scratch: &mut Vec<f32>,
    ) {
        let rows = x.len() / self.inputs;
        assert_eq!(x.len(), rows * self.inputs, "x has whole rows");
        assert_eq!(y.len(), rows * self.outputs, "y has as many rows as x");
        let tiles = Tiles { rows, inputs: self.inputs, most: tiled(RowsOfTile) };
        scratch.resize(x.len(), 0.0);
        tiles.pack(x, scratch);
        let (x, y): (&[f32], _) = (scratch, SharedMut::new(y));
        let panels = self.outputs.div_ceil(PANEL);
        let tasks = match threads {
            Threads::One => 1,
            Threads::Pool => rayon::current_num_threads().min(panels / TASK).max(1),
        };
        for_each_task(threads, tasks, |task| {
            let panels = task * panels / tasks..(task + 1) * panels / tasks;
            tiled(Part { packed: self, panels, tiles, x, y, accumulate });
        });
    }
}

/// The panels of so many columns, of `rows` rows each, which `fill` fills from the columns that it is given.
fn panels<T: Copy + Default + Send + Sync>(
    threads: Threads,
    columns: usize,
    rows: usize,
    fill: impl Fn(&mut [T], Range<usize>) + Send + Sync,
) -> Vec<T> {
    let count = columns.div_ceil(PANEL);
    let mut panels = vec![T::default(); count * rows * PANEL];
    let shared = SharedMut::new(&mut panels);
    for_each_task(threads, count, |panel| {
        // SAFETY: each task has a panel of its own.
        let to = unsafe { shared.slice(panel * rows * PANEL, rows * PANEL) };
        fill(to, panel * PANEL..columns.min((panel + 1) * PANEL));
    });
    panels
}

/// A panel of numbers.
fn numbers(shape: Shape, w: &[f32], to: &mut [f32], columns: Range<usize>) {
    let Shape { inputs, outputs, layout, .. } = shape;
    match layout {
        WeightLayout::InOut => {
            for (to, from) in to.chunks_exact_mut(PANEL).zip(w.chunks_exact(outputs)) {
                to[..columns.len()].copy_from_slice(&from[columns.clone()]);
            }
        }
        WeightLayout::OutIn => {
            let rows = w[columns.start * inputs..columns.end * inputs].chunks_exact(inputs);
            for (column, from) in rows.enumerate() {
                spread(from, &mut to[column..], PANEL);
            }
        }
    }
}

/// A panel of words, of two inputs each.
fn words(shape: Shape, w: &[bf16], to: &mut [u32], columns: Range<usize>) {
    let Shape { inputs, outputs, layout, .. } = shape;
    let word = |first: bf16, second: bf16| u32::from(second.to_bits()) << 16 | u32::from(first.to_bits());
    match layout {
        WeightLayout::InOut => {
            for (to, pair) in to.chunks_exact_mut(PANEL).zip(w.chunks(2 * outputs)) {
                let (first, second) = pair.split_at(outputs);
                for (place, column) in columns.clone().enumerate() {
                    to[place] = word(first[column], second.get(column).copied().unwrap_or_default());
                }
            }
        }
        WeightLayout::OutIn => {
            let rows = w[columns.start * inputs..columns.end * inputs].chunks_exact(inputs);
            for (column, from) in rows.enumerate() {
                for (to, pair) in to[column..].iter_mut().step_by(PANEL).zip(from.chunks(2)) {
                    *to = word(pair[0], pair.get(1).copied().unwrap_or_default());
                }
            }
        }
    }
}

/// How the rows of x are cut.
#[derive(Clone, Copy)]
struct Tiles {
    rows: usize,
    inputs: usize,
    most: usize,
}

impl Tiles {
    /// Of sizes that differ by one at most: a tile of few rows leaves multipliers idle.
    fn iter(self) -> impl Iterator<Item = Range<usize>> {
        let count = self.rows.div_ceil(self.most);
        (0..count).map(move |tile| tile * self.rows / count..(tile + 1) * self.rows / count)
    }

    /// Each tile's numbers in the order in which they are used: all rows of one input next to each other.
    fn pack(self, x: &[f32], to: &mut [f32]) {
        for rows in self.iter() {
            let (count, range) = (rows.len(), rows.start * self.inputs..rows.end * self.inputs);
            let to = &mut to[range.clone()];
            for (place, from) in x[range].chunks_exact(self.inputs).enumerate() {
                spread(from, &mut to[place..], count);
            }
        }
    }
}

/// How many rows of a panel's sums the registers hold.
struct RowsOfTile;

impl Tiled for RowsOfTile {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, _: S, most: usize) -> usize {
        most
    }
}

/// One task: the columns of some panels, for all rows.
struct Part<'a> {
    packed: &'a Packed,
    panels: Range<usize>,
    tiles: Tiles,
    x: &'a [f32],
    y: SharedMut<'a, f32>,
    accumulate: bool,
}

impl Tiled for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, simd: S, _: usize) {
        let Self { packed: &Packed { ref panels, inputs, outputs }, tiles, x, y, .. } = self;
        for start in (0..inputs).step_by(DEPTH) {
            let depth = DEPTH.min(inputs - start);
            let add = self.accumulate || start > 0;
            for panel in self.panels.clone() {
                let weights = panels.part(inputs, panel, start, depth);
                for rows in tiles.iter() {
                    let x = &x[rows.start * inputs + start * rows.len()..][..depth * rows.len()];
                    let place = Place { y, row: rows.start, outputs, column: panel * PANEL, add };
                    with_rows!(rows.len(), R => place.tile::<S, R, V>(simd, x, weights));
                }
            }
        }
    }
}

/// The weights of a panel for some inputs.
#[derive(Clone, Copy)]
enum Weights<'a> {
    Float32(&'a [f32]),
    Bfloat16(&'a [u32]),
}

impl Panels {
    /// The weights of `panel` for `depth` inputs from `start` on, which is even.
    #[inline(always)]
    fn part(&self, inputs: usize, panel: usize, start: usize, depth: usize) -> Weights<'_> {
        match self {
            Self::Float32(panels) => {
                Weights::Float32(&panels[(panel * inputs + start) * PANEL..][..depth * PANEL])
            }
            Self::Bfloat16(panels) => {
                let first = (panel * inputs.div_ceil(2) + start / 2) * PANEL;
                Weights::Bfloat16(&panels[first..][..depth.div_ceil(2) * PANEL])
            }
        }
    }
}

/// Where a tile's results go: rows from `row`, columns from `column`.
struct Place<'a> {
    y: SharedMut<'a, f32>,
    row: usize,
    outputs: usize,
    column: usize,
    add: bool,
}

impl Place<'_> {
    /// The product of x `[depth, R]` with weights of a panel.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(self, simd: S, x: &[f32], weights: Weights<'_>) {
        let Self { y, row, outputs, column, add } = self;
        let width = PANEL.min(outputs - column);
        // SAFETY: the task alone has these columns, and takes one tile after another.
        let of_row = |r: usize| unsafe { y.slice((row + r) * outputs + column, width) };
        let mut sums = [[0.0; PANEL]; R];
        let (depth, a) = (x.len() / R, Left { data: x.as_ptr(), row: 1, input: R });
        assert_eq!(x.len(), depth * R, "whole inputs of x");
        match weights {
            Weights::Float32(weights) => {
                assert_eq!(weights.len(), depth * PANEL, "as many inputs of both");
                let b = Right { data: weights.as_ptr(), input: PANEL };
                // SAFETY: x has R numbers for each input, and the weights PANEL, by the assertions.
                unsafe { multiply::<S, R, V>(simd, depth, a, b, &mut sums) };
            }
            Weights::Bfloat16(weights) => {
                assert_eq!(weights.len(), depth.div_ceil(2) * PANEL, "as many inputs of both");
                let b = Pairs { data: weights.as_ptr(), pair: PANEL };
                // SAFETY: as above, with PANEL words for each pair of inputs.
                unsafe { multiply_pairs::<S, R, V>(simd, depth, a, b, &mut sums) };
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            // A copy of a length that the compiler knows is two instructions, and any other a call.
            match of_row(r).as_mut_array::<PANEL>() {
                Some(whole) if add => whole.iter_mut().zip(sums).for_each(|(y, sum)| *y += sum),
                Some(whole) => *whole = *sums,
                None if add => of_row(r).iter_mut().zip(sums).for_each(|(y, sum)| *y += sum),
                None => of_row(r).copy_from_slice(&sums[..width]),
            }
        }
    }
}
