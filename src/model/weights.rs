//! A model's parameters on its device.

use std::sync::Arc;

use super::error::ModelError;
use super::gradient::{GradientHandle, SharedGradient};
use super::precision::Precision;
use super::tensors::{Tensors, unshared};
use super::trunk::{Finder, Keep, Place, Trunk, Values};
use super::tuning::{self, Projection, Tuning};
use super::{Dims, optimizer};
use crate::data::{Layout, LayoutError, Parameters, Seed};
use crate::kernels::{Buffer, Device, KernelError};
use crate::plugin::value_init::{HEAD, head_layout};

/// Parameters on a device. A clone shares them until one of the two is trained: so the reference policy
/// costs nothing until the policy's first update, and what is not trained nothing at all.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    pub(crate) trunk: Arc<Trunk>,
    /// Of all parameters, adapters apart.
    pub(crate) whole: Arc<Layout>,
    /// Of the trained ones.
    pub(crate) layout: Arc<Layout>,
    /// How matrices are held.
    pub(crate) precision: Precision,
    values: SharedValues,
    /// What is trained in f32, in the order of its layout, where the values are rounded. `None` before the first update,
    /// when values and masters are the same numbers.
    masters: Option<Arc<Buffer>>,
    /// What a pass keeps that will run backward.
    pub(crate) keep: Keep,
    gradient: SharedGradient,
}

/// The values that a model computes with, shared.
#[derive(Clone, Debug)]
pub(crate) struct SharedValues {
    trained: Tensors,
    /// All parameters as they were before training; `None` where all are trained.
    frozen: Option<Tensors>,
}

impl SharedValues {
    pub(crate) fn get(&self) -> Values<'_> {
        Values { trained: &self.trained, frozen: self.frozen.as_ref() }
    }
}

impl Weights {
    pub(crate) fn new(
        device: &Device,
        dims: Dims,
        parameters: &Parameters,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        Self::read(device, dims, parameters.layout().clone(), precision, |name, to| {
            to.copy_from_slice(parameters.tensor(name)?);
            Ok(())
        })
    }

    /// Parameters that `read` gives by name, tensor by tensor.
    pub(crate) fn read<E: From<ModelError>>(
        device: &Device,
        dims: Dims,
        whole: Layout,
        precision: Precision,
        mut read: impl FnMut(&str, &mut [f32]) -> Result<(), E>,
    ) -> Result<Self, E> {
        /// An error of the device or of the reader.
        struct Failed<E>(E);
        impl<E: From<ModelError>> From<KernelError> for Failed<E> {
            fn from(error: KernelError) -> Self {
                Self(ModelError::from(error).into())
            }
        }
        let read = |name: &str, to: &mut [f32]| read(name, to).map_err(Failed);
        let values = Tensors::read(device, precision, &whole, read).map_err(|Failed(error)| error)?;
        let whole = Arc::new(whole);
        let values = SharedValues { trained: values, frozen: None };
        Ok(Self::of(device, dims, whole.clone(), whole, precision, &Tuning::Full, values, None)?)
    }

    fn of(
        device: &Device,
        dims: Dims,
        whole: Arc<Layout>,
        layout: Arc<Layout>,
        precision: Precision,
        tuning: &Tuning,
        values: SharedValues,
        masters: Option<Buffer>,
    ) -> Result<Self, ModelError> {
        let finder = Finder { trained: &layout, whole: &whole, precision };
        let trunk = Arc::new(Trunk::new(device, dims, finder, tuning)?);
        let masters = masters.filter(|_| !values.trained.are_exact()).map(Arc::new);
        Ok(Self {
            trunk,
            whole,
            layout,
            precision,
            values,
            masters,
            keep: Keep::All,
            gradient: SharedGradient::default(),
        })
    }

    /// The same parameters, of which `tuning` says what is trained.
    pub(crate) fn tuned(&self, tuning: &Tuning, seed: Seed) -> Result<Self, ModelError> {
        tuning.check(&self.trunk.dims)?;
        let whole = match (&self.values.frozen, tuning) {
            (None, Tuning::Full) => return Ok(self.fork()),
            (None, _) => self.values.trained.clone(),
            (Some(_), _) => self.merged(self.precision)?,
        };
        let tuned = self.start(&self.whole, whole, tuning, seed, |name| self.tensor(name))?;
        Ok(Self { keep: self.keep, ..tuned })
    }

