//! A model's parameters on its device, and their gradient.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::ModelError;
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
    gradient: Arc<Mutex<Gradient>>,
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

/// What backward passes have added up since the last update.
#[derive(Debug, Default)]
pub(crate) struct Gradient {
    /// Made by the first backward pass, so that a model that is not trained has none.
    pub(crate) values: Option<Buffer>,
    /// The first failure of a backward pass, to be told at the update.
    pub(crate) failed: Option<KernelError>,
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
            gradient: Arc::default(),
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
        let (keep, gradient) = (self.keep, Arc::default());
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
        Self { gradient: Arc::default(), ..self.clone() }
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
        GradientHandle {
            len: self.layout.len(),
            device: self.device().clone(),
            gradient: self.gradient.clone(),
        }
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

/// What a backward pass needs of the gradient, without the parameters.
#[derive(Clone, Debug)]
pub(crate) struct GradientHandle {
    len: usize,
    device: Device,
    gradient: Arc<Mutex<Gradient>>,
}

impl GradientHandle {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Gradient> {
        self.gradient.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a backward pass that adds to the gradient; a failure is kept for the update to tell.
    pub(crate) fn accumulate(&self, pass: impl FnOnce(&mut Buffer) -> Result<(), KernelError>) {
        let mut gradient = self.lock();
        let Gradient { values, failed } = &mut *gradient;
        let run = || {
            if values.is_none() {
                *values = Some(self.device.zeros(self.len)?);
            }
            pass(values.as_mut().expect("made above"))
        };
        if failed.is_none() {
            *failed = run().err();
        }
    }

    /// The gradient on the host, zeros where no backward pass has run: for tests and inspection.
    pub(crate) fn download(&self) -> Result<Vec<f32>, KernelError> {
        match &self.lock().values {
            Some(values) => self.device.download(values.view()),
            None => Ok(vec![0.0; self.len]),
        }
    }
}

/// A model that the optimizer can update.
pub trait Trainable {
    /// The parameters and their gradient.
    #[doc(hidden)]
    fn weights(&mut self) -> optimizer::WeightsMut<'_>;
}
