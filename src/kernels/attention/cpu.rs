//! Attention on the CPU: one task per row and key/value head. Tiles of a few queries meet blocks of keys, so that
//! next to nothing is computed of what the mask hides, and a tile's scores stay in the first cache.
//!
//! A task copies its head's keys, values and queries, so that they follow one another and columns fill whole blocks:
//! "padded" below means a length rounded up to [`PANEL`], with zeros.

use std::cell::Cell;
use std::ops::Range;

use pulp::Simd;

use super::Heads;
use crate::kernels::Threads;
use crate::kernels::product::{Left, PANEL, Right, Tiled, multiply, tiled, with_rows};
use crate::kernels::vector::{SharedMut, exp, for_each_task, max, spread, sum, sum2};

/// Queries whose gradients are summed up for keys and values at a time; a multiple of all sizes of tiles.
const BLOCK: usize = 60;

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

/// What a task of one thread computes in. It is taken while a task runs, and so is nobody else's.
#[derive(Default)]
struct Scratch {
    /// Keys in blocks `[padded len / PANEL, size, PANEL]`, and values for the gradient.
    key_blocks: Vec<f32>,
    value_blocks: Vec<f32>,
    /// Queries, keys, values and the gradient of a head's result, `[len, padded size]` each.
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    d_out: Vec<f32>,
    /// Gradients of keys and values, as these.
    d_k: Vec<f32>,
    d_v: Vec<f32>,
    /// Weights of some queries `[queries, padded len]`, and the gradient of their scores.
    p: Vec<f32>,
    d_s: Vec<f32>,
}

/// The part of `values` for `len` numbers, made longer where it must be; what it holds is anything.
fn room(values: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if values.len() < len {
        values.resize(len, 0.0);
    }
    &mut values[..len]
}

/// One row of tokens and one key/value head of it.
#[derive(Clone, Copy)]
struct Task<'a> {
    heads: Heads,
    key_head: usize,
    /// The row's first token, and its qkv.
    first: usize,
    qkv: &'a [f32],
}

impl<'a> Task<'a> {
    /// Longest rows first, so that the last task to end is a short one.
    fn all(heads: Heads, rows: &[Range<usize>], qkv: &'a [f32]) -> Vec<Self> {
        let width = heads.qkv_width();
        let of_row = |row: &Range<usize>| {
            let (first, qkv) = (row.start, &qkv[row.start * width..row.end * width]);
            (0..heads.keys).map(move |key_head| Self { heads, key_head, first, qkv })
        };
        let mut tasks: Vec<_> = rows.iter().flat_map(of_row).collect();
        tasks.sort_by_key(|task| std::cmp::Reverse(task.qkv.len()));
        tasks
    }

    fn len(&self) -> usize {
        self.qkv.len() / self.heads.qkv_width()
    }

    fn padded_size(&self) -> usize {
        self.heads.size.next_multiple_of(PANEL)
    }

    /// The heads of queries that share the keys.
    fn queries(&self) -> Range<usize> {
        self.key_head * self.heads.group()..(self.key_head + 1) * self.heads.group()
    }

    /// The columns of qkv that a query head, the keys or the values have.
    fn query_columns(&self, head: usize) -> usize {
        head * self.heads.size
    }

    fn key_columns(&self) -> usize {
        (self.heads.queries + self.key_head) * self.heads.size
    }

    fn value_columns(&self) -> usize {
        (self.heads.queries + self.heads.keys + self.key_head) * self.heads.size
    }
}

/// Copies the columns of a head out of rows of `width` numbers: to `[rows, padded size]`.
#[inline(always)]
fn copy_padded(from: &[f32], width: usize, column: usize, size: usize, to: &mut [f32]) {
    for (to, from) in to.chunks_exact_mut(size.next_multiple_of(PANEL)).zip(from.chunks_exact(width)) {
        to[..size].copy_from_slice(&from[column..column + size]);
        to[size..].fill(0.0);
    }
}

/// The same columns in blocks `[padded rows / PANEL, size, PANEL]`.
#[inline(always)]
fn copy_blocks(from: &[f32], width: usize, column: usize, size: usize, to: &mut [f32]) {
    for (to, rows) in to.chunks_exact_mut(size * PANEL).zip(from.chunks(width * PANEL)) {
        if rows.len() < width * PANEL {
            to.fill(0.0);
        }
        for (place, from) in rows.chunks_exact(width).enumerate() {
            spread(&from[column..column + size], &mut to[place..], PANEL);
        }
    }
}

