//! `config.json` as transformers reads it.

use serde_json::{Value, json};

use super::Saving;
use crate::kernels::rotary::Scaling;
use crate::model::Dims;
use crate::pretrained::config::Family;
use crate::pretrained::head::Head;

/// A model whose queries, keys and values have a bias is one of the Qwen2 family, any other of Llama's.
pub(super) fn family(dims: &Dims) -> Family {
    if dims.qkv_bias { Family::Qwen2 } else { Family::Llama }
}

/// The configuration of a model whose responses end with the token `end`.
pub(super) fn config(saving: &Saving<'_>, end: u32) -> Value {
    let dims = saving.dims;
    let (model_type, class) = match family(dims) {
        Family::Llama => ("llama", "Llama"),
        Family::Qwen2 => ("qwen2", "Qwen2"),
    };
    let scaling = match dims.rope_scaling {
        Scaling::None => Value::Null,
        Scaling::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
        Scaling::Llama3 { factor, low_frequency, high_frequency, original_positions } => json!({
            "rope_type": "llama3", "factor": factor, "low_freq_factor": low_frequency,
            "high_freq_factor": high_frequency, "original_max_position_embeddings": original_positions,
        }),
    };
    let mut config = json!({
        "model_type": model_type, "torch_dtype": saving.precision.name(),
        "vocab_size": dims.vocabulary, "hidden_size": dims.width, "num_hidden_layers": dims.layers,
        "num_attention_heads": dims.heads, "num_key_value_heads": dims.kv_heads, "head_dim": dims.head_size,
        "intermediate_size": dims.hidden, "max_position_embeddings": dims.positions,
        "rope_theta": dims.rope_theta, "rope_scaling": scaling, "rms_norm_eps": dims.norm_epsilon,
        "tie_word_embeddings": dims.tied, "hidden_act": "silu", "attention_bias": false, "mlp_bias": false,
        "use_sliding_window": false, "bos_token_id": null, "eos_token_id": end,
    });
    match saving.head {
        Head::Policy => config["architectures"] = json!([format!("{class}ForCausalLM")]),
        Head::Scalar(meaning) => {
            let label = meaning.map_or("LABEL_0", |meaning| meaning.label());
            config["architectures"] = json!([format!("{class}ForTokenClassification")]);
            config["id2label"] = json!({ "0": label });
            config["label2id"] = json!({ label: 0 });
            // transformers drops a tenth of the hidden states otherwise, when it trains
            config["classifier_dropout"] = json!(0.0);
            config["pspo"] = json!(meaning);
        }
    }
    config
}
