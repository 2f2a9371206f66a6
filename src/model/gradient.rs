//! The gradient of a model's parameters, which backward passes add up until an update takes it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::trunk::Trunk;
use crate::kernels::{Buffer, Device, KernelError, embedding};

/// What backward passes have added up since the last update.
///
/// A tied embedding table has a gradient twice: as output layer at the beginning of a backward pass, and as what the
/// first layer reads at the end. In one sum the two would alternate, pass after pass, so that its bits told how many
/// passes there were. So they are two sums, which the update adds.
#[derive(Debug)]
pub(crate) struct Sums {
    /// The gradient in the order of what is trained, apart from what the first layer reads.
    pub(crate) values: Buffer,
    /// That of what the first layer reads.
    pub(crate) embedded: TokenRows,
}

/// A sum of rows for each token that occurs.
#[derive(Debug, Default)]
pub(crate) struct TokenRows {
    /// Which row is a token's.
    row_of: HashMap<u32, u32>,
    /// Whose row it is.
    tokens: Vec<u32>,
    /// `[tokens, width]`
    sums: Option<Buffer>,
}

impl TokenRows {
    /// Adds rows `[n, width]` to those of n tokens, in order.
    pub(crate) fn add(
        &mut self,
        device: &Device,
        width: usize,
        tokens: &[u32],
        rows: &Buffer,
    ) -> Result<(), KernelError> {
        let Self { row_of, tokens: known, sums } = self;
        let before = known.len();
        let places = tokens.iter().map(|&token| {
            *row_of.entry(token).or_insert_with(|| {
                known.push(token);
                known.len() as u32 - 1
            })
        });
        let places = device.indices(&places.collect::<Vec<_>>())?;
        if known.len() > before {
            let mut longer = device.zeros(known.len() * width)?;
            if let Some(sums) = sums {
                device.copy(sums.view(), longer.slice_mut(0..before * width))?;
            }
            *sums = Some(longer);
        }
        match sums {
            Some(sums) => embedding::backward(device, width, &places, rows.view(), sums.view_mut()),
            None => Ok(()),
        }
    }
}

/// The sums of a model, and whether a backward pass failed.
#[derive(Debug, Default)]
struct Gradient {
    /// Made by the first backward pass, so that a model that is not trained has none.
    sums: Option<Sums>,
    /// The first failure of a backward pass, to be told at the update.
    failed: Option<KernelError>,
}

/// A model's gradient; clones have it in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedGradient(Arc<Mutex<Gradient>>);

/// What a backward pass needs of the gradient, without the parameters.
#[derive(Clone, Debug)]
pub(crate) struct GradientHandle {
    /// Trained parameters.
    len: usize,
    trunk: Arc<Trunk>,
    gradient: SharedGradient,
}

impl GradientHandle {
    pub(crate) fn new(len: usize, trunk: Arc<Trunk>, gradient: SharedGradient) -> Self {
        Self { len, trunk, gradient }
    }

    fn lock(&self) -> MutexGuard<'_, Gradient> {
        self.gradient.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a backward pass that adds to the gradient; a failure is kept for the update to tell.
    pub(crate) fn accumulate(&self, pass: impl FnOnce(&mut Sums) -> Result<(), KernelError>) {
        let mut gradient = self.lock();
        let Gradient { sums, failed } = &mut *gradient;
        let run = || match sums {
            Some(sums) => pass(sums),
            None => {
                let values = self.trunk.device.zeros(self.len)?;
                pass(sums.insert(Sums { values, embedded: TokenRows::default() }))
            }
        };
        if failed.is_none() {
            *failed = run().err();
        }
    }

    /// Takes the whole gradient out, in the order of what is trained; `None` where no backward pass has run.
    ///
    /// # Errors
    /// If a backward pass failed.
    pub(crate) fn take(&self) -> Result<Option<Buffer>, KernelError> {
        let Gradient { sums, failed } = std::mem::take(&mut *self.lock());
        if let Some(error) = failed {
            return Err(error);
        }
        let Some(Sums { mut values, embedded }) = sums else { return Ok(None) };
        self.join(&mut values, &embedded)?;
        Ok(Some(values))
    }

    /// Adds to a gradient that of what the first layer reads.
    fn join(&self, values: &mut Buffer, embedded: &TokenRows) -> Result<(), KernelError> {
        let Trunk { device, dims, places, .. } = &*self.trunk;
        match (&embedded.sums, places.embedding.gradient(values)) {
            (Some(rows), Some(table)) => {
                let tokens = device.indices(&embedded.tokens)?;
                embedding::backward(device, dims.width, &tokens, rows.view(), table)
            }
            _ => Ok(()),
        }
    }

    /// Forgets what was added up.
    pub(crate) fn clear(&self) {
        *self.lock() = Gradient::default();
    }

    /// Begins anew in the memory of a gradient that was taken.
    pub(crate) fn begin(&self, mut values: Buffer) -> Result<(), KernelError> {
        self.trunk.device.fill_zero(values.view_mut())?;
        self.lock().sums = Some(Sums { values, embedded: TokenRows::default() });
        Ok(())
    }

    /// The whole gradient on the host, zeros where no backward pass has run: for tests and inspection.
    pub(crate) fn download(&self) -> Result<Vec<f32>, KernelError> {
        let gradient = self.lock();
        let Some(Sums { values, embedded }) = &gradient.sums else { return Ok(vec![0.0; self.len]) };
        let device = &self.trunk.device;
        let mut whole = device.scratch(self.len)?;
        device.copy(values.view(), whole.view_mut())?;
        self.join(&mut whole, embedded)?;
        device.download(whole.view())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_summed_by_token_over_several_passes() {
        let device = Device::cpu();
        let mut sums = TokenRows::default();
        let mut add = |tokens: &[u32], rows: &[f32]| {
            sums.add(&device, 2, tokens, &device.upload(rows).unwrap()).unwrap();
            (sums.tokens.clone(), sums.sums.as_ref().map(|sums| device.download(sums.view()).unwrap()))
        };
        assert_eq!(add(&[], &[]), (vec![], None));
        assert_eq!(add(&[7, 3, 7], &[1., 2., 3., 4., 5., 6.]), (vec![7, 3], Some(vec![6., 8., 3., 4.])));
        let longer = (vec![7, 3, 0], Some(vec![6., 8., 13., 14., 1., 1.]));
        assert_eq!(add(&[0, 3], &[1., 1., 10., 10.]), longer);
    }
}