/// The product of `R` rows that lie `row` apart, of `depth` numbers, with a matrix of [`PANEL`] columns.
#[inline(always)]
fn of_rows<S: Simd, const R: usize, const V: usize>(
    simd: S,
    (a, row): (&[f32], usize),
    depth: usize,
    (b, input): (&[f32], usize),
) -> [[f32; PANEL]; R] {
    let mut sums = [[0.0; PANEL]; R];
    if depth > 0 {
        assert!((R - 1) * row + depth <= a.len(), "the rows lie within their matrix");
        assert!((depth - 1) * input + PANEL <= b.len(), "the columns lie within their matrix");
        let (a, b) = (Left { data: a.as_ptr(), row, input: 1 }, Right { data: b.as_ptr(), input });
        // SAFETY: all that is read lies within the slices, by the assertions.
        unsafe { multiply::<S, R, V>(simd, depth, a, b, &mut sums) };
    }
    sums
}

/// Adds the product of `R` columns of a matrix of rows `row` apart with a matrix of [`PANEL`] columns, over as many
/// rows as the two have, to a result whose rows are `input` apart, as those of the right matrix are.
#[inline(always)]
fn add_of_columns<S: Simd, const R: usize, const V: usize>(
    simd: S,
    depth: usize,
    (a, row): (&[f32], usize),
    (b, input): (&[f32], usize),
    to: &mut [f32],
) {
    let mut sums = [[0.0; PANEL]; R];
    for (r, sums) in sums.iter_mut().enumerate() {
        sums.copy_from_slice(&to[r * input..][..PANEL]);
    }
    if depth > 0 {
        assert!((depth - 1) * row + R <= a.len(), "the columns lie within their matrix");
        assert!((depth - 1) * input + PANEL <= b.len(), "the columns lie within their matrix");
        let (a, b) = (Left { data: a.as_ptr(), row: 1, input: row }, Right { data: b.as_ptr(), input });
        // SAFETY: all that is read lies within the slices, by the assertions.
        unsafe { multiply::<S, R, V>(simd, depth, a, b, &mut sums) };
    }
    for (r, sums) in sums.iter().enumerate() {
        to[r * input..][..PANEL].copy_from_slice(sums);
    }
}

pub(super) fn forward(
    threads: Threads,
    heads: Heads,
    rows: &[Range<usize>],
    qkv: &[f32],
    out: &mut [f32],
    log_sum: &mut [f32],
) {
    let tasks = Task::all(heads, rows, qkv);
    let (out, log_sum) = (SharedMut::new(out), SharedMut::new(log_sum));
    for_each_task(threads, tasks.len(), |task| {
        let mut scratch = SCRATCH.take();
        tiled(Forward { task: tasks[task], out, log_sum, scratch: &mut scratch });
        SCRATCH.set(scratch);
    });
}

struct Forward<'a> {
    task: Task<'a>,
    out: SharedMut<'a, f32>,
    log_sum: SharedMut<'a, f32>,
    scratch: &'a mut Scratch,
}

impl Tiled for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, simd: S, most: usize) {
        let Self { task, out, log_sum, scratch } = self;
        let (len, size, padded_size) = (task.len(), task.heads.size, task.padded_size());
        let width = task.heads.qkv_width();
        let key_blocks = room(&mut scratch.key_blocks, len.next_multiple_of(PANEL) * size);
        let v = room(&mut scratch.v, len * padded_size);
        let scores = room(&mut scratch.p, most * len.next_multiple_of(PANEL));
        copy_blocks(task.qkv, width, task.key_columns(), size, key_blocks);
        copy_padded(task.qkv, width, task.value_columns(), size, v);
        for head in task.queries() {
            for start in (0..len).step_by(most) {
                let tile = ForwardTile { task, head, start, key_blocks, v, out, log_sum };
                with_rows!(most.min(len - start), R => tile.run::<S, R, V>(simd, scores));
            }
        }
    }
}

/// A few queries of one head.
#[derive(Clone, Copy)]
struct ForwardTile<'a> {
    task: Task<'a>,
    head: usize,
    start: usize,
    key_blocks: &'a [f32],
    v: &'a [f32],
    out: SharedMut<'a, f32>,
    log_sum: SharedMut<'a, f32>,
}

