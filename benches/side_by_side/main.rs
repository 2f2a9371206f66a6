//! One piece of work at a time, for a script that runs other systems on the same one (`benches/peers/trunk.py`).
//!
//! `cargo bench --bench side_by_side -- WORK SHAPE FOLDER` prepares the work, writes to the folder what a peer needs for
//! the same (weights, tokens), and prints a line of JSON that says how much there is to do. Then it does the work once
//! for each line that it reads, and prints a line of JSON with seconds by the clock, processor seconds and what came
//! out. `RAYON_NUM_THREADS` sets the threads.
//!
//! | work | |
//! |---|---|
//! | `floor` | a large product by the `gemm` crate, and a copy of more than the caches hold |
//! | `step` | PPO's update of a policy: log-probabilities, entropy, loss, backward pass, AdamW |
//! | `ops` | each op of that update by itself, for all layers |
//! | `growth` | that update on more and on longer rows |
//! | `decode`, `decode-1` | responses to 32 prompts or to one |
//! | `step-bf16`, `decode-bf16`, `decode-1-bf16` | the same with matrices in bfloat16 |
//! | `iteration` | those responses, reference and critic passes, an epoch over policy and critic |

mod decode;
mod floor;
mod growth;
mod iteration;
mod ops;
mod shapes;
mod step;

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use pspo::model::Precision::{Bfloat16, Float32};
use serde_json::{Map, Value, json};

/// A piece of work that can be done again and again.
pub(crate) trait Work {
    /// How much there is to do: `tokens`, `flop`, `bytes`.
    fn amount(&self) -> Value;

    /// Does it once, and says what came out.
    fn run(&mut self) -> Value;
}

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [work, shape, folder] = arguments.as_slice() else {
        // `cargo bench` and `cargo test --benches` run every bench: without arguments this one has nothing to do.
        eprintln!("side_by_side: give WORK SHAPE FOLDER; benches/peers/trunk.py does");
        return;
    };
    let folder = PathBuf::from(folder);
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let mut work = prepare(work, shape, &folder);
    say(work.amount());
    for line in std::io::stdin().lock().lines() {
        if line.expect("whoever asks writes lines").is_empty() {
            break;
        }
        let (begun, cpu) = (Instant::now(), processor_seconds());
        let out = work.run();
        let mut figures = Map::from_iter([
            ("seconds".to_owned(), json!(begun.elapsed().as_secs_f64())),
            ("cpu_seconds".to_owned(), json!(processor_seconds() - cpu)),
        ]);
        figures.extend(out.as_object().cloned().unwrap_or_default());
        say(figures.into());
    }
}

fn prepare(work: &str, shape: &str, folder: &Path) -> Box<dyn Work> {
    match (work, shape) {
        ("floor", _) => Box::new(floor::Floor::new()),
        (_, "128") => of_shape::<shapes::Width128>(work, folder),
        (_, "256") => of_shape::<shapes::Width256>(work, folder),
        (_, "576") => of_shape::<shapes::Width576>(work, folder),
        _ => panic!("`{shape}` is no shape: it must be 128, 256 or 576"),
    }
}

fn of_shape<A: pspo::model::Arch>(work: &str, folder: &Path) -> Box<dyn Work> {
    match work {
        "step" => Box::new(step::Step::<A>::new(folder, step::ROWS, step::LEN, Float32)),
        "step-bf16" => Box::new(step::Step::<A>::new(folder, step::ROWS, step::LEN, Bfloat16)),
        "ops" => Box::new(ops::Ops::new::<A>(step::ROWS, step::LEN)),
        "growth" => Box::new(growth::Growth::<A>::new(folder)),
        "decode" => Box::new(decode::Decode::<A>::new(folder, 32, Float32)),
        "decode-1" => Box::new(decode::Decode::<A>::new(folder, 1, Float32)),
        "decode-bf16" => Box::new(decode::Decode::<A>::new(folder, 32, Bfloat16)),
        "decode-1-bf16" => Box::new(decode::Decode::<A>::new(folder, 1, Bfloat16)),
        "iteration" => Box::new(iteration::Iteration::<A>::new(folder)),
        _ => {
            panic!(
                "`{work}` is no work: it must be floor, ops, growth, iteration, or step, decode, decode-1, each of these with -bf16 too"
            )
        }
    }
}

fn say(value: Value) {
    println!("{value}");
    std::io::stdout().flush().expect("whoever asks reads");
}

/// Processor time of this process so far, of all threads.
fn processor_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
