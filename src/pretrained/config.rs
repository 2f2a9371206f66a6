//! What a model's files say of its shape: `config.json`, or the metadata of a GGUF file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::{LoadError, ShapeMismatch};
use super::head::{Head, Meaning};
use super::tensors::Gguf;
use crate::kernels::rotary::Scaling;
use crate::model::{Arch, Dims};

/// Families whose models the trunk computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Llama, SmolLM2, DeepSeek-Coder.
    Llama,
    /// Qwen2 and Qwen2.5: with a bias of queries, keys and values.
    Qwen2,
}

const FAMILIES: &str = "`llama` and `qwen2` can be loaded";
const HEADS: &str = "`…ForCausalLM` and `…ForTokenClassification` can be loaded";
const SCALINGS: &str = "no scaling, `linear` and `llama3` can be loaded";

impl Family {
    fn of(name: &str) -> Option<Self> {
        match name {
            "llama" => Some(Self::Llama),
            "qwen2" => Some(Self::Qwen2),
            _ => None,
        }
    }
}

/// What is known of a model before its tensors are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Description {
    /// The family.
    pub family: Family,
    /// What stands on its trunk.
    pub head: Head,
    /// The sizes.
    pub dims: Dims,
}

/// `config.json` as transformers writes it: the keys that change what is computed.
#[derive(Deserialize)]
struct Config {
    model_type: String,
    architectures: Option<Vec<String>>,
    num_labels: Option<usize>,
    id2label: Option<BTreeMap<String, String>>,
    /// Our own key.
    pspo: Option<Meaning>,
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    intermediate_size: usize,
    max_position_embeddings: usize,
    rope_theta: Option<f32>,
    rope_scaling: Option<Rope>,
    /// In place of the two before, from transformers 5 on.
    rope_parameters: Option<Rope>,
    #[serde(default = "default_epsilon")]
    rms_norm_eps: f32,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default = "silu")]
    hidden_act: String,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    use_sliding_window: bool,
}

#[derive(Deserialize)]
struct Rope {
    #[serde(alias = "type", default = "no_scaling")]
    rope_type: String,
    rope_theta: Option<f32>,
    factor: Option<f32>,
    low_freq_factor: Option<f32>,
    high_freq_factor: Option<f32>,
    original_max_position_embeddings: Option<usize>,
}

fn default_epsilon() -> f32 {
    1e-6
}

fn silu() -> String {
    "silu".to_owned()
}

fn no_scaling() -> String {
    "default".to_owned()
}

impl Rope {
    fn scaling(&self, file: &Path) -> Result<Scaling, LoadError> {
        let missing = |key| unsupported(file, key, "absent", "this kind of `rope_scaling` needs it");
        let factor = self.factor.ok_or_else(|| missing("factor"));
        match self.rope_type.as_str() {
            "default" => Ok(Scaling::None),
            "linear" => Ok(Scaling::Linear { factor: factor? }),
            "llama3" => Ok(Scaling::Llama3 {
                factor: factor?,
                low_frequency: self.low_freq_factor.ok_or_else(|| missing("low_freq_factor"))?,
                high_frequency: self.high_freq_factor.ok_or_else(|| missing("high_freq_factor"))?,
                original_positions: self
                    .original_max_position_embeddings
                    .ok_or_else(|| missing("original_max_position_embeddings"))?,
            }),
            other => Err(unsupported(file, "rope_scaling", other, SCALINGS)),
        }
    }
}

impl Config {
    fn head(&self, file: &Path) -> Result<Head, LoadError> {
        let Some(name) = self.architectures.iter().flatten().next() else { return Ok(Head::Policy) };
        if name.ends_with("ForCausalLM") {
            return Ok(Head::Policy);
        }
        if !name.ends_with("ForTokenClassification") {
            return Err(unsupported(file, "architectures", name, HEADS));
        }
        // Where there are no names of labels, transformers takes two.
        match self.id2label.as_ref().map(BTreeMap::len).or(self.num_labels).unwrap_or(2) {
            1 => Ok(Head::Scalar(self.pspo)),
            labels => Err(unsupported(file, "num_labels", labels, "one number for each token can be loaded")),
        }
    }
}

