//! Loads a pretrained model, from a folder as on the Hugging Face hub or from a GGUF file, and continues a prompt.
//!
//! ```text
//! cargo run --release --example 12_pretrained -- MODEL [PROMPT [FOLDER]]
//! ```
//!
//! It prints the model's sizes, the mean log-probability of the prompt's tokens after the first, and the most
//! likely continuation, and writes the model to FOLDER, in files that transformers loads. Shapes are types, so a
//! program knows those it can load: here the presets.

use std::error::Error;
use std::num::NonZeroUsize;
use std::process::ExitCode;

use pspo::data::numbers::Temperature;
use pspo::data::{Seed, Sequence};
use pspo::kernels::Device;
use pspo::model::{Arch, Batch};
use pspo::pretrained::presets::Visitor;
use pspo::pretrained::{self, Pretrained};
use pspo::rollouts::{Sampling, sample};

const PROMPT: &str = "def fibonacci(n):\n";
const ONE: Temperature = Temperature::new(1.0);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let Some(path) = arguments.next() else {
        println!("give a model: a folder with config.json, safetensors and tokenizer.json, or a GGUF file");
        return Ok(());
    };
    let prompt = arguments.next().unwrap_or_else(|| PROMPT.to_owned());
    let folder = arguments.next();
    let model = Pretrained::open(&path)?;
    println!("{:?}", model.description().dims);
    model.visit(Continue { model: &model, prompt: &prompt, folder: folder.as_deref() })?
}

/// What is done with a model of any preset's shape.
struct Continue<'a> {
    model: &'a Pretrained,
    prompt: &'a str,
    folder: Option<&'a str>,
}

impl Visitor for Continue<'_> {
    type Output = Result<()>;

    fn visit<A: Arch>(self) -> Result<()> {
        proceed::<A>(self.model, self.prompt, self.folder)
    }
}

fn proceed<A: Arch>(model: &Pretrained, prompt: &str, folder: Option<&str>) -> Result<()> {
    // ANCHOR: load
    let tokenizer = model.tokenizer()?;
    let policy = model.policy::<A>(&Device::cpu())?;
    let tokens = tokenizer.prompt(prompt)?;
    // ANCHOR_END: load
    println!("prompt {tokens:?}");
    if let [first, rest @ ..] = tokens.as_slice()
        && !rest.is_empty()
    {
        let row = Sequence { prompt: vec![*first], response: rest.to_vec() };
        let said = policy.log_probs_no_grad(&Batch::responses(&A::DIMS, [&row])?, ONE)?;
        let sum: f32 = said.log_probs.iter().sum();
        println!("mean log-probability {:.5}", sum / said.log_probs.len() as f32);
    }
    let sampling = Sampling {
        top_k: Some(NonZeroUsize::MIN),
        ..Sampling::training(ONE, NonZeroUsize::new(40).ok_or("40 is not 0")?)
    };
    let rollouts = sample(&policy, &tokenizer, &[tokens], 1, &sampling, Seed::root(0))?;
    println!("continuation {:?}\n{}", rollouts[0].sequence.response, rollouts[0].text);
    if let Some(folder) = folder {
        pretrained::save(folder, &A::DIMS, &policy.parameters()?, &tokenizer)?;
    }
    Ok(())
}
