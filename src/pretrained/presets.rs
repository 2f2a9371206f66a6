//! Shapes of models that are often used. Another one is a dozen lines: the error for a model of another shape prints them.

use super::error::LoadError;
use super::load::Pretrained;
use crate::kernels::rotary::Scaling;
use crate::model::Arch;

/// What to do with a model whose shape is known at run time alone: [`Pretrained::visit`] calls it with the preset that
/// the model fits.
///
/// ```no_run
/// use pspo::kernels::Device;
/// use pspo::model::Arch;
/// use pspo::pretrained::{LoadError, Pretrained, presets::Visitor};
///
/// struct Parameters<'a>(&'a Pretrained);
///
/// impl Visitor for Parameters<'_> {
///     type Output = Result<usize, LoadError>;
///
///     fn visit<A: Arch>(self) -> Self::Output {
///         Ok(self.0.parameters::<A>()?.values().len())
///     }
/// }
///
/// let model = Pretrained::open("Qwen2.5-Coder-0.5B-Instruct")?;
/// println!("{} parameters", model.visit(Parameters(&model))??);
/// # Ok::<(), LoadError>(())
/// ```
pub trait Visitor {
    /// What comes out.
    type Output;

    /// Does it, for a model of shape `A`.
    fn visit<A: Arch>(self) -> Self::Output;
}

pub(super) fn visit<V: Visitor>(model: &Pretrained, visitor: V) -> Result<V::Output, LoadError> {
    let mut mismatches = Vec::new();
    macro_rules! presets {
        ($($preset:ident),*) => {
            $(match model.must_be::<$preset>() {
                Ok(()) => return Ok(visitor.visit::<$preset>()),
                Err(mismatch) => mismatches.push(mismatch),
            })*
        };
    }
    presets!(
        SmolLm2135M,
        Qwen25Coder05B,
        Qwen25Coder05BUntied,
        Qwen25Coder15B,
        Qwen25Coder15BUntied,
        DeepSeekCoder13B
    );
    let nearest = mismatches.into_iter().rev().max_by_key(|mismatch| mismatch.agreed);
    Err(nearest.expect("there are presets").into())
}

crate::arch! {
    /// SmolLM2-135M and its Instruct version.
    pub struct SmolLm2135M {
        name: "smollm2-135m", vocabulary: 49_152, width: 576, layers: 30, heads: 9, kv_heads: 3, head_size: 64,
        hidden: 1536, positions: 8192, rope_theta: 100_000.0, norm_epsilon: 1e-5, tied: true,
    }
}

crate::arch! {
    /// Qwen2.5-Coder-0.5B and its Instruct version.
    pub struct Qwen25Coder05B {
        name: "qwen2.5-coder-0.5b", vocabulary: 151_936, width: 896, layers: 24, heads: 14, kv_heads: 2, head_size: 64,
        hidden: 4864, positions: 32_768, rope_theta: 1_000_000.0, norm_epsilon: 1e-6, tied: true, qkv_bias: true,
    }
}

crate::arch! {
    /// Qwen2.5-Coder-1.5B and its Instruct version.
    pub struct Qwen25Coder15B {
        name: "qwen2.5-coder-1.5b", vocabulary: 151_936, width: 1536, layers: 28, heads: 12, kv_heads: 2, head_size: 128,
        hidden: 8960, positions: 32_768, rope_theta: 1_000_000.0, norm_epsilon: 1e-6, tied: true, qkv_bias: true,
    }
}

crate::arch! {
    /// Qwen2.5-Coder-1.5B from a GGUF file of Qwen's, where the output layer is a tensor of its own.
    pub struct Qwen25Coder15BUntied {
        name: "qwen2.5-coder-1.5b-untied", vocabulary: 151_936, width: 1536, layers: 28, heads: 12, kv_heads: 2,
        head_size: 128, hidden: 8960, positions: 32_768, rope_theta: 1_000_000.0, norm_epsilon: 1e-6, tied: false,
        qkv_bias: true,
    }
}

crate::arch! {
    /// Qwen2.5-Coder-0.5B from a GGUF file of Qwen's, where the output layer is a tensor of its own, rounded otherwise than the
    /// embedding table.
    pub struct Qwen25Coder05BUntied {
        name: "qwen2.5-coder-0.5b-untied", vocabulary: 151_936, width: 896, layers: 24, heads: 14, kv_heads: 2,
        head_size: 64, hidden: 4864, positions: 32_768, rope_theta: 1_000_000.0, norm_epsilon: 1e-6, tied: false,
        qkv_bias: true,
    }
}

crate::arch! {
    /// DeepSeek-Coder-1.3B, base and Instruct.
    pub struct DeepSeekCoder13B {
        name: "deepseek-coder-1.3b", vocabulary: 32_256, width: 2048, layers: 24, heads: 16, kv_heads: 16, head_size: 128,
        hidden: 5504, positions: 16_384, rope_theta: 100_000.0, rope_scaling: Scaling::Linear { factor: 4.0 },
        norm_epsilon: 1e-6,
    }
}
