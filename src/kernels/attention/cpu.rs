//! Attention on the CPU: one task per row and key/value head, blocks of queries against the keys up to
//! them, so that masked blocks are never computed.

use std::cell::RefCell;
use std::ops::Range;

use super::Heads;
use crate::kernels::Threads;
use crate::kernels::product::{Matrix, gemm_at};
use crate::kernels::vector::{SharedMut, exp, for_each_task, max, sum, sum2, vectorized};

/// Queries of one block.
const BLOCK: usize = 64;

thread_local! {
    /// Scores of one block of queries, and their gradient.
    static SCRATCH: RefCell<(Vec<f32>, Vec<f32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

fn with_scratch<R>(len: usize, f: impl FnOnce(&mut [f32], &mut [f32]) -> R) -> R {
    SCRATCH.with_borrow_mut(|(a, b)| {
        if a.len() < len {
            a.resize(len, 0.0);
            b.resize(len, 0.0);
        }
        f(&mut a[..len], &mut b[..len])
    })
}

/// Addresses within one row of `qkv`.
#[derive(Clone, Copy)]
struct Places {
    width: usize,
    key: usize,
    value: usize,
}

impl Places {
    fn new(heads: Heads, key_head: usize) -> Self {
        let Heads { queries, keys, size } = heads;
        Self {
            width: heads.qkv_width(),
            key: (queries + key_head) * size,
            value: (queries + keys + key_head) * size,
        }
    }
}

/// Longest rows first, so that the last task to end is a short one.
fn tasks(heads: Heads, rows: &[Range<usize>]) -> Vec<(Range<usize>, usize)> {
    let mut tasks: Vec<_> =
        rows.iter().flat_map(|row| (0..heads.keys).map(move |head| (row.clone(), head))).collect();
    tasks.sort_by_key(|(row, _)| std::cmp::Reverse(row.len()));
    tasks
}

pub(super) fn forward(
    threads: Threads,
    heads: Heads,
    rows: &[Range<usize>],
    qkv: &[f32],
    out: &mut [f32],
    log_sum: &mut [f32],
) {
    let (size, out_width) = (heads.size, heads.out_width());
    let tasks = tasks(heads, rows);
    let (out, log_sum) = (SharedMut::new(out), SharedMut::new(log_sum));
    for_each_task(threads, tasks.len(), |task| {
        let (row, key_head) = &tasks[task];
        let places = Places::new(heads, *key_head);
        let len = row.len();
        let first = &qkv[row.start * places.width..row.end * places.width];
        with_scratch(BLOCK.min(len) * len, |scores, _| {
            for head in key_head * heads.group()..(key_head + 1) * heads.group() {
                for start in (0..len).step_by(BLOCK) {
                    let (m, n) = (BLOCK.min(len - start), len.min(start + BLOCK));
                    score(heads, places, first, head, start, scores);
                    vectorized!({
                        for r in 0..m {
                            let row_scores = &mut scores[r * len..r * len + n];
                            let (seen, masked) = row_scores.split_at_mut(start + r + 1);
                            masked.fill(0.0);
                            let top = max(seen) * heads.scale();
                            for s in seen.iter_mut() {
                                *s = exp(*s * heads.scale() - top);
                            }
                            let total = sum(seen, |p| p);
                            for p in seen.iter_mut() {
                                *p /= total;
                            }
                            // SAFETY: one number per query and head, and the task alone has both.
                            let kept =
                                unsafe { log_sum.slice((row.start + start + r) * heads.queries + head, 1) };
                            kept[0] = top + total.ln();
                        }
                    });
                    let p = Matrix::rows(scores.as_ptr(), len);
                    let v = Matrix { data: first[places.value..].as_ptr(), row: places.width, column: 1 };
                    let o = Matrix {
                        data: out.at((row.start + start) * out_width + head * size),
                        row: out_width,
                        column: 1,
                    };
                    // SAFETY: p lies in the scratch, v in the row, and o in the columns of this head,
                    // which the task alone writes.
                    unsafe { gemm_at(Threads::One, (m, size, n), o, false, p, v) };
                }
            }
        });
    });
}

/// q kᵀ of the block of queries that begins at `start`, not yet scaled; `row` is the row's qkv.
fn score(heads: Heads, places: Places, row: &[f32], head: usize, start: usize, scores: &mut [f32]) {
    let len = row.len() / places.width;
    let (m, n) = (BLOCK.min(len - start), len.min(start + BLOCK));
    let q = Matrix {
        data: row[start * places.width + head * heads.size..].as_ptr(),
        row: places.width,
        column: 1,
    };
    let k = Matrix { data: row[places.key..].as_ptr(), row: places.width, column: 1 };
    let s = Matrix::rows(scores.as_mut_ptr(), len);
    // SAFETY: q and k lie in the row; s has `m` rows of `n` ≤ `len` numbers in the scratch.
    unsafe { gemm_at(Threads::One, (m, n, heads.size), s, false, q, k.transposed()) };
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
    let (size, out_width, scale) = (heads.size, heads.out_width(), heads.scale());
    let tasks = tasks(heads, rows);
    let d_qkv = SharedMut::new(d_qkv);
    for_each_task(threads, tasks.len(), |task| {
        let (row, key_head) = &tasks[task];
        let places = Places::new(heads, *key_head);
        let len = row.len();
        let first = &qkv[row.start * places.width..row.end * places.width];
        let gradient = |place: usize| Matrix {
            data: d_qkv.at(row.start * places.width + place),
            row: places.width,
            column: 1,
        };
        with_scratch(BLOCK.min(len) * len, |p, ds| {
            let mut written = false; // whether dk and dv hold this task's numbers yet
            for head in key_head * heads.group()..(key_head + 1) * heads.group() {
                // The last block sees all keys, so it comes first and writes dk and dv whole.
                for start in (0..len).step_by(BLOCK).rev() {
                    let (m, n) = (BLOCK.min(len - start), len.min(start + BLOCK));
                    let query = start * places.width + head * size;
                    let place = (row.start + start) * out_width + head * size;
                    let d_o = Matrix { data: d_out[place..].as_ptr(), row: out_width, column: 1 };
                    let v = Matrix { data: first[places.value..].as_ptr(), row: places.width, column: 1 };
                    let q = Matrix { data: first[query..].as_ptr(), row: places.width, column: 1 };
                    let k = Matrix { data: first[places.key..].as_ptr(), row: places.width, column: 1 };
                    score(heads, places, first, head, start, p);
                    // SAFETY: d_o and v lie in the row; ds has `m` rows of `n` ≤ `len` in the scratch.
                    unsafe {
                        let ds = Matrix::rows(ds.as_mut_ptr(), len);
                        gemm_at(Threads::One, (m, n, size), ds, false, d_o, v.transposed());
                    }
                    vectorized!({
                        for r in 0..m {
                            let at = place + r * out_width;
                            let dot = sum2(&out[at..at + size], &d_out[at..at + size], |a, b| a * b);
                            let kept = log_sum[(row.start + start + r) * heads.queries + head];
                            let (p, masked) = p[r * len..r * len + n].split_at_mut(start + r + 1);
                            let (ds, ds_masked) = ds[r * len..r * len + n].split_at_mut(start + r + 1);
                            masked.fill(0.0);
                            ds_masked.fill(0.0);
                            for (p, ds) in p.iter_mut().zip(ds) {
                                *p = exp(*p * scale - kept);
                                *ds = *p * (*ds - dot) * scale;
                            }
                        }
                    });
                    let p = Matrix::rows(p.as_ptr(), len);
                    let ds = Matrix::rows(ds.as_ptr(), len);
                    // SAFETY: p and ds lie in the scratch, the others in the row; the task alone writes
                    // the columns of this query head and of its key and value head.
                    unsafe {
                        gemm_at(Threads::One, (m, size, n), gradient(query), false, ds, k);
                        gemm_at(
                            Threads::One,
                            (n, size, m),
                            gradient(places.key),
                            written,
                            ds.transposed(),
                            q,
                        );
                        gemm_at(
                            Threads::One,
                            (n, size, m),
                            gradient(places.value),
                            written,
                            p.transposed(),
                            d_o,
                        );
                    }
                    written = true;
                }
            }
        });
    });
}
