//! Rows of different lengths, packed one after another. No pad element exists anywhere.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Rows of different lengths in one buffer: row `i` is `values[offsets[i]..offsets[i + 1]]`.
///
/// ```
/// use pspo::data::Ragged;
///
/// let tokens: Ragged<u32> = [vec![1, 2, 3], vec![], vec![4]].into_iter().collect();
/// assert_eq!(tokens.rows(), 3);
/// assert_eq!(tokens.row(2), [4]);
/// assert_eq!(tokens.values(), [1, 2, 3, 4]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Fields<T>", bound(deserialize = "T: Deserialize<'de>"))]
pub struct Ragged<T> {
    values: Vec<T>,
    offsets: Vec<usize>,
}

/// [`Ragged`] as it is read, before it is checked.
#[derive(Deserialize)]
struct Fields<T> {
    values: Vec<T>,
    offsets: Vec<usize>,
}

impl<T> TryFrom<Fields<T>> for Ragged<T> {
    type Error = RaggedError;

    fn try_from(Fields { values, offsets }: Fields<T>) -> Result<Self, RaggedError> {
        let len = values.len();
        match offsets.first() == Some(&0) && offsets.is_sorted() && offsets.last() == Some(&len) {
            true => Ok(Self { values, offsets }),
            false => Err(RaggedError::Offsets { offsets, len }),
        }
    }
}

/// Two ragged arrays that should have the same rows do not.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RaggedError {
    /// The number of rows differs.
    #[error("cannot join {left} rows with {right} rows: both sides must have the same rows")]
    Rows {
        /// Rows on the left.
        left: usize,
        /// Rows on the right.
        right: usize,
    },
    /// One row's length differs.
    #[error("cannot join row {row}: {left} elements on the left, {right} on the right")]
    Row {
        /// The first row that differs.
        row: usize,
        /// Elements on the left.
        left: usize,
        /// Elements on the right.
        right: usize,
    },
    /// Offsets that are not those of rows.
    #[error("offsets {offsets:?} do not cut {len} values into rows: they must rise from 0 to {len}")]
    Offsets {
        /// The offsets given.
        offsets: Vec<usize>,
        /// Values given.
        len: usize,
    },
    /// A flat buffer does not hold as many values as the rows need.
    #[error("{got} values do not fill rows of {needed} elements in total")]
    Values {
        /// Values given.
        got: usize,
        /// Elements in all rows.
        needed: usize,
    },
}

impl<T> Default for Ragged<T> {
    fn default() -> Self {
        Self { values: Vec::new(), offsets: vec![0] }
    }
}

impl<T> Ragged<T> {
    /// No rows yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a row.
    pub fn push(&mut self, row: impl IntoIterator<Item = T>) {
        self.values.extend(row);
        self.offsets.push(self.values.len());
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The elements of row `row`.
    ///
    /// # Panics
    /// If `row` is not below [`Ragged::rows`], as slice indexing does.
    pub fn row(&self, row: usize) -> &[T] {
        &self.values[self.offsets[row]..self.offsets[row + 1]]
    }

    /// All rows in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[T]> {
        self.offsets.windows(2).map(|pair| &self.values[pair[0]..pair[1]])
    }

    /// All elements, row after row.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// All elements, row after row, to be changed in place.
    pub fn values_mut(&mut self) -> &mut [T] {
        &mut self.values
    }

    /// Where each row begins, and at last where the last one ends: `rows() + 1` positions.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// The same rows with other elements, given row after row.
    ///
    /// # Errors
    /// [`RaggedError::Values`] if `values` does not hold one value per element.
    pub fn with_values<U>(&self, values: Vec<U>) -> Result<Ragged<U>, RaggedError> {
        if values.len() != self.values.len() {
            return Err(RaggedError::Values { got: values.len(), needed: self.values.len() });
        }
        Ok(Ragged { values, offsets: self.offsets.clone() })
    }

    /// Checks that `other` has rows of the same lengths.
    ///
    /// # Errors
    /// Names the first row that differs.
    pub fn same_rows<U>(&self, other: &Ragged<U>) -> Result<(), RaggedError> {
        if self.rows() != other.rows() {
            return Err(RaggedError::Rows { left: self.rows(), right: other.rows() });
        }
        let lengths = self.iter().map(<[T]>::len).zip(other.iter().map(<[U]>::len));
        match lengths.enumerate().find(|(_, (left, right))| left != right) {
            Some((row, (left, right))) => Err(RaggedError::Row { row, left, right }),
            None => Ok(()),
        }
    }

    /// Joins two ragged arrays element by element.
    ///
    /// # Errors
    /// If their rows differ.
    pub fn join<U, V>(
        &self,
        other: &Ragged<U>,
        f: impl FnMut((&T, &U)) -> V,
    ) -> Result<Ragged<V>, RaggedError> {
        self.same_rows(other)?;
        self.with_values(self.values.iter().zip(&other.values).map(f).collect())
    }
}

impl<T, R: IntoIterator<Item = T>> FromIterator<R> for Ragged<T> {
    fn from_iter<I: IntoIterator<Item = R>>(rows: I) -> Self {
        let mut ragged = Self::new();
        for row in rows {
            ragged.push(row);
        }
        ragged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joining_rows_of_different_shape_is_an_error() {
        let a: Ragged<i32> = [vec![1, 2], vec![3]].into_iter().collect();
        let b: Ragged<i32> = [vec![1], vec![2, 3]].into_iter().collect();
        assert_eq!(a.join(&b, |(x, y)| x + y), Err(RaggedError::Row { row: 0, left: 2, right: 1 }));
        let c: Ragged<i32> = [vec![1, 2, 3]].into_iter().collect();
        assert_eq!(a.join(&c, |(x, y)| x + y), Err(RaggedError::Rows { left: 2, right: 1 }));
        assert_eq!(a.join(&a, |(x, y)| x + y).unwrap().values(), [2, 4, 6]);
    }

    #[test]
    fn a_flat_buffer_must_fill_the_rows() {
        let a: Ragged<i32> = [vec![1, 2], vec![3]].into_iter().collect();
        assert_eq!(a.with_values(vec![0.0; 2]), Err(RaggedError::Values { got: 2, needed: 3 }));
    }

    #[test]
    fn what_is_read_is_checked() {
        let a: Ragged<i32> = [vec![1, 2], vec![], vec![3]].into_iter().collect();
        for ragged in [a, Ragged::new()] {
            let written = serde_json::to_string(&ragged).unwrap();
            assert_eq!(serde_json::from_str::<Ragged<i32>>(&written).unwrap(), ragged);
        }
        for offsets in ["[]", "[0]", "[1, 2]", "[0, 3]", "[0, 2, 1, 2]"] {
            let json = format!(r#"{{"values": [1, 2], "offsets": {offsets}}}"#);
            let error = serde_json::from_str::<Ragged<i32>>(&json).unwrap_err().to_string();
            assert!(error.contains("do not cut 2 values into rows: they must rise from 0 to 2"), "{error}");
        }
    }
}