/// What a file of JSON holds.
pub(super) fn read_json<T: DeserializeOwned>(file: &Path) -> Result<T, LoadError> {
    let text =
        std::fs::read_to_string(file).map_err(|source| LoadError::Io { file: file.to_owned(), source })?;
    serde_json::from_str(&text).map_err(|source| LoadError::Json { file: file.to_owned(), source })
}

pub(super) fn unsupported(
    file: &Path,
    key: &'static str,
    found: impl ToString,
    needed: &'static str,
) -> LoadError {
    LoadError::Unsupported { file: file.to_owned(), key, found: found.to_string(), needed }
}

impl Description {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// If it cannot be read, lacks a key, or describes a model that the trunk does not compute.
    pub fn from_json(file: &Path) -> Result<Self, LoadError> {
        let config: Config = read_json(file)?;
        let family = Family::of(&config.model_type)
            .ok_or_else(|| unsupported(file, "model_type", &config.model_type, FAMILIES))?;
        if config.hidden_act != "silu" {
            return Err(unsupported(file, "hidden_act", &config.hidden_act, "`silu` is computed"));
        }
        for (key, on) in [
            ("attention_bias", config.attention_bias),
            ("mlp_bias", config.mlp_bias),
            ("use_sliding_window", config.use_sliding_window),
        ] {
            if on {
                return Err(unsupported(file, key, true, "it must be false"));
            }
        }
        let head = config.head(file)?;
        let rope = config.rope_parameters.as_ref().or(config.rope_scaling.as_ref());
        let rope_scaling = rope.map_or(Ok(Scaling::None), |rope| rope.scaling(file))?;
        let rope_theta = config.rope_theta.or(rope.and_then(|rope| rope.rope_theta)).unwrap_or(10_000.0);
        let heads = config.num_attention_heads;
        let dims = Dims {
            vocabulary: config.vocab_size,
            width: config.hidden_size,
            layers: config.num_hidden_layers,
            heads,
            kv_heads: config.num_key_value_heads.unwrap_or(heads),
            head_size: config.head_dim.unwrap_or(config.hidden_size / heads.max(1)),
            hidden: config.intermediate_size,
            positions: config.max_position_embeddings,
            rope_theta,
            rope_scaling,
            norm_epsilon: config.rms_norm_eps,
            tied: config.tie_word_embeddings,
            qkv_bias: family == Family::Qwen2,
        };
        dims.check().map_err(|source| LoadError::Sizes { file: file.to_owned(), source })?;
        Ok(Self { family, head, dims })
    }

    /// Reads the metadata of a GGUF file. The vocabulary, and whether the output layer is the embedding table, are told by
    /// its tensors.
    ///
    /// # Errors
    /// If a key is missing, or the file describes a model that the trunk does not compute.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self, LoadError> {
        use super::tensors::TensorSource;