impl ForwardTile<'_> {
    #[inline(always)]
    fn run<S: Simd, const R: usize, const V: usize>(self, simd: S, scores: &mut [f32]) {
        let Self { task, head, start, key_blocks, v, .. } = self;
        let Heads { queries, size, .. } = task.heads;
        let (width, scale, padded_size) = (task.heads.qkv_width(), task.heads.scale(), task.padded_size());
        let seen = start + R; // by the last of the queries
        let padded = task.len().next_multiple_of(PANEL);
        let q = (&task.qkv[start * width + task.query_columns(head)..], width);
        for (block, keys) in key_blocks.chunks_exact(size * PANEL).take(seen.div_ceil(PANEL)).enumerate() {
            let sums = of_rows::<S, R, V>(simd, q, size, (keys, PANEL));
            for (r, sums) in sums.iter().enumerate() {
                scores[r * padded + block * PANEL..][..PANEL].copy_from_slice(sums);
            }
        }
        let mut inverse = [0.0; R];
        for (r, inverse) in inverse.iter_mut().enumerate() {
            let (of_query, masked) = scores[r * padded..r * padded + seen].split_at_mut(start + r + 1);
            masked.fill(0.0);
            let top = max(of_query) * scale;
            for s in of_query.iter_mut() {
                *s = exp(*s * scale - top);
            }
            let total = sum(of_query, |p| p);
            *inverse = 1.0 / total;
            // SAFETY: one number per query and head, and the task alone has both.
            let kept = unsafe { self.log_sum.slice((task.first + start + r) * queries + head, 1) };
            kept[0] = top + total.ln();
        }
        for column in (0..size).step_by(PANEL) {
            let sums = of_rows::<S, R, V>(simd, (scores, padded), seen, (&v[column..], padded_size));
            let columns = PANEL.min(size - column);
            for (r, (sums, inverse)) in sums.iter().zip(inverse).enumerate() {
                let place = ((task.first + start + r) * queries + head) * size + column;
                // SAFETY: the task alone has these columns of its row.
                let out = unsafe { self.out.slice(place, columns) };
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out = sum * inverse;
                }
            }
        }
    }
}

pub(super) fn backward(
    threads: Threads,
    heads: Heads,
    rows: &[Range<usize>],
    qkv: &[f32],
    out: &[f32],
    log_sum: &[f32],
    d_out: &[f32],
    d_qkv: &mut [f32],
) {
    let tasks = Task::all(heads, rows, qkv);
    let d_qkv = SharedMut::new(d_qkv);
    for_each_task(threads, tasks.len(), |task| {
        let mut scratch = SCRATCH.take();
        tiled(Backward { task: tasks[task], out, log_sum, d_out, d_qkv, scratch: &mut scratch });
        SCRATCH.set(scratch);
    });
}

struct Backward<'a> {
    task: Task<'a>,
    out: &'a [f32],
    log_sum: &'a [f32],
    d_out: &'a [f32],
    d_qkv: SharedMut<'a, f32>,
    scratch: &'a mut Scratch,
}

impl Tiled for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, simd: S, most: usize) {
        let Self { task, out, log_sum, d_out, d_qkv, scratch } = self;
        let Heads { queries, size, .. } = task.heads;
        let (len, padded_size, width) = (task.len(), task.padded_size(), task.heads.qkv_width());
        let out_width = task.heads.out_width();
        let padded = len.next_multiple_of(PANEL);
        let rows = task.first * out_width..(task.first + len) * out_width;
        let (out, d_out) = (&out[rows.clone()], &d_out[rows]);
        let log_sum = &log_sum[task.first * queries..(task.first + len) * queries];
        let key_blocks = room(&mut scratch.key_blocks, padded * size);
        let value_blocks = room(&mut scratch.value_blocks, padded * size);
        let [k, q, head_d_out, d_k, d_v] =
            [&mut scratch.k, &mut scratch.q, &mut scratch.d_out, &mut scratch.d_k, &mut scratch.d_v]
                .map(|values| room(values, len * padded_size));
        let (p, d_s) = (room(&mut scratch.p, BLOCK * padded), room(&mut scratch.d_s, BLOCK * padded));
        copy_blocks(task.qkv, width, task.key_columns(), size, key_blocks);
        copy_blocks(task.qkv, width, task.value_columns(), size, value_blocks);
        copy_padded(task.qkv, width, task.key_columns(), size, k);
        d_k.fill(0.0);
        d_v.fill(0.0);
        for head in task.queries() {
            copy_padded(task.qkv, width, task.query_columns(head), size, q);
            copy_padded(d_out, out_width, head * size, size, head_d_out);
            for start in (0..len).step_by(BLOCK) {
                let end = len.min(start + BLOCK);
                for first in (start..end).step_by(most) {
                    let place = first * out_width + head * size;
                    let tile = BackwardTile {
                        task,
                        head,
                        first,
                        end: end.next_multiple_of(PANEL),
                        q,
                        k,
                        d_out: head_d_out,
                        key_blocks,
                        value_blocks,
                        out: (&out[place..], &d_out[place..]),
                        log_sum: &log_sum[first * queries + head..],
                        d_qkv,
                    };
                    let within = (first - start) * padded;
                    let (p, d_s) = (&mut p[within..], &mut d_s[within..]);
                    with_rows!(most.min(end - first), R => tile.run::<S, R, V>(simd, p, d_s));
                }
                // Of keys and values: what the queries from themselves on make of them.
                for key in (0..end).step_by(most) {
                    let from = start.max(key);
                    let (depth, skipped) = (end - from, (from - start) * padded + key);
                    let (p, d_s) = ((&p[skipped..], padded), (&d_s[skipped..], padded));
                    for column in (0..padded_size).step_by(PANEL) {
                        let (to, right) = (key * padded_size + column, from * padded_size + column);
                        let (q, d_o) = ((&q[right..], padded_size), (&head_d_out[right..], padded_size));
                        with_rows!(most.min(end - key), R => {
                            add_of_columns::<S, R, V>(simd, depth, d_s, q, &mut d_k[to..]);
                            add_of_columns::<S, R, V>(simd, depth, p, d_o, &mut d_v[to..]);
                        });
                    }
                }
            }
        }
        for (columns, from) in [(task.key_columns(), d_k), (task.value_columns(), d_v)] {
            for (token, from) in from.chunks_exact(padded_size).enumerate() {
                // SAFETY: the task alone has these columns of its row.
                let to = unsafe { d_qkv.slice((task.first + token) * width + columns, size) };
                to.copy_from_slice(&from[..size]);
            }
        }
    }
}

