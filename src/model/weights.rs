//! A model's parameters on its device, and their gradient.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::ModelError;
use super::trunk::Trunk;
use super::{Dims, optimizer};
use crate::data::{Layout, Parameters};
use crate::kernels::{Buffer, Device, KernelError};

/// Parameters on a device. A clone shares them until one of the two is trained: so the reference policy
/// costs nothing until the policy's first update.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    pub(crate) trunk: Arc<Trunk>,
    pub(crate) layout: Arc<Layout>,
    pub(crate) values: Arc<Buffer>,
    gradient: Arc<Mutex<Gradient>>,
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
        Ok(Self {
            trunk: Arc::new(Trunk::new(device, dims, &layout)?),
            layout,
            values: Arc::new(device.upload(parameters.values())?),
            gradient: Arc::default(),
        })
    }

    /// The same parameters with a gradient of their own.
    pub(crate) fn fork(&self) -> Self {
        Self { gradient: Arc::default(), ..self.clone() }
    }

    pub(crate) fn device(&self) -> &Device {
        &self.trunk.device
    }

    pub(crate) fn gradient(&self) -> GradientHandle {
        GradientHandle {
            len: self.layout.len(),
            device: self.device().clone(),
            gradient: self.gradient.clone(),
        }
    }

    pub(crate) fn download(&self) -> Result<Parameters, ModelError> {
        let values = self.device().download(self.values.view())?;
        Ok(Parameters::new(self.layout.as_ref().clone(), values)?)
    }

    pub(crate) fn upload(&mut self, parameters: &Parameters) -> Result<(), ModelError> {
        self.values = Arc::new(self.device().upload(parameters.values())?);
        Ok(())
    }

    /// The parameters, to be changed: a copy first, where another model shares them.
    pub(crate) fn values_mut(&mut self) -> Result<&mut Buffer, KernelError> {
        if Arc::get_mut(&mut self.values).is_none() {
            let mut own = self.device().zeros(self.values.len())?;
            self.device().copy(self.values.view(), own.view_mut())?;
            self.values = Arc::new(own);
        }
        Ok(Arc::get_mut(&mut self.values).expect("the copy is this model's alone"))
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
