//! What a model computes, for `models.py` beside this file to compare with transformers.
//!
//!     run_model judge MODEL < TEXTS              for each text a line of tokens, log-probabilities and greedy
//!                                                continuation, and then the logits after every token, as bytes
//!     run_model prm MODEL FOLDER < TEXTS         saves the model's trunk with a random head as a PRM; for each text a
//!                                                line of tokens and numbers
//!     run_model save MODEL FOLDER [bfloat16]     saves what it loaded
//!     run_model adapter MODEL ADAPTER FOLDER     saves the model with the adapter merged, and the adapter anew, in
//!                                                FOLDER/merged and FOLDER/adapter
//!
//! `TEXTS` is a JSON string in each line. Special tokens that are spelled in a text are taken as such.

mod families;

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::Path;

use families::{Llama, LlamaTied, Qwen2};
use pspo::data::numbers::Temperature;
use pspo::data::{Objective, Seed, Sequence};
use pspo::kernels::{Device, Threads};
use pspo::model::decode::Row;
use pspo::model::{Arch, Batch, ScalarModel, Tokenizer, init};
use pspo::plugin::value_init::TRUNK;
use pspo::pretrained::config::Description;
use pspo::pretrained::presets::{
    DeepSeekCoder13B, Qwen25Coder05B, Qwen25Coder05BUntied, Qwen25Coder15B, Qwen25Coder15BUntied, SmolLm2135M,
};
use pspo::pretrained::{Adapter, Head, LoadError, Meaning, Precision, Pretrained, Saving, ShapeMismatch};
use serde_json::json;

/// Tokens of a greedy continuation.
const NEW: usize = 40;
/// Places whose logits are computed at a time.
const PLACES: usize = 32;

type Done = Result<(), Box<dyn Error>>;

enum Job {
    Judge,
    Prm { folder: String },
    Save { folder: String, precision: Precision },
    Adapter { adapter: String, folder: String },
}

/// Whether a model has a shape, and what runs it then.
type Shape = (fn(&Description, &Path) -> Result<(), Box<ShapeMismatch>>, fn(&Job, &Pretrained) -> Done);

fn shape<A: Arch>() -> Shape {
    (Description::must_be::<A>, run::<A>)
}

fn main() -> Done {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (path, job) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["judge", path] => (path, Job::Judge),
        ["prm", path, folder] => (path, Job::Prm { folder: folder.to_owned() }),
        ["save", path, folder] => {
            (path, Job::Save { folder: folder.to_owned(), precision: Precision::Float32 })
        }
        ["save", path, folder, "bfloat16"] => {
            (path, Job::Save { folder: folder.to_owned(), precision: Precision::Bfloat16 })
        }
        ["adapter", path, adapter, folder] => {
            (path, Job::Adapter { adapter: adapter.to_owned(), folder: folder.to_owned() })
        }
        _ => return Err("the first lines of this program say how it is used".into()),
    };
    let model = Pretrained::open(path)?;
    let shapes = [
        shape::<SmolLm2135M>(),
        shape::<Qwen25Coder05B>(),
        shape::<Qwen25Coder05BUntied>(),
        shape::<Qwen25Coder15B>(),
        shape::<Qwen25Coder15BUntied>(),
        shape::<DeepSeekCoder13B>(),
        shape::<Llama>(),
        shape::<LlamaTied>(),
        shape::<Qwen2>(),
    ];
    let fits = |(must_be, _): &&Shape| must_be(&model.description(), Path::new(path)).is_ok();
    match shapes.iter().find(fits) {
        Some((_, run)) => run(&job, &model),
        None => Err(format!("{:?} is none of the shapes here", model.description()).into()),
    }
}

fn run<A: Arch>(job: &Job, model: &Pretrained) -> Done {
    match job {
        Job::Judge => judge::<A>(model),
        Job::Prm { folder } => prm::<A>(model, folder),
        Job::Save { folder, precision } => save::<A>(model, folder, *precision),
        Job::Adapter { adapter, folder } => with_adapter::<A>(model, adapter, folder.as_ref()),
    }
}

fn texts(tokenizer: &Tokenizer) -> impl Iterator<Item = Result<Vec<u32>, Box<dyn Error>>> {
    std::io::stdin().lock().lines().map(|line| {
        let text: String = serde_json::from_str(&line?)?;
        Ok(tokenizer.encode_special(&text)?)
    })
}

