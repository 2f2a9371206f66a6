//! The small models that `record_gradients.py` makes with transformers, one of each kind that the trunk computes.

use pspo::kernels::rotary::Scaling;

pspo::arch! {
    /// Grouped queries, an output layer of its own, angles that are stretched by their frequency.
    pub struct Llama {
        name: "llama", vocabulary: 20, width: 16, layers: 2, heads: 2, kv_heads: 1, head_size: 8, hidden: 12,
        positions: 64, rope_theta: 500.0,
        rope_scaling: Scaling::Llama3 {
            factor: 8.0, low_frequency: 1.0, high_frequency: 4.0, original_positions: 32,
        },
    }
}

pspo::arch! {
    /// The output layer is the embedding table.
    pub struct LlamaTied {
        name: "llama_tied", vocabulary: 20, width: 16, layers: 1, heads: 4, kv_heads: 2, head_size: 4, hidden: 12,
        positions: 64, rope_theta: 100.0, rope_scaling: Scaling::Linear { factor: 4.0 }, norm_epsilon: 1e-3, tied: true,
    }
}

pspo::arch! {
    /// A bias of queries, keys and values.
    pub struct Qwen2 {
        name: "qwen2", vocabulary: 20, width: 16, layers: 2, heads: 4, kv_heads: 2, head_size: 4, hidden: 12,
        positions: 64, rope_theta: 1000.0, norm_epsilon: 1e-6, tied: true, qkv_bias: true,
    }
}
