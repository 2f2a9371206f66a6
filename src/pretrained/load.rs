//! A pretrained model from its files.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::config::{Description, read_json};
use super::error::{LoadError, ShapeMismatch};
use super::gguf_tokenizer;
use super::head::{Head, Meaning};
use super::names::{Naming, Order, Source, is_redundant, sources};
use super::presets::{self, Visitor};
use super::tensors::{Gguf, SafetensorsFiles, TensorSource};
use crate::data::{Layout, Objective, Parameters};
use crate::kernels::Device;
use crate::kernels::vector::spread;
use crate::model::chat::{ChatError, ChatTemplate, SpecialTokens, special_token};
use crate::model::{Arch, Dims, Policy, Precision, ScalarModel, Tokenizer, TokenizerError};

/// A model on disk: a folder as on the Hugging Face hub (`config.json`, safetensors, `tokenizer.json`) or a GGUF file,
/// whose description was read.
///
/// ```no_run
/// use pspo::kernels::Device;
/// use pspo::pretrained::{Pretrained, presets::Qwen25Coder05B};
///
/// let model = Pretrained::open("Qwen2.5-Coder-0.5B-Instruct")?;
/// let policy = model.policy::<Qwen25Coder05B>(&Device::cpu())?;
/// let tokenizer = model.tokenizer()?;
/// # Ok::<(), pspo::pretrained::LoadError>(())
/// ```
#[derive(Debug)]
pub struct Pretrained {
    path: PathBuf,
    description: Description,
    files: Files,
}

#[derive(Debug)]
enum Files {
    Hub(SafetensorsFiles),
    Gguf(Gguf),
}

