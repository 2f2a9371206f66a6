//! The shape of a model as a type: checked when it compiles, and against whatever is loaded into it.

use serde::{Deserialize, Serialize};

use super::error::ModelError;
use crate::data::Layout;
use crate::kernels::attention::Heads;
use crate::kernels::rotary::Scaling;
use crate::plugin::value_init::{HEAD_BIAS, HEAD_WEIGHT};

/// Name of the embedding table, which every model has.
pub(crate) const EMBEDDING: &str = "trunk.embedding";

/// The shape of a decoder of the Llama family. Declare one with [`arch!`](crate::arch!).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the shape of a model",
    note = "declare one with `pspo::arch! {{ pub struct {Self} {{ .. }} }}`"
)]
pub trait Arch: Copy + Send + Sync + std::fmt::Debug + 'static {
    /// The name in a config file.
    const NAME: &'static str;
    /// All sizes.
    const DIMS: Dims;
}

/// The sizes of a model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dims {
    /// Tokens that there are.
    pub vocabulary: usize,
    /// Numbers per hidden state.
    pub width: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Numbers per head.
    pub head_size: usize,
    /// Width of the feed-forward layer.
    pub hidden: usize,
    /// Longest row.
    pub positions: usize,
    /// Base of the rotary angles.
    pub rope_theta: f32,
    /// How the rotary angles are stretched.
    #[serde(default)]
    pub rope_scaling: Scaling,
    /// ε of the norms.
    pub norm_epsilon: f32,
    /// Whether the output layer is the embedding table.
    pub tied: bool,
    /// Whether queries, keys and values have a bias.
    #[serde(default)]
    pub qkv_bias: bool,
}

impl Dims {
    /// Fails to compile, in a constant, when the sizes do not fit together.
    ///
    /// # Panics
    /// If they do not: the message names the sizes.
    pub const fn checked(self) -> Self {
        match self.fault() {
            Some(fault) => panic!("{}", fault),
            None => self,
        }
    }

    /// The same for sizes that were read from a file.
    ///
    /// # Errors
    /// If they do not fit together.
    pub fn check(&self) -> Result<(), ModelError> {
        match self.fault() {
            Some(fault) => Err(ModelError::Dims { dims: Box::new(*self), fault }),
            None => Ok(()),
        }
    }

    /// What is wrong with the sizes.
    const fn fault(&self) -> Option<&'static str> {
        const LARGEST: usize = 1 << 24; // products of two stay far from overflow
        let Self { vocabulary, width, layers, heads, kv_heads, head_size, hidden, positions, .. } = *self;
        if layers == 0 || vocabulary == 0 || hidden == 0 || heads == 0 || head_size == 0 {
            return Some("no size may be 0");
        }
        if vocabulary > LARGEST || width > LARGEST || heads > LARGEST || head_size > LARGEST {
            return Some("no size may be above 2^24");
        }
        if hidden > LARGEST || positions > LARGEST {
            return Some("no size may be above 2^24");
        }
        if layers > 4096 {
            return Some("layers must be at most 4096");
        }
        if heads * head_size != width {
            return Some("heads * head_size must equal width");
        }
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Some("kv_heads must divide heads");
        }
        if !head_size.is_multiple_of(2) {
            return Some("head_size must be even: rotary positions turn pairs");
        }
        if positions < 2 {
            return Some("positions must be at least 2");
        }
        if !(self.rope_theta > 0.0 && self.norm_epsilon > 0.0) {
            return Some("rope_theta and norm_epsilon must be above 0");
        }
        self.rope_scaling.fault()
    }

    pub(crate) const fn attention(&self) -> Heads {
        Heads { queries: self.heads, keys: self.kv_heads, size: self.head_size }
    }

    /// The policy's tensors: trunk and output layer.
    pub fn policy_layout(&self) -> Layout {
        let mut layout = self.trunk_layout();
        if !self.tied {
            layout.push("output.weight", &[self.width, self.vocabulary]);
        }
        layout
    }

    /// The tensors of a critic or PRM: trunk and scalar head.
    pub fn scalar_layout(&self) -> Layout {
        let mut layout = self.trunk_layout();
        layout.push(HEAD_WEIGHT, &[self.width, 1]);
        layout.push(HEAD_BIAS, &[1]);
        layout
    }

    /// Numbers that a pass keeps for each token until its backward pass, four bytes each: width, twice for the norms, queries,
    /// keys and values, what was attended, and the feed-forward layer's three, for each layer. The same for a token of
    /// a short row as for one of a long row. Logits that are few enough to be kept
    /// ([`OutputLayer::keeps`](crate::kernels::token_log_prob::OutputLayer::keeps)) are not counted.
    ///
    /// ```
    /// use pspo::model::Dims;
    ///
    /// let smollm2_135m = Dims {
    ///     vocabulary: 49_152, width: 576, layers: 30, heads: 9, kv_heads: 3, head_size: 64, hidden: 1536,
    ///     positions: 2048, rope_theta: 1e5, rope_scaling: Default::default(), norm_epsilon: 1e-5, tied: true, qkv_bias: false,
    /// };
    /// assert_eq!(smollm2_135m.kept_per_token() * 4, 1_019_692); // bytes
    /// ```
    pub fn kept_per_token(&self) -> usize {
        let heads = self.attention();
        let layer =
            4 * self.width + 2 + heads.qkv_width() + heads.out_width() + heads.queries + 3 * self.hidden;
        // after the last layer: the residual stream, the hidden states and what their norm kept
        self.layers * layer + 2 * self.width + 1
    }

    fn trunk_layout(&self) -> Layout {
        let mut layout = Layout::default();
        layout.push(EMBEDDING, &[self.vocabulary, self.width]);
        for layer in 0..self.layers {
            let name = |part: &str| format!("trunk.layers.{layer}.{part}");
            layout.push(name("attention_norm"), &[self.width]);
            layout.push(name("qkv"), &[self.width, self.attention().qkv_width()]);
            if self.qkv_bias {
                layout.push(name("qkv_bias"), &[self.attention().qkv_width()]);
            }
            layout.push(name("attention_out"), &[self.attention().out_width(), self.width]);
            layout.push(name("feed_forward_norm"), &[self.width]);
            layout.push(name("gate_up"), &[self.width, 2 * self.hidden]);
            layout.push(name("down"), &[self.hidden, self.width]);
        }
        layout.push("trunk.norm", &[self.width]);
        layout
    }
}