        let (metadata, file) = (gguf.metadata(), gguf.path());
        let name = metadata.string("general.architecture")?;
        let family =
            Family::of(name).ok_or_else(|| unsupported(file, "general.architecture", name, FAMILIES))?;
        let key = |rest: &str| format!("{name}.{rest}");
        let size = |rest: &str| -> Result<usize, LoadError> {
            let size = metadata.uint(&key(rest))?;
            // A size that is too large is told by the check of all of them.
            Ok(usize::try_from(size).unwrap_or(usize::MAX))
        };
        let or = |rest: &str, default: usize| match metadata.get(&key(rest)) {
            Some(_) => size(rest),
            None => Ok(default),
        };
        let scaling = match metadata.get(&key("rope.scaling.type")) {
            None => Scaling::None,
            Some(_) => match metadata.string(&key("rope.scaling.type"))? {
                "none" => Scaling::None,
                "linear" => Scaling::Linear { factor: metadata.float(&key("rope.scaling.factor"))? as f32 },
                other => return Err(unsupported(file, "rope.scaling.type", other, SCALINGS)),
            },
        };
        let (width, heads) = (size("embedding_length")?, size("attention.head_count")?);
        let rope_theta = match metadata.get(&key("rope.freq_base")) {
            Some(_) => metadata.float(&key("rope.freq_base"))? as f32,
            None => 10_000.0,
        };
        let vocabulary = gguf.shape("token_embd.weight").and_then(|shape| shape.first().copied());
        let missing = || LoadError::Missing { file: file.to_owned(), tensor: "token_embd.weight".to_owned() };
        let dims = Dims {
            vocabulary: vocabulary.ok_or_else(missing)?,
            width,
            layers: size("block_count")?,
            heads,
            kv_heads: or("attention.head_count_kv", heads)?,
            head_size: or("attention.key_length", width / heads.max(1))?,
            hidden: size("feed_forward_length")?,
            positions: size("context_length")?,
            rope_theta,
            rope_scaling: scaling,
            norm_epsilon: metadata.float(&key("attention.layer_norm_rms_epsilon"))? as f32,
            tied: gguf.shape("output.weight").is_none(),
            qkv_bias: family == Family::Qwen2,
        };
        dims.check().map_err(|source| LoadError::Sizes { file: file.to_owned(), source })?;
        Ok(Self { family, head: Head::Policy, dims })
    }

    /// Checks that the model has the shape `A`, which may have fewer positions. Whether its output layer is the embedding
    /// table is told of policies alone.
    ///
    /// # Errors
    /// Names the first size that differs, with both values, and an arch that fits.
    pub fn must_be<A: Arch>(&self, file: &Path) -> Result<(), Box<ShapeMismatch>> {
        let (found, needed) = (self.dims, A::DIMS);
        macro_rules! field {
            ($name:ident, $fits:expr) => {{
                let (found, needed) = (found.$name, needed.$name);
                (stringify!($name), $fits(found, needed), format!("{found:?}"), format!("{needed:?}"))
            }};
        }
        let near = |found: f32, needed: f32| (found - needed).abs() <= 1e-6 * found.abs();
        let fields = [
            field!(vocabulary, same),
            field!(width, same),
            field!(layers, same),
            field!(heads, same),
            field!(kv_heads, same),
            field!(head_size, same),
            field!(hidden, same),
            field!(positions, |found, needed| found >= needed),
            field!(rope_theta, near),
            field!(norm_epsilon, near),
            field!(rope_scaling, same),
            field!(tied, |found, needed| found == needed || self.head != Head::Policy),
            field!(qkv_bias, same),
        ];
        match fields.into_iter().enumerate().find(|(_, (_, fits, ..))| !fits) {
            None => Ok(()),
            Some((agreed, (key, _, found, needed))) => {
                let (file, fitting) = (file.to_owned(), declaration(&self.dims));
                Err(Box::new(ShapeMismatch { file, key, agreed, found, needed, arch: A::NAME, fitting }))
            }
        }
    }
}

fn same<T: PartialEq>(found: T, needed: T) -> bool {
    found == needed
}

/// An `arch!` with these sizes.
fn declaration(dims: &Dims) -> String {
    let Dims { vocabulary, width, layers, heads, kv_heads, head_size, hidden, positions, .. } = dims;
    let mut text = format!(
        "pspo::arch! {{\n    pub struct Model {{\n        name: \"model\", vocabulary: {vocabulary}, width: {width}, layers: \
         {layers}, heads: {heads}, kv_heads: {kv_heads},\n        head_size: {head_size}, hidden: {hidden}, positions: \
         {positions}, rope_theta: {:?},",
        dims.rope_theta
    );
    if dims.rope_scaling != Scaling::None {
        text += &format!("\n        rope_scaling: pspo::kernels::rotary::Scaling::{:?},", dims.rope_scaling);
    }
    text + &format!(
        "\n        norm_epsilon: {:?}, tied: {}, qkv_bias: {},\n    }}\n}}",
        dims.norm_epsilon, dims.tied, dims.qkv_bias
    )
}