/// A few queries of one head.
struct BackwardTile<'a> {
    task: Task<'a>,
    head: usize,
    first: usize,
    /// The keys that the block's last query sees, padded: so far the rows of p and ds are read.
    end: usize,
    q: &'a [f32],
    k: &'a [f32],
    d_out: &'a [f32],
    key_blocks: &'a [f32],
    value_blocks: &'a [f32],
    /// The result and its gradient from the first query's columns on.
    out: (&'a [f32], &'a [f32]),
    log_sum: &'a [f32],
    d_qkv: SharedMut<'a, f32>,
}

impl BackwardTile<'_> {
    /// Writes the rows of p and ds, and the gradient of the queries.
    #[inline(always)]
    fn run<S: Simd, const R: usize, const V: usize>(self, simd: S, p: &mut [f32], d_s: &mut [f32]) {
        let Self { task, head, first, k, key_blocks, value_blocks, log_sum, .. } = self;
        let Heads { queries, size, .. } = task.heads;
        let (scale, padded_size) = (task.heads.scale(), task.padded_size());
        let padded = task.len().next_multiple_of(PANEL);
        let mut dots = [0.0; R];
        let mut kept = [0.0; R];
        for (r, (dot, kept)) in dots.iter_mut().zip(&mut kept).enumerate() {
            let columns = r * task.heads.out_width()..r * task.heads.out_width() + size;
            *dot = sum2(&self.out.0[columns.clone()], &self.out.1[columns], |a, b| a * b);
            *kept = log_sum[r * queries];
        }
        let q = (&self.q[first * padded_size..], padded_size);
        let d_out = (&self.d_out[first * padded_size..], padded_size);
        let seen = first + R; // by the last of the queries
        let blocks = key_blocks.chunks_exact(size * PANEL).zip(value_blocks.chunks_exact(size * PANEL));
        for (block, (keys, values)) in blocks.take(seen.div_ceil(PANEL)).enumerate() {
            let scores = of_rows::<S, R, V>(simd, q, size, (keys, PANEL));
            let d_p = of_rows::<S, R, V>(simd, d_out, size, (values, PANEL));
            for r in 0..R {
                let place = r * padded + block * PANEL;
                let p: &mut [f32; PANEL] = (&mut p[place..][..PANEL]).try_into().expect("of that length");
                let d_s: &mut [f32; PANEL] = (&mut d_s[place..][..PANEL]).try_into().expect("of that length");
                for j in 0..PANEL {
                    p[j] = exp(scores[r][j] * scale - kept[r]);
                    d_s[j] = p[j] * (d_p[r][j] - dots[r]) * scale;
                }
                let visible = (first + r + 1).saturating_sub(block * PANEL);
                if visible < PANEL {
                    p[visible..].fill(0.0);
                    d_s[visible..].fill(0.0);
                }
            }
        }
        for r in 0..R {
            let unseen = r * padded + seen.next_multiple_of(PANEL)..r * padded + self.end;
            p[unseen.clone()].fill(0.0);
            d_s[unseen].fill(0.0);
        }
        for column in (0..size).step_by(PANEL) {
            let sums = of_rows::<S, R, V>(simd, (d_s, padded), seen, (&k[column..], padded_size));
            let columns = PANEL.min(size - column);
            for (r, sums) in sums.iter().enumerate() {
                let place =
                    (task.first + first + r) * task.heads.qkv_width() + task.query_columns(head) + column;
                // SAFETY: the task alone has these columns of its row.
                let to = unsafe { self.d_qkv.slice(place, columns) };
                to.copy_from_slice(&sums[..columns]);
            }
        }
    }
}
