//! What this machine can do: the rate of a large product, and that of a copy.

use rayon::prelude::*;
use serde_json::{Value, json};

use crate::Work;

/// Rows, columns and depth of the product: more than two levels of cache hold, less than the third.
const SIZE: usize = 1024;
/// Numbers copied: 256 MiB.
const COPIED: usize = 1 << 26;

pub(crate) struct Floor {
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
    from: Vec<f32>,
    to: Vec<f32>,
}

impl Floor {
    pub(crate) fn new() -> Self {
        let matrix = || vec![0.5; SIZE * SIZE];
        Self { a: matrix(), b: matrix(), c: matrix(), from: vec![1.0; COPIED], to: vec![0.0; COPIED] }
    }

    fn product(&mut self) {
        let parallelism = match rayon::current_num_threads() {
            1 => gemm::Parallelism::None,
            threads => gemm::Parallelism::Rayon(threads),
        };
        let (n, row) = (SIZE, SIZE as isize);
        let (a, b, c) = (self.a.as_ptr(), self.b.as_ptr(), self.c.as_mut_ptr());
        // SAFETY: each matrix has SIZE × SIZE numbers, row by row, and `c` is borrowed mutably.
        unsafe {
            gemm::gemm(
                n,
                n,
                n,
                c,
                1,
                row,
                false,
                a,
                1,
                row,
                b,
                1,
                row,
                0.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
        }
    }
}

impl Work for Floor {
    fn amount(&self) -> Value {
        json!({"threads": rayon::current_num_threads()})
    }

    /// Rates of the best of ten each: what the machine can do, and not what it did while somebody else used it.
    fn run(&mut self) -> Value {
        let best = |seconds: [f64; 10]| seconds.into_iter().fold(f64::INFINITY, f64::min);
        let timed = |work: &mut dyn FnMut()| {
            let begun = std::time::Instant::now();
            work();
            begun.elapsed().as_secs_f64()
        };
        let product = best([(); 10].map(|()| timed(&mut || self.product())));
        let chunk = COPIED / rayon::current_num_threads();
        let copy = best([(); 10].map(|()| {
            timed(&mut || {
                self.to
                    .par_chunks_mut(chunk)
                    .zip(self.from.par_chunks(chunk))
                    .for_each(|(to, from)| to.copy_from_slice(from));
            })
        }));
        json!({
            "gflops": 2.0 * (SIZE as f64).powi(3) / product * 1e-9,
            "copied_gb_per_second": 2.0 * 4.0 * COPIED as f64 / copy * 1e-9,
        })
    }
}
