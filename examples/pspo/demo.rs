//! The method on a tiny model that has half learned some programs by heart, and goes on by trying.

use std::fs::File;
use std::num::NonZeroUsize;
use std::time::Instant;

use pspo::data::numbers::LearningRate;
use pspo::data::{ProblemSet, Seed};
use pspo::kernels::Device;
use pspo::model::chat::{ChatTemplate, SpecialTokens};
use pspo::model::{Arch, Policy, Tokenizer};
use pspo::pretrained::{Pretrained, Saving};
use pspo::problems::{Pseudocode, Sizes, StepRange};
use pspo::sft::{Sft, SftConfig};

use crate::{Config, Result, method};

pspo::arch! {
    struct Tiny {
        name: "tiny", vocabulary: 300, width: 32, layers: 2, heads: 2, kv_heads: 1, head_size: 16, hidden: 64,
        positions: 512,
    }
}

/// The model's chat template, which saved policies have as well.
const TEMPLATE: &str = "{{ messages[0].content }}";

pub fn run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let problems = Pseudocode { sft_steps: StepRange::new(3, 5)?, ..Pseudocode::default() };
    let problems = problems.splits(Seed::root(0), Sizes { sft: 12, rl: 1, held_out: 1 })?.sft;
    problems.write_jsonl(File::create(path("problems.jsonl"))?)?;
    let begun = Instant::now();
    write_model(&problems, &path("model"))?;
    println!(
        "a model of {} parameters after {:.1} s",
        Tiny::DIMS.policy_layout().len(),
        begun.elapsed().as_secs_f64()
    );

    let text = format!(
        r#"
seed = 1
policy = {{ arch = "tiny", pretrained = '{model}' }}
problems = {{ path = '{problems}', take = 8 }}
held_out = {{ path = '{problems}', skip = 8 }}
splitter = {{ type = "lines" }}
verifier = {{ type = "monty" }}
value_init = {{ type = "from_policy" }}
dense = {{}}

[ppo]
iterations = 4
prompts = 8
responses = 4
tuning = {{ type = "lora", rank = 4 }}
sampling = {{ max_new_tokens = 64 }}
update = {{ policy_learning_rate = 1e-3, critic_learning_rate = 1e-3 }}

[collect]
checkpoints = 2
start = true
prompts = 8
responses = 4
labeler = {{ type = "binary_search", completions = 4 }}
selection = "full"
judge_one_in = 4

[prm_training]
steps = 40
batch = 8

[evaluation]
samples = 8
sampling = {{ max_new_tokens = 64 }}

[save]
prm = true
policies = true
"#,
        model = path("model").display(),
        problems = path("problems.jsonl").display(),
    );
    std::fs::write(path("pspo.toml"), &text)?;
    println!("{text}");
    println!("The stages are the real ones; of so few problems their figures say nothing.\n");
    let config = Config::read(&path("pspo.toml"))?;
    let begun = Instant::now();
    method::<Tiny>(&config, &path("run"))?;
    println!("all stages took {:.1} s", begun.elapsed().as_secs_f64());
    let before = std::fs::read(path("run/events.jsonl"))?;
    let begun = Instant::now();
    method::<Tiny>(&config, &path("run"))?;
    println!("gone on with, the run finds all done after {:.1} s", begun.elapsed().as_secs_f64());
    if before != std::fs::read(path("run/events.jsonl"))? {
        return Err("its events changed".into());
    }
    let saved = Pretrained::open(path("run/models/pspo"))?.chat_template()?;
    if saved.map(|saved| saved.source().to_owned()).as_deref() != Some(TEMPLATE) {
        return Err("the saved policy lacks the model's chat template".into());
    }
    Ok(())
}

/// A model that has seen the programs a few times.
fn write_model(problems: &ProblemSet, folder: &std::path::Path) -> Result<()> {
    const RATE: LearningRate = LearningRate::new(1e-2);
    let texts = problems.iter().flat_map(|problem| [Some(problem.prompt.clone()), problem.solution.clone()]);
    let tokenizer = Tokenizer::train(texts.flatten(), 300)?;
    let examples = problems
        .iter()
        .map(|problem| tokenizer.example(&problem.prompt, problem.solution.as_deref().unwrap_or_default()))
        .collect::<std::result::Result<_, _>>()?;
    let policy = Policy::<Tiny>::random(&Device::cpu(), Seed::root(2))?;
    let config = SftConfig {
        steps: 60,
        batch: NonZeroUsize::new(12).ok_or("12 is not 0")?,
        learning_rate: RATE,
        ..SftConfig::default()
    };
    let mut sft = Sft::new(config, policy, examples, Seed::root(3))?;
    while !sft.is_done() {
        sft.step()?;
    }
    let (parameters, template) =
        (sft.into_policy().parameters()?, ChatTemplate::new(TEMPLATE, SpecialTokens::default())?);
    let saving = Saving::policy(&Tiny::DIMS, &parameters).with_chat_template(&template);
    Ok(saving.write(folder, &tokenizer)?)
}
