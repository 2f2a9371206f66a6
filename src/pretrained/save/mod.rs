//! A policy as a folder that transformers loads, and with it what is built on transformers.

use std::borrow::Cow;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::View;
use serde_json::{Value, json};

use super::config::Family;
use super::error::SaveError;
use super::names::{Naming, Order, Source, sources};
use crate::data::Parameters;
use crate::files::write_atomically;
use crate::kernels::rotary::Scaling;
use crate::model::{Dims, Tokenizer};

/// Writes `config.json`, `model.safetensors` (32-bit floats), `tokenizer.json` and `tokenizer_config.json` into `folder`,
/// which is made if need be. Each file is written beside an older one and then takes its place.
///
/// A model whose queries, keys and values have a bias is written as one of the Qwen2 family, any other as Llama.
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
/// If the parameters are not those of a policy of this shape, or a file cannot be written.
pub fn save(
    folder: impl AsRef<Path>,
    dims: &Dims,
    parameters: &Parameters,
    tokenizer: &Tokenizer,
) -> Result<(), SaveError> {
    let folder = folder.as_ref();
    parameters.layout().must_equal(&dims.policy_layout())?;
    std::fs::create_dir_all(folder).map_err(SaveError::io(folder))?;
    let sources = sources(Naming::Transformers, family(dims), dims);
    let tensors = sources.iter().map(|source| {
        let (shape, place) = parameters.layout().tensor(&source.target)?;
        let (values, columns) = (&parameters.values()[place], shape[shape.len() - 1]);
        Ok((source.name.as_str(), Tensor { source, values, columns }))
    });
    let tensors = tensors.collect::<Result<Vec<_>, SaveError>>()?;
    // transformers refuses a file that does not say so
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    let model = folder.join("model.safetensors");
    safetensors::serialize_to_file(tensors, Some(metadata), &model)
        .map_err(|source| SaveError::Safetensors { file: model.clone(), source })?;
    let text = |name: &str, text: String| {
        let file = folder.join(name);
        write_atomically(&file, text.as_bytes()).map_err(SaveError::io(&file))
    };
    text("tokenizer.json", tokenizer.to_json()?)?;
    let class = json!({
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": tokenizer.end_name(),
        "clean_up_tokenization_spaces": false, "model_max_length": dims.positions,
    });
    text("tokenizer_config.json", format!("{class:#}\n"))?;
    text("config.json", format!("{:#}\n", config(dims, tokenizer.end())))?;
    // The crate makes a file that only its owner may read: whoever may read the others is to read it as well.
    let config = folder.join("config.json");
    let permissions = std::fs::metadata(&config).map_err(SaveError::io(&config))?.permissions();
    std::fs::set_permissions(&model, permissions).map_err(SaveError::io(&model))
}

fn family(dims: &Dims) -> Family {
    if dims.qkv_bias { Family::Qwen2 } else { Family::Llama }
}

fn config(dims: &Dims, end: u32) -> Value {
    let (model_type, architecture) = match family(dims) {
        Family::Llama => ("llama", "LlamaForCausalLM"),
        Family::Qwen2 => ("qwen2", "Qwen2ForCausalLM"),
    };
    let scaling = match dims.rope_scaling {
        Scaling::None => Value::Null,
        Scaling::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
        Scaling::Llama3 { factor, low_frequency, high_frequency, original_positions } => json!({
            "rope_type": "llama3", "factor": factor, "low_freq_factor": low_frequency,
            "high_freq_factor": high_frequency, "original_max_position_embeddings": original_positions,
        }),
    };
    json!({
        "model_type": model_type, "architectures": [architecture], "torch_dtype": "float32",
        "vocab_size": dims.vocabulary, "hidden_size": dims.width, "num_hidden_layers": dims.layers,
        "num_attention_heads": dims.heads, "num_key_value_heads": dims.kv_heads, "head_dim": dims.head_size,
        "intermediate_size": dims.hidden, "max_position_embeddings": dims.positions,
        "rope_theta": dims.rope_theta, "rope_scaling": scaling, "rms_norm_eps": dims.norm_epsilon,
        "tie_word_embeddings": dims.tied, "hidden_act": "silu", "attention_bias": false, "mlp_bias": false,
        "use_sliding_window": false, "bos_token_id": null, "eos_token_id": end,
    })
}

/// A file's tensor, made of the trunk's when it is written.
struct Tensor<'a> {
    source: &'a Source,
    values: &'a [f32],
    columns: usize,
}

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.source.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let Self { source, values, columns } = self;
        let bytes = match source.order {
            Order::Kept => values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>(),
            order => (0..source.shape[0])
                .flat_map(|row| {
                    let column = source.column + order.place(row);
                    values.chunks_exact(*columns).flat_map(move |row| row[column].to_le_bytes())
                })
                .collect(),
        };
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        4 * self.source.shape.iter().product::<usize>()
    }
}
