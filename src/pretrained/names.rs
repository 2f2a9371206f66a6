//! The names of a model's tensors in files, and how they become the trunk's.
//!
//! In files a weight is `[outputs, inputs]`, and queries, keys and values are apart, as are gate and up; in the trunk it is
//! `[inputs, outputs]`, with those that read the same input side by side.

use super::config::Family;
use super::head::Head;
use crate::model::Dims;
use crate::plugin::value_init::{HEAD_BIAS, HEAD_WEIGHT};

/// Who names the tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// transformers.
    Transformers,
    /// llama.cpp, in GGUF files.
    Gguf,
}

/// A tensor of a file, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// The name in the file.
    pub(super) name: String,
    /// The shape in the file: `[outputs, inputs]`, or `[size]`.
    pub(super) shape: Vec<usize>,
    /// The trunk's tensor that it is a part of.
    pub(super) target: String,
    /// The columns of that tensor that it becomes, from this one on.
    pub(super) column: usize,
    /// How its rows lie.
    pub(super) order: Order,
}

/// The order of a file's rows, and whether they become columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// As they are: vectors, and the embedding table.
    Kept,
    /// Rows become columns.
    Transposed,
    /// The same, for rows in which the halves of each head of `head_size` lie in turns: llama.cpp stores queries and keys of
    /// the Llama family so, since it turns neighbours where transformers turns halves.
    Interleaved {
        /// Rows of a head.
        head_size: usize,
    },
}

impl Order {
    /// The place in the trunk's order of row `row` of the file.
    pub(super) fn place(self, row: usize) -> usize {
        match self {
            Self::Kept | Self::Transposed => row,
            Self::Interleaved { head_size } => {
                let (head, within) = (row / head_size, row % head_size);
                head * head_size + within % 2 * (head_size / 2) + within / 2
            }
        }
    }
}

/// The tensors of a model in a file. A scalar head has but one naming, that of transformers.
pub(super) fn sources(naming: Naming, family: Family, head: Head, dims: &Dims) -> Vec<Source> {
    let Dims { vocabulary, width, layers, heads, kv_heads, head_size, hidden, .. } = *dims;
    let (queries, keys) = (heads * head_size, kv_heads * head_size);
    let hub = naming == Naming::Transformers;
    let name = |of_hub: &str, of_gguf: &str| (if hub { of_hub } else { of_gguf }).to_owned();
    let turned = match (naming, family) {
        (Naming::Gguf, Family::Llama) => Order::Interleaved { head_size },
        _ => Order::Transposed,
    };
    let mut sources = Vec::new();
    let mut push = |name: String, shape: &[usize], target: String, column, order| {
        sources.push(Source { name, shape: shape.to_vec(), target, column, order });
    };
    let embedding = name("model.embed_tokens.weight", "token_embd.weight");
    push(embedding, &[vocabulary, width], "trunk.embedding".to_owned(), 0, Order::Kept);
    for layer in 0..layers {
        let name = |of_hub: &str, of_gguf: &str| {
            if hub { format!("model.layers.{layer}.{of_hub}") } else { format!("blk.{layer}.{of_gguf}") }
        };
        let target = |part: &str| format!("trunk.layers.{layer}.{part}");
        for (of_hub, of_gguf, part) in [
            ("input_layernorm.weight", "attn_norm.weight", "attention_norm"),
            ("post_attention_layernorm.weight", "ffn_norm.weight", "feed_forward_norm"),
        ] {
            push(name(of_hub, of_gguf), &[width], target(part), 0, Order::Kept);
        }
        for (of_hub, of_gguf, rows, column, order) in [
            ("q_proj", "attn_q", queries, 0, turned),
            ("k_proj", "attn_k", keys, queries, turned),
            ("v_proj", "attn_v", keys, queries + keys, Order::Transposed),
        ] {
            let weight = name(&format!("self_attn.{of_hub}.weight"), &format!("{of_gguf}.weight"));
            push(weight, &[rows, width], target("qkv"), column, order);
            if dims.qkv_bias {
                let bias = name(&format!("self_attn.{of_hub}.bias"), &format!("{of_gguf}.bias"));
                push(bias, &[rows], target("qkv_bias"), column, order);
            }
        }
        for (of_hub, of_gguf, shape, part, column) in [
            ("self_attn.o_proj.weight", "attn_output.weight", [width, queries], "attention_out", 0),
            ("mlp.gate_proj.weight", "ffn_gate.weight", [hidden, width], "gate_up", 0),
            ("mlp.up_proj.weight", "ffn_up.weight", [hidden, width], "gate_up", hidden),
            ("mlp.down_proj.weight", "ffn_down.weight", [width, hidden], "down", 0),
        ] {
            push(name(of_hub, of_gguf), &shape, target(part), column, Order::Transposed);
        }
    }
    push(name("model.norm.weight", "output_norm.weight"), &[width], "trunk.norm".to_owned(), 0, Order::Kept);
    match head {
        Head::Policy if dims.tied => {}
        Head::Policy => {
            let output = name("lm_head.weight", "output.weight");
            push(output, &[vocabulary, width], "output.weight".to_owned(), 0, Order::Transposed);
        }
        Head::Scalar(_) => {
            push("score.weight".to_owned(), &[1, width], HEAD_WEIGHT.to_owned(), 0, Order::Transposed);
            push("score.bias".to_owned(), &[1], HEAD_BIAS.to_owned(), 0, Order::Kept);
        }
    }
    sources
}

/// Whether a tensor that is not among the [`sources`] changes nothing: tables of angles, which old files have, and the output
/// layer of tied models, where a file has it again.
pub(super) fn is_redundant(naming: Naming, dims: &Dims, name: &str) -> bool {
    match naming {
        Naming::Transformers => {
            name.ends_with("rotary_emb.inv_freq") || (dims.tied && name == "lm_head.weight")
        }
        Naming::Gguf => false,
    }
}
