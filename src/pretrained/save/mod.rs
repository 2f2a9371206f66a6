//! A model as a folder that transformers loads, and with it what is built on transformers.

mod config;
mod tensor;

use std::path::Path;

use super::error::SaveError;
use super::head::{Head, Meaning};
use super::names::{Naming, sources};
use crate::data::Parameters;
use crate::files::write_atomically;
use crate::model::chat::ChatTemplate;
use crate::model::{Dims, Precision, Tokenizer};
use serde_json::json;
use tensor::Tensor;

/// Writes a policy as [`Saving::policy`] does, in 32-bit floats.
///
/// ```
/// use pspo::data::Seed;
/// use pspo::kernels::Device;
/// use pspo::model::{Arch, Policy, Tokenizer};
/// use pspo::pretrained::{Pretrained, save};
///
/// pspo::arch! {
///     struct Small {
///         name: "small", vocabulary: 300, width: 16, layers: 1, heads: 2, kv_heads: 1, head_size: 8, hidden: 24,
///         positions: 64,
///     }
/// }
///
/// let tokenizer = Tokenizer::train(["x = 1\n"], 257)?;
/// let policy = Policy::<Small>::random(&Device::cpu(), Seed::root(1))?;
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path().join("small");
/// save(&folder, &Small::DIMS, &policy.parameters()?, &tokenizer)?;
/// let same: Policy<Small> = Pretrained::open(&folder)?.policy(&Device::cpu())?;
/// assert_eq!(same.parameters()?, policy.parameters()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`Saving::write`].
pub fn save(
    folder: impl AsRef<Path>,
    dims: &Dims,
    parameters: &Parameters,
    tokenizer: &Tokenizer,
) -> Result<(), SaveError> {
    Saving::policy(dims, parameters).write(folder, tokenizer)
}

/// A model that is to be a folder of files, of the Qwen2 family where its queries, keys and values have a bias, else of
/// Llama's.
///
/// ```
/// use pspo::data::Seed;
/// use pspo::kernels::Device;
/// use pspo::model::{Arch, ScalarModel, Tokenizer, init};
/// use pspo::pretrained::{Meaning, Precision, Pretrained, Saving};
/// use pspo::prm::{Objective, TrainedPrm};
///
/// pspo::arch! {
///     struct Small {
///         name: "small", vocabulary: 300, width: 16, layers: 1, heads: 2, kv_heads: 1, head_size: 8, hidden: 24,
///         positions: 64,
///     }
/// }
///
/// let tokenizer = Tokenizer::train(["x = 1\n"], 257)?;
/// let parameters = init::random(Small::DIMS.scalar_layout(), Small::DIMS.layers, Seed::root(1));
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path().join("prm");
/// Saving::scalar(&Small::DIMS, &parameters, Meaning::Prm { objective: Objective::Mse })
///     .with_precision(Precision::Bfloat16)
///     .write(&folder, &tokenizer)?;
/// let files = Pretrained::open(&folder)?;
/// let model: ScalarModel<Small> = files.scalar_model(&Device::cpu())?;
/// let prm = TrainedPrm::new(model, files.prm_objective()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Saving<'a> {
    dims: &'a Dims,
    parameters: &'a Parameters,
    head: Head,
    precision: Precision,
    chat_template: Option<&'a ChatTemplate>,
}

impl<'a> Saving<'a> {
    /// A policy: in transformers a `LlamaForCausalLM` or `Qwen2ForCausalLM`.
    pub fn policy(dims: &'a Dims, parameters: &'a Parameters) -> Self {
        Self::of(dims, parameters, Head::Policy)
    }

    /// A critic, PRM or reward model: in transformers a `LlamaForTokenClassification` or `Qwen2ForTokenClassification` with
    /// one label, whose logit is the model's number for each token.
    pub fn scalar(dims: &'a Dims, parameters: &'a Parameters, meaning: Meaning) -> Self {
        Self::of(dims, parameters, Head::Scalar(Some(meaning)))
    }

    fn of(dims: &'a Dims, parameters: &'a Parameters, head: Head) -> Self {
        Self { dims, parameters, head, precision: Precision::default(), chat_template: None }
    }

    /// Writes the chat template into `tokenizer_config.json`, with the special tokens that it may name, for readers that
    /// hold conversations with the model.
    pub fn with_chat_template(self, template: &'a ChatTemplate) -> Self {
        Self { chat_template: Some(template), ..self }
    }

    /// Writes numbers so, and not as 32-bit floats.
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// Writes `config.json`, `model.safetensors`, `tokenizer.json` and `tokenizer_config.json` into `folder`, which is made
    /// if need be. Each file is written beside an older one and then takes its place.
    ///
    /// # Errors
    /// If the parameters are not those of such a model of this shape, or a file cannot be written.
    pub fn write(&self, folder: impl AsRef<Path>, tokenizer: &Tokenizer) -> Result<(), SaveError> {
        let (folder, dims) = (folder.as_ref(), self.dims);
        self.parameters.layout().must_equal(&self.head.layout(dims))?;
        std::fs::create_dir_all(folder).map_err(SaveError::io(folder))?;
        self.write_tensors(&folder.join("model.safetensors"))?;
        let text = |name: &str, text: String| {
            let file = folder.join(name);
            write_atomically(&file, text.as_bytes()).map_err(SaveError::io(&file))
        };
        text("tokenizer.json", tokenizer.to_json()?)?;
        let mut class = json!({
            "tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": false,
            "model_max_length": dims.positions,
        });
        if let Some(template) = self.chat_template {
            class["chat_template"] = template.source().into();
            for (name, token) in template.tokens().iter() {
                class[name] = token.into();
            }
        }
        class["eos_token"] = tokenizer.end_name().into();
        if let Some(begin) = tokenizer.begin_name() {
            class["bos_token"] = begin.into();
            class["add_bos_token"] = true.into();
        }
        text("tokenizer_config.json", format!("{class:#}\n"))?;
        text("config.json", format!("{:#}\n", config::config(self, tokenizer.end())))?;
        // The crate makes a file that only its owner may read: whoever may read the others is to read it as well.
        let (config, model) = (folder.join("config.json"), folder.join("model.safetensors"));
        let permissions = std::fs::metadata(&config).map_err(SaveError::io(&config))?.permissions();
        std::fs::set_permissions(&model, permissions).map_err(SaveError::io(&model))
    }

    fn write_tensors(&self, file: &Path) -> Result<(), SaveError> {
        let Self { dims, parameters, head, precision, .. } = *self;
        let sources = sources(Naming::Transformers, config::family(dims), head, dims);
        let tensors = sources.iter().map(|source| {
            let (shape, place) = parameters.layout().tensor(&source.target)?;
            let (values, columns) = (&parameters.values()[place], shape[shape.len() - 1]);
            Ok((source.name.as_str(), Tensor { source, values, columns, precision }))
        });
        let tensors = tensors.collect::<Result<Vec<_>, SaveError>>()?;
        // transformers refuses a file that does not say so
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        safetensors::serialize_to_file(tensors, Some(metadata), file)
            .map_err(|source| SaveError::Safetensors { file: file.to_owned(), source })
    }
}
