//! Products of few rows with a weight that is used again and again, as decoding has them: the weight lies as the
//! processor reads it, and its pass through memory is all the time that a product of one row takes.

use std::ops::Range;

use pulp::Simd;

use super::tile::{Left, PANEL, Right, Tiled, multiply, tiled, with_rows};
use super::{Shape, WeightLayout};
use crate::kernels::Threads;
use crate::kernels::vector::{SharedMut, for_each_task, spread};

/// Inputs of a block: so much of a panel stays in the first cache while tile after tile is multiplied with it.
pub(super) const DEPTH: usize = 256;
/// Panels of one task at least: fewer are not worth another thread's start.
const TASK: usize = 4;

/// A weight `[inputs, outputs]` in panels of [`PANEL`] columns, `[panels, inputs, PANEL]`, the last filled with zeros.
#[derive(Debug)]
pub(crate) struct Packed {
    panels: Vec<f32>,
    inputs: usize,
    outputs: usize,
}

impl Packed {
    /// The weight `w` of a product of that shape, whose rows do not matter.
    pub(crate) fn new(threads: Threads, shape: Shape, w: &[f32]) -> Self {
        let Shape { inputs, outputs, layout, .. } = shape;
        assert_eq!(w.len(), inputs * outputs, "a weight has as many numbers as its shape says");
        let mut panels = vec![0.0; outputs.div_ceil(PANEL) * inputs * PANEL];
        let shared = SharedMut::new(&mut panels);
        for_each_task(threads, outputs.div_ceil(PANEL), |panel| {
            // SAFETY: each task has a panel of its own.
            let to = unsafe { shared.slice(panel * inputs * PANEL, inputs * PANEL) };
            let columns = panel * PANEL..outputs.min((panel + 1) * PANEL);
            match layout {
                WeightLayout::InOut => {
                    for (to, from) in to.chunks_exact_mut(PANEL).zip(w.chunks_exact(outputs)) {
                        to[..columns.len()].copy_from_slice(&from[columns.clone()]);
                    }
                }
                WeightLayout::OutIn => {
                    for (column, from) in
                        w[columns.start * inputs..columns.end * inputs].chunks_exact(inputs).enumerate()
                    {
                        spread(from, &mut to[column..], PANEL);
                    }
                }
            }
        });
        Self { panels, inputs, outputs }
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
                let weights = &panels[(panel * inputs + start) * PANEL..][..depth * PANEL];
                for rows in tiles.iter() {
                    let x = &x[rows.start * inputs + start * rows.len()..][..depth * rows.len()];
                    let place = Place { y, row: rows.start, outputs, column: panel * PANEL, add };
                    with_rows!(rows.len(), R => place.tile::<S, R, V>(simd, x, weights));
                }
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
    /// The product of x `[depth, R]` with weights `[depth, PANEL]`.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(self, simd: S, x: &[f32], weights: &[f32]) {
        let Self { y, row, outputs, column, add } = self;
        let width = PANEL.min(outputs - column);
        // SAFETY: the task alone has these columns, and takes one tile after another.
        let of_row = |r: usize| unsafe { y.slice((row + r) * outputs + column, width) };
        let mut sums = [[0.0; PANEL]; R];
        let (a, b) =
            (Left { data: x.as_ptr(), row: 1, input: R }, Right { data: weights.as_ptr(), input: PANEL });
        assert!(x.len() == x.len() / R * R && weights.len() == x.len() / R * PANEL, "as many inputs of both");
        // SAFETY: x has R numbers for each input, and the weights PANEL, by the assertion.
        unsafe { multiply::<S, R, V>(simd, x.len() / R, a, b, &mut sums) };
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
