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

use pspo::data::numbers::Temperature;
use pspo::data::{Seed, Sequence};
use pspo::kernels::Device;
use pspo::model::{Arch, Batch};
use pspo::pretrained::presets::{
    DeepSeekCoder13B, Qwen25Coder05B, Qwen25Coder05BUntied, Qwen25Coder15B, SmolLm2135M,
};
use pspo::pretrained::{self, Pretrained};
use pspo::rollouts::{Sampling, sample};

const PROMPT: &str = "def fibonacci(n):\n";
const ONE: Temperature = Temperature::new(1.0);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let Some(path) = arguments.next() else {
        println!("give a model: a folder with config.json, safetensors and tokenizer.json, or a GGUF file");
        return Ok(());
    };
    let prompt = arguments.next().unwrap_or_else(|| PROMPT.to_owned());
    let folder = arguments.next();
    let model = Pretrained::open(&path)?;
    let dims = model.description().dims;
    println!("{dims:?}");
    match (dims.width, dims.tied) {
        (576, _) => proceed::<SmolLm2135M>(&model, &prompt, folder.as_deref()),
        (896, true) => proceed::<Qwen25Coder05B>(&model, &prompt, folder.as_deref()),
        (896, false) => proceed::<Qwen25Coder05BUntied>(&model, &prompt, folder.as_deref()),
        (1536, _) => proceed::<Qwen25Coder15B>(&model, &prompt, folder.as_deref()),
        // The error for a model of another shape prints the arch to declare for it.
        _ => proceed::<DeepSeekCoder13B>(&model, &prompt, folder.as_deref()),
    }
}

fn proceed<A: Arch>(model: &Pretrained, prompt: &str, folder: Option<&str>) -> Result<(), Box<dyn Error>> {
    // ANCHOR: load
    let tokenizer = model.tokenizer()?;
    let policy = model.policy::<A>(&Device::cpu())?;
    let tokens = tokenizer.encode(prompt)?;
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