/// Declares the shape of a model; sizes that do not fit together do not compile.
///
/// ```
/// pspo::arch! {
///     /// 0.1 M parameters.
///     pub struct Small {
///         name: "small",
///         vocabulary: 256,
///         width: 64,
///         layers: 2,
///         heads: 4,
///         kv_heads: 2,
///         head_size: 16,
///         hidden: 160,
///         positions: 512,
///     }
/// }
/// # fn main() {}
/// ```
///
/// `rope_theta` (10,000), `rope_scaling` (none), `norm_epsilon` (1e-5), `tied` and `qkv_bias` (false) may follow, in
/// this order.
#[macro_export]
macro_rules! arch {
    (
        $(#[$doc:meta])* $vis:vis struct $arch:ident {
            name: $name:expr,
            vocabulary: $vocabulary:expr,
            width: $width:expr,
            layers: $layers:expr,
            heads: $heads:expr,
            kv_heads: $kv_heads:expr,
            head_size: $head_size:expr,
            hidden: $hidden:expr,
            positions: $positions:expr
            $(, rope_theta: $theta:expr)?
            $(, rope_scaling: $scaling:expr)?
            $(, norm_epsilon: $epsilon:expr)?
            $(, tied: $tied:expr)?
            $(, qkv_bias: $bias:expr)?
            $(,)?
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        $vis struct $arch;

        impl $crate::model::Arch for $arch {
            const NAME: &'static str = $name;
            const DIMS: $crate::model::Dims = {
                #[allow(unused_mut, unused_assignments)]
                let mut dims = $crate::model::Dims {
                    vocabulary: $vocabulary,
                    width: $width,
                    layers: $layers,
                    heads: $heads,
                    kv_heads: $kv_heads,
                    head_size: $head_size,
                    hidden: $hidden,
                    positions: $positions,
                    rope_theta: 10_000.0,
                    rope_scaling: $crate::kernels::rotary::Scaling::None,
                    norm_epsilon: 1e-5,
                    tied: false,
                    qkv_bias: false,
                };
                $(dims.rope_theta = $theta;)?
                $(dims.norm_epsilon = $epsilon;)?
                $(dims.tied = $tied;)?
                $(dims.rope_scaling = $scaling;)?
                $(dims.qkv_bias = $bias;)?
                dims.checked()
            };
        }

        // An associated constant is checked where it is used; this one wherever the shape is declared.
        const _: $crate::model::Dims = <$arch as $crate::model::Arch>::DIMS;
    };
}
