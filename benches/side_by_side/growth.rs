//! How an update's time and memory grow with the number of rows and with their length.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Instant;

use pspo::model::Arch;
use pspo::model::Precision::Float32;
use serde_json::{Map, Value, json};

use crate::Work;
use crate::ops::{Ops, clock};
use crate::step::{LEN, Step};

/// Rows and their length: first more rows, then, beside the last, shorter and longer ones of as many tokens in all.
const SIZES: [(usize, usize); 9] = [
    (1, LEN),
    (2, LEN),
    (4, LEN),
    (8, LEN),
    (16, LEN),
    (32, LEN),
    (64, LEN / 2),
    (16, 2 * LEN),
    (8, 4 * LEN),
];

pub(crate) struct Growth<A: Arch> {
    folder: PathBuf,
    arch: PhantomData<A>,
}

impl<A: Arch> Growth<A> {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), arch: PhantomData }
    }
}

impl<A: Arch> Work for Growth<A> {
    fn amount(&self) -> Value {
        json!({"tokens": SIZES.iter().map(|(rows, len)| rows * len).sum::<usize>()})
    }

    /// For each size, microseconds per token of the update, of attention with rotary positions, and of the rest. The
    /// least of three.
    fn run(&mut self) -> Value {
        let sizes = SIZES.iter().filter(|(_, len)| *len <= A::DIMS.positions);
        let figures = sizes.map(|&(rows, len)| {
            let mut step = Step::<A>::new(&self.folder, rows, len, Float32);
            step.run();
            let least = (0..3).map(|_| {
                let begun = Instant::now();
                step.run();
                begun.elapsed().as_secs_f64()
            });
            let update = least.fold(f64::INFINITY, f64::min);
            drop(step);
            let mut ops = Map::new();
            Ops::new::<A>(rows, len).attention(&mut clock(&mut ops));
            let attention: f64 = ops.values().filter_map(Value::as_f64).sum();
            let per_token = |seconds: f64| seconds * 1e6 / (rows * len) as f64;
            json!({
                "rows": rows, "len": len, "update": per_token(update), "attention": per_token(attention),
                "rest": per_token(update - attention),
            })
        });
        json!({"per_token": figures.collect::<Vec<_>>()})
    }
}