impl Pretrained {
    /// Opens a folder or a GGUF file and reads what it says of the model. Tensors are read later.
    ///
    /// # Errors
    /// If a file is missing or malformed, or the model is none that the trunk computes.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let path = path.as_ref().to_owned();
        let (description, files) = if path.is_dir() {
            let description = Description::from_json(&path.join("config.json"))?;
            (description, Files::Hub(SafetensorsFiles::open(&path)?))
        } else {
            let gguf = Gguf::open(&path)?;
            (Description::from_gguf(&gguf)?, Files::Gguf(gguf))
        };
        Ok(Self { path, description, files })
    }

    /// Family, head and sizes.
    pub fn description(&self) -> Description {
        self.description
    }

    /// Calls `visitor` with the shape among the [presets](super::presets) that the model has.
    ///
    /// # Errors
    /// If it has none of them; the message shows the arch to declare for it.
    pub fn visit<V: Visitor>(&self, visitor: V) -> Result<V::Output, LoadError> {
        presets::visit(self, visitor)
    }

    /// Checks that the model has the shape `A`.
    pub(super) fn must_be<A: Arch>(&self) -> Result<(), Box<ShapeMismatch>> {
        self.description.must_be::<A>(&self.described_in())
    }

    /// The parameters of a policy of shape `A`, in 32-bit floats.
    ///
    /// # Errors
    /// If the model is no policy or has another shape, or a tensor is missing, not expected, of another shape or cannot be
    /// read.
    pub fn parameters<A: Arch>(&self) -> Result<Parameters, LoadError> {
        match self.description.head {
            Head::Policy => self.read_as::<A>(),
            _ => Err(self.other_head("a policy")),
        }
    }

    /// The parameters of a scalar model of shape `A`, whatever its number means, in 32-bit floats.
    ///
    /// # Errors
    /// As [`Pretrained::parameters`], if the model is no critic, PRM or reward model.
    pub fn scalar_parameters<A: Arch>(&self) -> Result<Parameters, LoadError> {
        match self.description.head {
            Head::Scalar(_) => self.read_as::<A>(),
            _ => Err(self.other_head("a critic, PRM or reward model")),
        }
    }

    /// What the PRM was trained for. With it and [`Pretrained::scalar_model`] or [`Pretrained::parameters_as_found`],
    /// `TrainedPrm` is the PRM again.
    ///
    /// # Errors
    /// If the model is no PRM, or the files do not say that it is one.
    pub fn prm_objective(&self) -> Result<Objective, LoadError> {
        match self.description.head {
            Head::Scalar(Some(Meaning::Prm { objective })) => Ok(objective),
            _ => Err(self.other_head("a PRM")),
        }
    }

    /// The parameters of the model as the files have it, of the [description](Pretrained::description)'s sizes and head.
    ///
    /// # Errors
    /// If a tensor is missing, not expected, of another shape or cannot be read.
    pub fn parameters_as_found(&self) -> Result<Parameters, LoadError> {
        self.read(&self.description.dims)
    }

    fn described_in(&self) -> PathBuf {
        match &self.files {
            Files::Hub(_) => self.path.join("config.json"),
            Files::Gguf(_) => self.path.clone(),
        }
    }

    fn other_head(&self, needed: &'static str) -> LoadError {
        LoadError::Head { file: self.described_in(), found: self.description.head, needed }
    }

    fn read_as<A: Arch>(&self) -> Result<Parameters, LoadError> {
        self.must_be::<A>()?;
        self.read(&A::DIMS)
    }

    fn read(&self, dims: &Dims) -> Result<Parameters, LoadError> {
        let tensors = self.tensors(dims)?;
        let mut parameters = Parameters::zeros(self.description.head.layout(dims));
        let layout = parameters.layout().clone();
        for (name, _, place) in layout.iter() {
            tensors.read(name, &mut parameters.values_mut()[place])?;
        }
        Ok(parameters)
    }

    /// The files' tensors, compared with what a model of these sizes has.
    fn tensors(&self, dims: &Dims) -> Result<Tensors<'_>, LoadError> {
        let (files, naming): (&dyn TensorSource, _) = match &self.files {
            Files::Hub(files) => (files, Naming::Transformers),
            Files::Gguf(gguf) => (gguf, Naming::Gguf),
        };
        let Description { family, head, .. } = self.description;
        let sources = sources(naming, family, head, dims);
        let known: HashSet<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        for name in files.names() {
            if !known.contains(name) && !is_redundant(naming, dims, name) {
                return Err(LoadError::Unexpected { file: self.path.clone(), tensor: name.to_owned() });
            }
        }
        for source in &sources {
            self.check(files, source)?;
        }
        Ok(Tensors { path: &self.path, files, sources, layout: head.layout(dims) })
    }

    fn check(&self, files: &dyn TensorSource, source: &Source) -> Result<(), LoadError> {
        let (file, tensor) = (self.path.clone(), source.name.clone());
        match files.shape(&source.name) {
            None => Err(LoadError::Missing { file, tensor }),
            Some(found) if found != source.shape => {
                Err(LoadError::Tensor { file, tensor, found: found.to_vec(), needed: source.shape.clone() })
            }
            Some(_) => Ok(()),
        }
    }

    /// A policy of shape `A`, in 32-bit floats.
    ///
    /// # Errors
    /// As [`Pretrained::parameters`], or if the device has no room.
    pub fn policy<A: Arch>(&self, device: &Device) -> Result<Policy<A>, LoadError> {
        self.policy_in(device, Precision::Float32)
    }

    /// A policy of shape `A` whose matrices are held in that precision. Tensors are read one after another: at no time is the
    /// whole model in 32-bit floats, unless that is its precision.
    ///
    /// # Errors
    /// As [`Pretrained::policy`].
    pub fn policy_in<A: Arch>(&self, device: &Device, precision: Precision) -> Result<Policy<A>, LoadError> {
        if self.description.head != Head::Policy {
            return Err(self.other_head("a policy"));
        }
        self.must_be::<A>()?;
        let tensors = self.tensors(&A::DIMS)?;
        Policy::read(device, precision, |name, to| tensors.read(name, to))
    }

    /// A critic, PRM or reward model of shape `A`, in 32-bit floats.
    ///
    /// # Errors
    /// As [`Pretrained::scalar_parameters`], or if the device has no room.
    pub fn scalar_model<A: Arch>(&self, device: &Device) -> Result<ScalarModel<A>, LoadError> {
        self.scalar_model_in(device, Precision::Float32)
    }

    /// The same with its matrices held in that precision, as [`Pretrained::policy_in`].
    ///
    /// # Errors
    /// As [`Pretrained::scalar_model`].
    pub fn scalar_model_in<A: Arch>(
        &self,
        device: &Device,
        precision: Precision,
    ) -> Result<ScalarModel<A>, LoadError> {
        if !matches!(self.description.head, Head::Scalar(_)) {
            return Err(self.other_head("a critic, PRM or reward model"));
        }
        self.must_be::<A>()?;
        let tensors = self.tensors(&A::DIMS)?;
        ScalarModel::read(device, precision, |name, to| tensors.read(name, to))
    }

    /// The tokenizer; a response ends with the token that the files name for that, and prompts begin with one where they
    /// say so (`add_bos_token`).
    ///
    /// # Errors
    /// If there is none, it cannot be read, or it has tokens beyond the model's.
    pub fn tokenizer(&self) -> Result<Tokenizer, LoadError> {
        let tokenizer = match &self.files {
            Files::Gguf(gguf) => gguf_tokenizer::tokenizer(gguf)?,
            Files::Hub(_) => self.hub_tokenizer()?,
        };
        let (tokens, vocabulary) = (tokenizer.vocabulary(), self.description.dims.vocabulary);
        if tokens > vocabulary {
            return Err(LoadError::Vocabulary { file: self.path.clone(), tokens, vocabulary });
        }
        Ok(tokenizer)
    }

    /// The chat template; `None` where the files have none, as those of base models.
    ///
    /// # Errors
    /// If there is one that cannot be used.
    pub fn chat_template(&self) -> Result<Option<ChatTemplate>, LoadError> {
        match &self.files {
            Files::Gguf(gguf) => chat_template(gguf),
            Files::Hub(_) => match ChatTemplate::from_folder(&self.path, None) {
                Err(ChatError::NoTemplate { .. }) => Ok(None),
                found => Ok(Some(found?)),
            },
        }
    }

    /// By `tokenizer.json`, and what `tokenizer_config.json` says of it.
    fn hub_tokenizer(&self) -> Result<Tokenizer, LoadError> {
        let file = self.path.join("tokenizer_config.json");
        let config: Value = read_json(&file)?;
        let Some(end) = special_token(&config["eos_token"]) else { return Err(LoadError::NoEnd(file)) };
        let tokenizer = Tokenizer::from_file(self.path.join("tokenizer.json"), end)?;
        match special_token(&config["bos_token"]) {
            Some(begin) if config["add_bos_token"] == true => {
                let begins = tokenizer.with_begin(begin);
                Ok(begins.map_err(|source| TokenizerError::File { file, source: Box::new(source) })?)
            }
            _ => Ok(tokenizer),
        }
    }
}

