//! The shapes that are compared, and what a peer needs to make the same model.

use std::path::Path;

use pspo::data::{Parameters, Seed, Sequence};
use pspo::model::{Arch, Dims};
use rand::RngExt;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

pspo::arch! {
    /// 1.3 million parameters, of which the embeddings have 0.5.
    pub(crate) struct Width128 {
        name: "width-128", vocabulary: 2048, width: 128, layers: 4, heads: 4, kv_heads: 2, head_size: 32, hidden: 352,
        positions: 512,
    }
}

pspo::arch! {
    /// 3.9 million parameters, of which the embeddings have 1.0.
    pub(crate) struct Width256 {
        name: "width-256", vocabulary: 2048, width: 256, layers: 4, heads: 4, kv_heads: 2, head_size: 64, hidden: 688,
        positions: 512,
    }
}

pspo::arch! {
    /// SmolLM2-135M: 134.5 million parameters, of which the embeddings have 28.3.
    pub(crate) struct Width576 {
        name: "width-576", vocabulary: 49_152, width: 576, layers: 30, heads: 9, kv_heads: 3, head_size: 64,
        hidden: 1536, positions: 2048, rope_theta: 100_000.0, tied: true,
    }
}

/// Tokens of each prompt and of each response.
pub(crate) const PROMPT: usize = 64;
pub(crate) const RESPONSE: usize = 192;

/// Rows of random tokens.
pub(crate) fn rows<A: Arch>(count: usize, prompt: usize, response: usize) -> Vec<Sequence> {
    let mut rng = Seed::root(1).child("rows").rng();
    let mut tokens = |n| (0..n).map(|_| rng.random_range(0..A::DIMS.vocabulary as u32)).collect::<Vec<u32>>();
    (0..count).map(|_| Sequence { prompt: tokens(prompt), response: tokens(response) }).collect()
}

/// Writes parameters under the names and in the layout of this library, with the sizes in `dims.json`.
pub(crate) fn write<A: Arch>(folder: &Path, name: &str, parameters: &Parameters) {
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = parameters
        .layout()
        .iter()
        .map(|(name, shape, range)| {
            let values = &parameters.values()[range];
            (name.to_owned(), shape.to_vec(), values.iter().flat_map(|v| v.to_le_bytes()).collect())
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("as many bytes as the shape says"))
    });
    safetensors::serialize_to_file(views, None, &folder.join(name)).expect("the folder can be written");
    let dims = serde_json::to_vec(&A::DIMS).expect("sizes are plain");
    std::fs::write(folder.join("dims.json"), dims).expect("the folder can be written");
}

/// Operations (two for each multiplication with its addition) that a model cannot do without.
pub(crate) struct Operations(pub(crate) Dims);

impl Operations {
    /// Weights of all products of the layers.
    pub(crate) fn layer_weights(&self) -> f64 {
        let Dims { width, layers, heads, kv_heads, head_size, hidden, .. } = self.0;
        (layers * (width * (heads + 2 * kv_heads) * head_size + width * width + 3 * width * hidden)) as f64
    }

    /// Weights of the output layer.
    pub(crate) fn output_weights(&self) -> f64 {
        (self.0.width * self.0.vocabulary) as f64
    }

    /// Attention of one row, forward: each token with itself and those before it.
    fn attention(&self, len: usize) -> f64 {
        4.0 * (self.0.layers * self.0.heads * self.0.head_size * len * (len + 1) / 2) as f64
    }

    /// A forward pass over rows of `len` tokens of which the output layer sees `scored`.
    pub(crate) fn forward(&self, rows: usize, len: usize, scored: usize) -> f64 {
        let products = (len as f64) * self.layer_weights() + (scored as f64) * self.output_weights();
        rows as f64 * (2.0 * products + self.attention(len))
    }

    /// A forward and a backward pass, which has two products for each of the forward pass's.
    pub(crate) fn training(&self, rows: usize, len: usize, scored: usize) -> f64 {
        3.0 * self.forward(rows, len, scored)
    }

    /// Decoding of a response to a prompt: the prompt in one pass without logits, then token by token.
    pub(crate) fn decoding(&self, rows: usize, prompt: usize, response: usize) -> f64 {
        let tokens = (prompt + response - 1) as f64;
        let products = tokens * self.layer_weights() + response as f64 * self.output_weights();
        rows as f64 * (2.0 * products + self.attention(prompt + response - 1))
    }
}
