//! [`ValueInit`]: the critic's starting parameters.

use std::fmt;

use thiserror::Error;

use crate::data::{Layout, LayoutError, Parameters, Seed};

/// Name of the scalar head's weight, one number per hidden unit, in a critic's or PRM's parameters.
pub const HEAD_WEIGHT: &str = "head.weight";
/// Name of the scalar head's bias.
pub const HEAD_BIAS: &str = "head.bias";
/// What the names of the scalar head's tensors begin with.
pub const HEAD: &str = "head.";
/// What the names of the trunk's tensors begin with, in every model.
pub const TRUNK: &str = "trunk.";

/// What a critic may start from.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ValueSources<'a> {
    /// The critic's tensors: those of the trunk, [`HEAD_WEIGHT`] and [`HEAD_BIAS`].
    pub layout: &'a Layout,
    /// The policy that training starts from.
    pub policy: &'a Parameters,
    /// The PRM's trunk and head, where there is a PRM and it has them.
    pub prm: Option<&'a Parameters>,
    /// For whatever is drawn at random.
    pub seed: Seed,
}

impl<'a> ValueSources<'a> {
    /// Sources without a PRM.
    pub fn new(layout: &'a Layout, policy: &'a Parameters, seed: Seed) -> Self {
        Self { layout, policy, prm: None, seed }
    }

    /// The same with a PRM's parameters.
    pub fn with_prm(self, prm: Option<&'a Parameters>) -> Self {
        Self { prm, ..self }
    }
}

/// Makes the critic's starting parameters.
///
/// # Contract
/// The parameters have the layout of [`ValueSources::layout`] and are finite; the same sources give
/// the same parameters.
///
/// [`testkit::value_init`](super::testkit::value_init) tests this.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not make a critic's starting parameters",
    note = "implement `pspo::plugin::ValueInit`, or take `pspo::value::{{Fresh, FromPolicy, FromPrm}}` or `pspo::trainer::FromCheckpoint`"
)]
pub trait ValueInit: Send + Sync {
    /// The critic's parameters before the first update.
    ///
    /// # Errors
    /// If a source that is needed is missing or has another shape.
    fn init(&self, sources: ValueSources<'_>) -> Result<Parameters, ValueInitError>;

    /// The head alone, [`HEAD_WEIGHT`] `[width, 1]` and [`HEAD_BIAS`] `[1]`, where [`ValueInit::init`] gives the policy's
    /// trunk as it is under it: the trainer shares that trunk then, in place of copies on the host. `None`, the
    /// default, where it may be another.
    fn head_on_policy(&self, width: usize) -> Option<Parameters> {
        let _ = width;
        None
    }

    /// As [`ValueInit::head_on_policy`], where [`ValueInit::init`] gives the PRM's trunk as it is; from `prm`, the PRM's
    /// head. The trainer shares that trunk then, adapters included, where it has the PRM [on the policy's
    /// device](super::ProcessRewardModel::on_device).
    fn head_on_prm(&self, prm: &Parameters) -> Option<Parameters> {
        let _ = prm;
        None
    }
}

/// A value initialization's config, as it stands in a config file under its `type`.
#[typetag::serde(tag = "type")]
pub trait ValueInitConfig: fmt::Debug + Send + Sync {
    /// Makes the value initialization.
    ///
    /// # Errors
    /// If it cannot be made.
    fn build(&self) -> Result<Box<dyn ValueInit>, ValueInitError>;
}

/// A critic could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ValueInitError {
    /// It starts from a PRM, and there is none with a trunk and a head.
    #[error("this critic starts from the PRM's parameters, but there is no PRM that has any")]
    NoPrm,
    /// The source has another shape.
    #[error("the critic cannot start from a model of another shape: {0}")]
    Layout(#[from] LayoutError),
    /// The implementation broke its contract.
    #[error("the value initialization broke its contract: {0}")]
    Contract(String),
    /// The source could not be read.
    #[error("the critic's source could not be read: {0}")]
    Source(String),
}

/// A value initialization whose promises are tested at every call.
pub struct CheckedValueInit(Box<dyn ValueInit>);

impl CheckedValueInit {
    /// Wraps a value initialization.
    pub fn new(init: impl ValueInit + 'static) -> Self {
        Self(Box::new(init))
    }

    /// The critic's parameters before the first update.
    ///
    /// # Errors
    /// As [`ValueInit::init`]; [`ValueInitError::Contract`] for another layout or a number that is
    /// not finite.
    pub fn init(&self, sources: ValueSources<'_>) -> Result<Parameters, ValueInitError> {
        kept(self.0.init(sources)?, sources.layout, "critic")
    }

    /// As [`ValueInit::head_on_policy`].
    ///
    /// # Errors
    /// [`ValueInitError::Contract`] for another layout or a number that is not finite.
    pub fn head_on_policy(&self, width: usize) -> Result<Option<Parameters>, ValueInitError> {
        let head = self.0.head_on_policy(width);
        head.map(|head| kept(head, &head_layout(width), "head")).transpose()
    }

    /// As [`ValueInit::head_on_prm`].
    ///
    /// # Errors
    /// [`ValueInitError::Contract`] for another layout or a number that is not finite.
    pub fn head_on_prm(&self, prm: &Parameters) -> Result<Option<Parameters>, ValueInitError> {
        self.0.head_on_prm(prm).map(|head| kept(head, prm.layout(), "head")).transpose()
    }
}

/// Parameters of a `part` that has this layout.
fn kept(parameters: Parameters, layout: &Layout, part: &str) -> Result<Parameters, ValueInitError> {
    if parameters.layout() != layout {
        return Err(ValueInitError::Contract(format!("its tensors are not those of the {part}")));
    }
    if let Some(value) = parameters.values().iter().find(|value| !value.is_finite()) {
        return Err(ValueInitError::Contract(format!("a parameter is {value}")));
    }
    Ok(parameters)
}

/// The tensors of a scalar head.
pub(crate) fn head_layout(width: usize) -> Layout {
    let mut layout = Layout::default();
    layout.push(HEAD_WEIGHT, &[width, 1]);
    layout.push(HEAD_BIAS, &[1]);
    layout
}

impl ValueInit for Box<dyn ValueInit> {
    fn init(&self, sources: ValueSources<'_>) -> Result<Parameters, ValueInitError> {
        self.as_ref().init(sources)
    }

    fn head_on_policy(&self, width: usize) -> Option<Parameters> {
        self.as_ref().head_on_policy(width)
    }

    fn head_on_prm(&self, prm: &Parameters) -> Option<Parameters> {
        self.as_ref().head_on_prm(prm)
    }
}