    /// Parameters at the start of a training of what `tuning` says, of `frozen`, which has at least the tensors of
    /// `whole` that are not trained: those that are trained begin as `tensor` has them.
    fn start(
        &self,
        whole: &Arc<Layout>,
        frozen: Tensors,
        tuning: &Tuning,
        seed: Seed,
        tensor: impl Fn(&str) -> Result<Vec<f32>, ModelError>,
    ) -> Result<Self, ModelError> {
        let (device, dims, precision) = (self.device(), self.trunk.dims, self.precision);
        let layout = Arc::new(tuning.layout(&dims, whole));
        let (values, masters) = match tuning {
            Tuning::Full => (SharedValues { trained: frozen, frozen: None }, None),
            _ => {
                let start = tuning::start(layout.as_ref().clone(), seed, |name| {
                    whole.range(name).is_ok().then(|| tensor(name)).transpose()
                })?;
                let masters = device.upload(start.values())?;
                let trained = Tensors::of_masters(device, precision, &layout, &masters)?;
                // Of a model that was neither updated nor tuned, they are the same numbers.
                let exact = self.masters.is_none() && self.values.frozen.is_none();
                (SharedValues { trained, frozen: Some(frozen) }, (!exact).then_some(masters))
            }
        };
        Self::of(device, dims, whole.clone(), layout, precision, tuning, values, masters)
    }

    /// A model of the layout `whole`, a trunk like this one under `head`, which begins as this trunk and shares what neither
    /// of them trains. Both are tuned alike.
    pub(crate) fn under_head(
        &self,
        whole: Layout,
        head: &Parameters,
        tuning: &Tuning,
        seed: Seed,
    ) -> Result<Self, ModelError> {
        head.layout().must_equal(&head_layout(self.trunk.dims.width))?;
        let tensor = |name: &str| match head.tensor(name) {
            Ok(values) => Ok(values.to_vec()),
            Err(_) => self.tensor(name),
        };
        match &self.values.frozen {
            // The trunk comes first in the layouts of policies and of scalar models, so its tensors are where they are.
            Some(frozen) if *tuning != Tuning::Full => {
                self.start(&Arc::new(whole), frozen.clone(), tuning, seed, tensor)
            }
            _ => Self::read(self.device(), self.trunk.dims, whole, self.precision, |name, to| {
                to.copy_from_slice(&tensor(name)?);
                Ok(())
            }),
        }
    }

    /// The same parameters under another head, trained by `tuning`: where they were trained by it before, adapters go on;
    /// otherwise they are [tuned](Self::tuned) anew.
    pub(crate) fn going_on(
        &self,
        head: &Parameters,
        tuning: &Tuning,
        seed: Seed,
    ) -> Result<Self, ModelError> {
        head.layout().must_equal(&head_layout(self.trunk.dims.width))?;
        let mut weights = if self.trunk.tuning == *tuning { self.fork() } else { self.tuned(tuning, seed)? };
        let mut trained = weights.download_trained()?;
        trained.copy_prefix_from(head, HEAD)?;
        weights.set_trained(&trained)?;
        Ok(weights)
    }

    /// The same parameters in that precision, all of them trained.
    pub(crate) fn in_precision(&self, precision: Precision) -> Result<Self, ModelError> {
        if precision == self.precision && self.values.frozen.is_none() {
            return Ok(self.fork());
        }
        let values = SharedValues { trained: self.merged(precision)?, frozen: None };
        let (device, whole) = (self.device(), self.whole.clone());
        Self::of(device, self.trunk.dims, whole.clone(), whole, precision, &Tuning::Full, values, None)
    }

    /// Lets go of frozen parameters that are those of `other`, and shares its own.
    pub(crate) fn share_frozen(&mut self, other: &Self) -> Result<(), ModelError> {
        let (Some(own), Some(theirs)) = (&self.values.frozen, &other.values.frozen) else { return Ok(()) };
        if !self.device().has_memory_of(other.device()) {
            return Ok(());
        }
        // The trunk comes first in the layouts of policies and of scalar models.
        for (name, _, spot) in
            self.precision.spots(&self.whole).filter(|(name, ..)| name.starts_with("trunk."))
        {
            let download = |values: &Tensors| values.download(self.device(), &spot);
            if other.precision.spot(&other.whole, name)?.0 != spot || download(own)? != download(theirs)? {
                return Ok(());
            }
        }
        self.values.frozen = Some(theirs.clone());
        Ok(())
    }

