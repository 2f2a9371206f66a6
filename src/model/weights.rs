//! A model's parameters on its device.

use std::sync::Arc;

use super::error::ModelError;
use super::gradient::{GradientHandle, SharedGradient};
use super::trunk::{Finder, Keep, Place, Trunk, Values};
use super::tuning::{self, Projection, Tuning};
use super::{Dims, optimizer};
use crate::data::{Layout, LayoutError, Parameters, Seed};
use crate::kernels::{Buffer, Device, KernelError};

/// Parameters on a device. A clone shares them until one of the two is trained: so the reference policy
/// costs nothing until the policy's first update, and what is not trained nothing at all.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    pub(crate) trunk: Arc<Trunk>,
    /// Of all parameters, adapters apart.
    pub(crate) whole: Arc<Layout>,
    /// Of the trained ones.
    pub(crate) layout: Arc<Layout>,
    trained: Arc<Buffer>,
    /// All parameters as they were before training; `None` where all are trained.
    frozen: Option<Arc<Buffer>>,
    /// What a pass keeps that will run backward.
    pub(crate) keep: Keep,
    gradient: SharedGradient,
}

/// The values of parameters, shared.
#[derive(Clone, Debug)]
pub(crate) struct SharedValues {
    trained: Arc<Buffer>,
    frozen: Option<Arc<Buffer>>,
}

impl SharedValues {
    pub(crate) fn get(&self) -> Values<'_> {
        Values { trained: &self.trained, frozen: self.frozen.as_deref() }
    }
}

impl Weights {
    pub(crate) fn new(device: &Device, dims: Dims, parameters: &Parameters) -> Result<Self, ModelError> {
        let layout = Arc::new(parameters.layout().clone());
        let finder = Finder { trained: &layout, whole: &layout };
        Ok(Self {
            trunk: Arc::new(Trunk::new(device, dims, finder, &Tuning::Full)?),
            whole: layout.clone(),
            layout,
            trained: Arc::new(device.upload(parameters.values())?),
            frozen: None,
            keep: Keep::All,
            gradient: SharedGradient::default(),
        })
    }

    /// The same parameters, of which `tuning` says what is trained.
    pub(crate) fn tuned(&self, tuning: &Tuning, seed: Seed) -> Result<Self, ModelError> {
        let (device, dims) = (self.device(), self.trunk.dims);
        tuning.check(&dims)?;
        let whole = self.whole.clone();
        let values = match &self.frozen {
            None => self.trained.clone(),
            Some(_) => Arc::new(device.upload(self.download()?.values())?),
        };
        let layout = Arc::new(tuning.layout(&dims, &whole));
        let finder = Finder { trained: &layout, whole: &whole };
        let trunk = Arc::new(Trunk::new(device, dims, finder, tuning)?);
        let (trained, frozen) = match tuning {
            Tuning::Full => (values, None),
            _ => {
                let start = tuning::start(layout.as_ref().clone(), seed, |name| match whole.range(name) {
                    Ok(place) => Ok(Some(device.download(values.slice(place))?)),
                    Err(_) => Ok::<_, ModelError>(None),
                })?;
                (Arc::new(device.upload(start.values())?), Some(values))
            }
        };
        let (keep, gradient) = (self.keep, SharedGradient::default());
        Ok(Self { trunk, whole, layout, trained, frozen, keep, gradient })
    }

    /// Lets go of frozen parameters that are those of `other`, and shares its own.
    pub(crate) fn share_frozen(&mut self, other: &Self) -> Result<(), ModelError> {
        let (Some(own), Some(theirs)) = (&self.frozen, &other.frozen) else { return Ok(()) };
        // The trunk comes first in the layouts of policies and of scalar models.
        for (name, _, place) in self.whole.iter().filter(|(name, ..)| name.starts_with("trunk.")) {
            let download = |buffer: &Buffer| self.device().download(buffer.slice(place.clone()));
            if other.whole.range(name)? != place || download(own)? != download(theirs)? {
                return Ok(());
            }
        }
        self.frozen = Some(theirs.clone());
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
        Values { trained: &self.trained, frozen: self.frozen.as_deref() }
    }

    pub(crate) fn shared_values(&self) -> SharedValues {
        SharedValues { trained: self.trained.clone(), frozen: self.frozen.clone() }
    }

    pub(crate) fn place(&self, name: &str) -> Result<Place, LayoutError> {
        Finder { trained: &self.layout, whole: &self.whole }.place(name)
    }

    pub(crate) fn gradient(&self) -> GradientHandle {
        GradientHandle::new(self.layout.len(), self.trunk.clone(), self.gradient.clone())
    }

    /// All parameters, adapters merged into the matrices that they stand beside.
    pub(crate) fn download(&self) -> Result<Parameters, ModelError> {
        let (device, w) = (self.device(), self.values());
        let Some(frozen) = w.frozen else { return self.download_trained() };
        let values = device.download(frozen.slice(0..self.whole.len().min(frozen.len())))?;
        let mut whole = Parameters::zeros(self.whole.as_ref().clone());
        whole.values_mut()[..values.len()].copy_from_slice(&values);
        let trained = self.download_trained()?;
        for (name, _, place) in trained.layout().iter() {
            if let Ok(whole) = whole.tensor_mut(name) {
                whole.copy_from_slice(&trained.values()[place]);
            }
        }
        for (layer, place) in self.trunk.places.layers.iter().enumerate() {
            for (projection, matrix) in Projection::ALL.into_iter().zip(place.matrices()) {
                if let Some(merged) = matrix.merged(device, w)? {
                    let name = format!("trunk.layers.{layer}.{}", projection.tensor());
                    whole.tensor_mut(&name)?.copy_from_slice(&device.download(merged.view())?);
                }
            }
        }
        Ok(whole)
    }

    /// The trained parameters: tensors of the model, and adapters.
    pub(crate) fn download_trained(&self) -> Result<Parameters, ModelError> {
        let values = self.device().download(self.trained.view())?;
        Ok(Parameters::new(self.layout.as_ref().clone(), values)?)
    }

    /// Takes trained parameters in place of its own.
    pub(crate) fn set_trained(&mut self, parameters: &Parameters) -> Result<(), ModelError> {
        parameters.layout().must_equal(&self.layout)?;
        self.trained = Arc::new(self.device().upload(parameters.values())?);
        Ok(())
    }

    /// The trained parameters, to be changed: a copy first, where another model shares them.
    pub(crate) fn trained_mut(&mut self) -> Result<&mut Buffer, KernelError> {
        if Arc::get_mut(&mut self.trained).is_none() {
            let mut own = self.device().zeros(self.trained.len())?;
            self.device().copy(self.trained.view(), own.view_mut())?;
            self.trained = Arc::new(own);
        }
        Ok(Arc::get_mut(&mut self.trained).expect("the copy is this model's alone"))
    }
}

/// A model that the optimizer can update.
pub trait Trainable {
    /// The parameters and their gradient.
    #[doc(hidden)]
    fn weights(&mut self) -> optimizer::WeightsMut<'_>;
}