fn judge<A: Arch>(model: &Pretrained) -> Done {
    let tokenizer = model.tokenizer()?;
    let policy = model.policy::<A>(&Device::cpu())?;
    let decoder = policy.decoder()?;
    let mut decoder = decoder.another(Threads::Pool);
    let mut out = std::io::stdout().lock();
    for tokens in texts(&tokenizer) {
        let prompt = tokens?;
        let prefix = decoder.prefill(&[&prompt])?.remove(0);
        let mut row = Row::fork(&A::DIMS, prefix, prompt.len() - 1, NEW);
        let mut tokens = prompt.clone();
        for _ in 0..NEW {
            let last = tokens[tokens.len() - 1];
            let logits = decoder.step(&mut [&mut row], &[last])?;
            let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0);
            tokens.push(u32::try_from(best)?);
        }
        let all = Sequence { prompt: vec![tokens[0]], response: tokens[1..].to_vec() };
        let one = Temperature::new(1.0);
        let said = policy.log_probs_no_grad(&Batch::responses(&A::DIMS, [&all])?, one)?;
        let line = json!({
            "prompt": prompt, "continuation": tokens[prompt.len()..], "log_probs": said.log_probs,
        });
        writeln!(out, "{line}")?;
        // Each place is a row of its own that shares what is before it.
        let prefix = decoder.prefill(&[&tokens])?.remove(0);
        let places: Vec<usize> = (0..tokens.len()).collect();
        for places in places.chunks(PLACES) {
            let fork = |&place: &usize| Row::fork(&A::DIMS, prefix.clone(), place, 1);
            let mut rows: Vec<Row> = places.iter().map(fork).collect();
            let tokens: Vec<u32> = places.iter().map(|&place| tokens[place]).collect();
            let logits = decoder.step(&mut rows.iter_mut().collect::<Vec<_>>(), &tokens)?;
            out.write_all(&logits.iter().flat_map(|logit| logit.to_le_bytes()).collect::<Vec<_>>())?;
        }
        out.flush()?;
    }
    Ok(())
}

fn prm<A: Arch>(model: &Pretrained, folder: &str) -> Done {
    let tokenizer = model.tokenizer()?;
    let mut parameters = init::random(A::DIMS.scalar_layout(), A::DIMS.layers, Seed::root(1));
    parameters.copy_prefix_from(&model.parameters::<A>()?, TRUNK)?;
    parameters.tensor_mut("head.bias")?.fill(0.25);
    let meaning = Meaning::Prm { objective: Objective::Mse };
    Saving::scalar(&A::DIMS, &parameters, meaning).write(folder, &tokenizer)?;
    // What it says is said by what was loaded again.
    let files = Pretrained::open(folder)?;
    let model: ScalarModel<A> = files.scalar_model(&Device::cpu())?;
    for tokens in texts(&tokenizer) {
        let tokens = tokens?;
        let row = Sequence { prompt: vec![tokens[0]], response: tokens[1..].to_vec() };
        let places: Vec<usize> = (0..row.response.len()).collect();
        let numbers = model.values_no_grad(&Batch::at(&A::DIMS, [(&row, &places[..])])?)?;
        println!("{}", json!({ "tokens": tokens, "numbers": numbers }));
    }
    Ok(())
}

fn save<A: Arch>(model: &Pretrained, folder: &str, precision: Precision) -> Done {
    // The small models have no tokenizer: any stands in its place.
    let tokenizer = match model.tokenizer() {
        Err(LoadError::Io { .. }) => Tokenizer::train(["x = 1\n"], 257)?,
        tokenizer => tokenizer?,
    };
    let parameters = model.parameters_as_found()?;
    let saving = match model.description().head {
        Head::Policy => Saving::policy(&A::DIMS, &parameters),
        Head::Scalar(meaning) => Saving::scalar(&A::DIMS, &parameters, meaning.unwrap_or(Meaning::Critic)),
    };
    Ok(saving.with_precision(precision).write(folder, &tokenizer)?)
}

fn with_adapter<A: Arch>(model: &Pretrained, adapter: &str, folder: &Path) -> Done {
    let policy = model.policy::<A>(&Device::cpu())?;
    let policy = Adapter::load(adapter, &A::DIMS)?.beside(&policy)?;
    let merged = policy.parameters()?;
    Saving::policy(&A::DIMS, &merged).write(folder.join("merged"), &model.tokenizer()?)?;
    let Adapter { lora, .. } = Adapter::load(adapter, &A::DIMS)?;
    Ok(Adapter { lora, parameters: policy.trained()? }.save(folder.join("adapter"), &A::DIMS, "base")?)
}
