//! [`Tuning`]: what of a model is trained, and what stays as it was loaded.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::arch::{Dims, EMBEDDING};
use super::error::ModelError;
use crate::data::numbers::LoraAlpha;
use crate::data::{Layout, Parameters, Seed};
use crate::plugin::value_init::{HEAD_BIAS, HEAD_WEIGHT};

/// What of a model is trained. What is not costs neither a gradient nor an optimizer's state, and models that started
/// from the same parameters share it. A scalar head is always trained.
///
/// ```
/// use pspo::data::Seed;
/// use pspo::kernels::Device;
/// use pspo::model::{Lora, Policy, Tuning};
///
/// # pspo::arch! {
/// #     struct Small {
/// #         name: "small", vocabulary: 300, width: 16, layers: 2, heads: 2, kv_heads: 1, head_size: 8, hidden: 24,
/// #         positions: 64,
/// #     }
/// # }
/// let policy = Policy::<Small>::random(&Device::cpu(), Seed::root(1))?;
/// let tuned = policy.tuned(&Tuning::Lora(Lora::default()), Seed::root(2))?;
/// assert_eq!(tuned.parameters()?, policy.parameters()?, "adapters begin at nothing");
/// assert!(tuned.trained()?.values().len() < policy.trained()?.values().len());
/// # Ok::<(), pspo::model::ModelError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Tuning {
    /// All parameters.
    #[default]
    Full,
    /// The upper layers, the last norm, and an output layer that is not the embedding table.
    UpperLayers {
        /// How many.
        layers: NonZeroUsize,
    },
    /// Adapters of low rank beside matrices that stay.
    Lora(Lora),
}

/// Adapters of low rank (Hu et al., 2021, arXiv 2106.09685): y = x W + (α / r) x A B, with W fixed, A `[inputs, r]` and
/// B `[r, outputs]`. A starts uniform within ±1 / √inputs, as PEFT's does, and B at 0.
///
/// What reads the same input is one matrix here: queries, keys and values share an A, and so do gate and up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lora {
    /// r.
    pub rank: NonZeroUsize,
    /// α.
    pub alpha: LoraAlpha,
    /// Which matrices of each layer have adapters.
    pub targets: BTreeSet<Projection>,
}

/// A matrix of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Projection {
    /// To queries, keys and values.
    Qkv,
    /// From the heads.
    AttentionOut,
    /// To gate and up.
    GateUp,
    /// Back to the residual stream.
    Down,
}

impl Projection {
    /// All of a layer's.
    pub const ALL: [Self; 4] = [Self::Qkv, Self::AttentionOut, Self::GateUp, Self::Down];

    /// The name of its tensor within a layer.
    pub(crate) fn tensor(self) -> &'static str {
        match self {
            Self::Qkv => "qkv",
            Self::AttentionOut => "attention_out",
            Self::GateUp => "gate_up",
            Self::Down => "down",
        }
    }

    /// Inputs and outputs.
    pub(crate) fn sizes(self, dims: &Dims) -> [usize; 2] {
        let heads = dims.attention();
        match self {
            Self::Qkv => [dims.width, heads.qkv_width()],
            Self::AttentionOut => [heads.out_width(), dims.width],
            Self::GateUp => [dims.width, 2 * dims.hidden],
            Self::Down => [dims.hidden, dims.width],
        }
    }
}

impl Default for Lora {
    fn default() -> Self {
        Self {
            rank: const { NonZeroUsize::new(16).unwrap() },
            alpha: const { LoraAlpha::new(32.0) },
            targets: Projection::ALL.into(),
        }
    }
}

impl Lora {
    /// α / r.
    pub fn scale(&self) -> f32 {
        self.alpha.get() / self.rank.get() as f32
    }
}

/// The name of an adapter's half, `lora_a` or `lora_b`, beside that of its matrix.
pub(crate) fn adapter(matrix: &str, half: char) -> String {
    format!("{matrix}.lora_{half}")
}

impl Tuning {
    /// Checks that it leaves something to train.
    pub(crate) fn check(&self, dims: &Dims) -> Result<(), ModelError> {
        match self {
            Self::UpperLayers { layers } if layers.get() > dims.layers => {
                Err(ModelError::UpperLayers { layers: layers.get(), all: dims.layers })
            }
            Self::Lora(lora) if lora.targets.is_empty() => Err(ModelError::NoTargets),
            _ => Ok(()),
        }
    }

    /// What is trained of a model whose tensors are those of `whole`.
    pub(crate) fn layout(&self, dims: &Dims, whole: &Layout) -> Layout {
        let mut trained = Layout::default();
        let lora = match self {
            Self::Full => return whole.clone(),
            Self::UpperLayers { .. } => None,
            Self::Lora(lora) => Some(lora),
        };
        for (name, shape, _) in whole.iter() {
            if self.trains(dims, name) {
                trained.push(name, shape);
            }
        }
        for (layer, lora) in (0..dims.layers).flat_map(|layer| lora.map(|lora| (layer, lora))) {
            for target in &lora.targets {
                let ([inputs, outputs], rank) = (target.sizes(dims), lora.rank.get());
                let matrix = format!("trunk.layers.{layer}.{}", target.tensor());
                trained.push(adapter(&matrix, 'a'), &[inputs, rank]);
                trained.push(adapter(&matrix, 'b'), &[rank, outputs]);
            }
        }
        trained
    }

    /// Whether a tensor of the model itself is trained.
    fn trains(&self, dims: &Dims, name: &str) -> bool {
        match self {
            Self::Full => true,
            _ if name == HEAD_WEIGHT || name == HEAD_BIAS => true,
            Self::Lora(_) => false,
            Self::UpperLayers { layers } => match name.strip_prefix("trunk.layers.") {
                Some(rest) => {
                    let layer = rest.split('.').next().and_then(|layer| layer.parse().ok());
                    layer.is_some_and(|layer: usize| layer + layers.get() >= dims.layers)
                }
                None => name != EMBEDDING,
            },
        }
    }
}

/// Trained parameters at their start: tensors of the model are as `whole` has them, adapters are as [`Lora`] says.
pub(crate) fn start<E>(
    layout: Layout,
    seed: Seed,
    whole: impl Fn(&str) -> Result<Option<Vec<f32>>, E>,
) -> Result<Parameters, E> {
    let mut trained = Parameters::zeros(layout.clone());
    for (name, shape, place) in layout.iter() {
        let values = &mut trained.values_mut()[place];
        if let Some(whole) = whole(name)? {
            values.copy_from_slice(&whole);
        } else if name.ends_with(".lora_a") {
            let bound = 1.0 / (shape[0] as f32).sqrt();
            let mut rng = seed.child(name).rng();
            values.fill_with(|| rng.random_range(-bound..=bound));
        }
    }
    Ok(trained)
}