    /// The same parameters with a gradient of their own.
    pub(crate) fn fork(&self) -> Self {
        Self { gradient: SharedGradient::default(), ..self.clone() }
    }

    pub(crate) fn device(&self) -> &Device {
        &self.trunk.device
    }

    pub(crate) fn values(&self) -> Values<'_> {
        self.values.get()
    }

    pub(crate) fn shared_values(&self) -> SharedValues {
        self.values.clone()
    }

    pub(crate) fn place(&self, name: &str) -> Result<Place, LayoutError> {
        Finder { trained: &self.layout, whole: &self.whole, precision: self.precision }.place(name)
    }

    pub(crate) fn gradient(&self) -> GradientHandle {
        GradientHandle::new(self.layout.len(), self.trunk.clone(), self.gradient.clone())
    }

    /// All values in that precision, adapters merged.
    fn merged(&self, precision: Precision) -> Result<Tensors, ModelError> {
        Tensors::read(self.device(), precision, &self.whole, |name, to| {
            to.copy_from_slice(&self.tensor(name)?);
            Ok(())
        })
    }

    /// A tensor of the whole model or of what is trained: its master, or a matrix with its adapter merged into it.
    fn tensor(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        let (device, w) = (self.device(), self.values());
        if let Ok((spot, place)) = self.precision.spot(&self.layout, name) {
            return Ok(match &self.masters {
                Some(masters) => device.download(masters.slice(place))?,
                None => w.trained.download(device, &spot)?,
            });
        }
        for (layer, place) in self.trunk.places.layers.iter().enumerate() {
            for (projection, matrix) in Projection::ALL.into_iter().zip(place.matrices()) {
                if matrix.adapter.is_some() && name == format!("trunk.layers.{layer}.{}", projection.tensor())
                {
                    let merged = matrix.merged(device, w)?;
                    return Ok(device.download(merged.expect("it has an adapter").view())?);
                }
            }
        }
        let frozen = w.frozen.ok_or_else(|| LayoutError::Missing(name.to_owned()))?;
        Ok(frozen.download(device, &self.precision.spot(&self.whole, name)?.0)?)
    }

    /// All parameters, adapters merged into the matrices that they stand beside.
    pub(crate) fn download(&self) -> Result<Parameters, ModelError> {
        self.gather(&self.whole)
    }

    /// The trained parameters: tensors of the model, and adapters.
    pub(crate) fn download_trained(&self) -> Result<Parameters, ModelError> {
        self.gather(&self.layout)
    }

    /// The tensors of `layout`.
    pub(crate) fn gather(&self, layout: &Layout) -> Result<Parameters, ModelError> {
        let mut parameters = Parameters::zeros(layout.clone());
        for (name, _, place) in layout.iter() {
            parameters.values_mut()[place].copy_from_slice(&self.tensor(name)?);
        }
        Ok(parameters)
    }

    /// Takes trained parameters in place of its own.
    pub(crate) fn set_trained(&mut self, parameters: &Parameters) -> Result<(), ModelError> {
        parameters.layout().must_equal(&self.layout)?;
        let values = self.device().upload(parameters.values())?;
        if self.values.trained.are_exact() {
            self.values.trained = Tensors::of(self.device(), values)?;
        } else {
            self.masters = Some(Arc::new(values));
            self.settle()?;
        }
        Ok(())
    }

    /// The trained parameters in f32, to be changed, and [settled](Self::settle) then. A copy first, where another model
    /// shares them.
    pub(crate) fn trained_mut(&mut self) -> Result<&mut Buffer, ModelError> {
        let device = self.trunk.device.clone();
        if self.values.trained.are_exact() {
            return Ok(self.values.trained.float32_mut(&device)?);
        }
        let masters = match self.masters.take() {
            Some(masters) => masters,
            None => Arc::new(device.upload(self.download_trained()?.values())?),
        };
        Ok(unshared(&device, self.masters.insert(masters))?)
    }

    /// Makes the values those of the masters.
    pub(crate) fn settle(&mut self) -> Result<(), ModelError> {
        let Some(masters) = &self.masters else { return Ok(()) };
        Ok(self.values.trained.round(&self.trunk.device, self.precision, &self.layout, masters)?)
    }
}

/// A model that the optimizer can update.
pub trait Trainable {
    /// The parameters and their gradient.
    #[doc(hidden)]
    fn weights(&mut self) -> optimizer::WeightsMut<'_>;
}

#[cfg(test)]
mod tests;