/// The tensors of files, as the trunk has them.
struct Tensors<'a> {
    path: &'a Path,
    files: &'a dyn TensorSource,
    sources: Vec<Source>,
    layout: Layout,
}

impl Tensors<'_> {
    /// Reads the trunk's tensor `name`, of all those in the files that it is made of. Numbers that are not finite would make
    /// nothing but such of all that is computed.
    fn read(&self, name: &str, to: &mut [f32]) -> Result<(), LoadError> {
        let (shape, _) = self.layout.tensor(name).expect("the model's tensors are those of its layout");
        let columns = shape[shape.len() - 1];
        for source in self.sources.iter().filter(|source| source.target == name) {
            match source.order {
                Order::Kept => self.files.read_into(&source.name, to)?,
                Order::Transposed | Order::Interleaved { .. } => {
                    put_columns(source, &self.files.read(&source.name)?, columns, to);
                }
            }
        }
        match to.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(place) => {
                let (file, value) = (self.path.to_owned(), to[place]);
                Err(LoadError::NotFinite { file, tensor: name.to_owned(), value, place })
            }
        }
    }
}

/// The template that a GGUF file has in its metadata, and the special tokens that it may name.
fn chat_template(file: &Gguf) -> Result<Option<ChatTemplate>, LoadError> {
    const KEY: &str = "tokenizer.chat_template";
    let metadata = file.metadata();
    if metadata.get(KEY).is_none() {
        return Ok(None);
    }
    let tokens = metadata.strings("tokenizer.ggml.tokens")?;
    let special = |(name, key): (&'static str, &str)| {
        let id = metadata.uint(&format!("tokenizer.ggml.{key}_token_id")).ok()?;
        Some((name, tokens.get(usize::try_from(id).ok()?)?.clone()))
    };
    let names =
        [("bos_token", "bos"), ("eos_token", "eos"), ("pad_token", "padding"), ("unk_token", "unknown")];
    let special = SpecialTokens::new(names.into_iter().filter_map(special));
    Ok(Some(ChatTemplate::new(metadata.string(KEY)?, special)?))
}

/// Writes the rows of a file's tensor into the trunk's as columns, of which that has `columns`.
fn put_columns(source: &Source, values: &[f32], columns: usize, to: &mut [f32]) {
    // A bias is a weight of one input.
    let inputs = values.len() / source.shape[0];
    for (row, values) in values.chunks_exact(inputs).enumerate() {
        spread(values, &mut to[source.column + source.order.place(row)..], columns);
    }
}
