//! A model's parameters: named tensors in one flat buffer, on the host.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Names, shapes and places of the tensors in a flat buffer, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    entries: Vec<Entry>,
    len: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    name: String,
    shape: Vec<usize>,
    start: usize,
}

/// Two layouts that should agree do not, or a buffer does not fit one.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayoutError {
    /// A tensor is missing.
    #[error("tensor `{0}` is missing")]
    Missing(String),
    /// A tensor that the layout does not have.
    #[error("tensor `{0}` is not one of this model's")]
    Unexpected(String),
    /// A tensor has another shape.
    #[error("tensor `{name}` has shape {got:?}, this model needs {needed:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// The shape found.
        got: Vec<usize>,
        /// The shape needed.
        needed: Vec<usize>,
    },
    /// The right tensors in another order.
    #[error("the tensors stand in another order than this model's")]
    Order,
    /// The flat buffer has another length.
    #[error("{got} values do not fill a layout of {needed}")]
    Length {
        /// Values given.
        got: usize,
        /// Values needed.
        needed: usize,
    },
}

impl Layout {
    /// Appends a tensor and returns its place.
    pub fn push(&mut self, name: impl Into<String>, shape: &[usize]) -> Range<usize> {
        let start = self.len;
        self.len += shape.iter().product::<usize>();
        self.entries.push(Entry { name: name.into(), shape: shape.to_vec(), start });
        start..self.len
    }

    /// How many numbers all tensors hold.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No tensors.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Name, shape and place of each tensor, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[usize], Range<usize>)> {
        self.entries.iter().map(|entry| {
            let len = entry.shape.iter().product::<usize>();
            (entry.name.as_str(), entry.shape.as_slice(), entry.start..entry.start + len)
        })
    }

    /// Checks that this is the layout `needed`.
    ///
    /// # Errors
    /// Names the first tensor that is missing, of another shape or not expected.
    pub fn must_equal(&self, needed: &Self) -> Result<(), LayoutError> {
        for (name, shape, _) in needed.iter() {
            let (got, _) = self.tensor(name)?;
            if got != shape {
                let (got, needed) = (got.to_vec(), shape.to_vec());
                return Err(LayoutError::Shape { name: name.to_owned(), got, needed });
            }
        }
        match self.iter().find(|(name, ..)| needed.range(name).is_err()) {
            Some((name, ..)) => Err(LayoutError::Unexpected(name.to_owned())),
            None if self != needed => Err(LayoutError::Order),
            None => Ok(()),
        }
    }

    /// The place of the tensor named `name`.
    ///
    /// # Errors
    /// [`LayoutError::Missing`] if there is none.
    pub fn range(&self, name: &str) -> Result<Range<usize>, LayoutError> {
        Ok(self.tensor(name)?.1)
    }

    /// Shape and place of the tensor named `name`.
    ///
    /// # Errors
    /// [`LayoutError::Missing`] if there is none.
    pub fn tensor(&self, name: &str) -> Result<(&[usize], Range<usize>), LayoutError> {
        self.iter()
            .find(|(entry, ..)| *entry == name)
            .map(|(_, shape, range)| (shape, range))
            .ok_or_else(|| LayoutError::Missing(name.to_owned()))
    }
}

/// Named tensors in one flat buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    layout: Layout,
    values: Vec<f32>,
}

impl Parameters {
    /// Parameters from their flat buffer.
    ///
    /// # Errors
    /// [`LayoutError::Length`] if the buffer does not fit the layout.
    pub fn new(layout: Layout, values: Vec<f32>) -> Result<Self, LayoutError> {
        if values.len() != layout.len() {
            return Err(LayoutError::Length { got: values.len(), needed: layout.len() });
        }
        Ok(Self { layout, values })
    }

    /// All zeros.
    pub fn zeros(layout: Layout) -> Self {
        let values = vec![0.0; layout.len()];
        Self { layout, values }
    }

    /// Names, shapes and places.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The flat buffer.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The flat buffer, to be changed in place.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The flat buffer alone.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// One tensor by name.
    ///
    /// # Errors
    /// [`LayoutError::Missing`] if there is none.
    pub fn tensor(&self, name: &str) -> Result<&[f32], LayoutError> {
        Ok(&self.values[self.layout.range(name)?])
    }

    /// One tensor by name, to be changed in place.
    ///
    /// # Errors
    /// [`LayoutError::Missing`] if there is none.
    pub fn tensor_mut(&mut self, name: &str) -> Result<&mut [f32], LayoutError> {
        let range = self.layout.range(name)?;
        Ok(&mut self.values[range])
    }

    /// Copies every tensor of `self` whose name starts with `prefix` from `source`, and returns how
    /// many numbers that were.
    ///
    /// # Errors
    /// If `source` lacks one or has it in another shape; `self` is unchanged then.
    pub fn copy_prefix_from(&mut self, source: &Self, prefix: &str) -> Result<usize, LayoutError> {
        let mut pairs = Vec::new();
        for (name, shape, range) in self.layout.iter().filter(|(name, ..)| name.starts_with(prefix)) {
            let (got, from) = source.layout.tensor(name)?;
            if got != shape {
                let (got, needed) = (got.to_vec(), shape.to_vec());
                return Err(LayoutError::Shape { name: name.to_owned(), got, needed });
            }
            pairs.push((range, from));
        }
        let mut copied = 0;
        for (to, from) in pairs {
            copied += to.len();
            self.values[to].copy_from_slice(&source.values[from]);
        }
        Ok(copied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(width: usize) -> Parameters {
        let mut layout = Layout::default();
        layout.push("trunk.w", &[2, width]);
        layout.push("head.b", &[1]);
        Parameters::zeros(layout)
    }

    #[test]
    fn copying_names_the_tensor_that_does_not_fit() {
        let (mut to, mut from) = (parameters(3), parameters(3));
        from.values_mut().fill(1.0);
        assert_eq!(to.copy_prefix_from(&from, "trunk."), Ok(6));
        assert_eq!(to.tensor("head.b").unwrap(), [0.0]);
        let error = to.copy_prefix_from(&parameters(4), "trunk.").unwrap_err();
        assert_eq!(error.to_string(), "tensor `trunk.w` has shape [2, 4], this model needs [2, 3]");
    }
}
