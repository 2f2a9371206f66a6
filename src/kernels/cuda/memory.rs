//! Numbers in a CUDA device's memory, and parts of them.

use std::ops::Range;

use cudarc::driver::{CudaSlice, CudaView, CudaViewMut};

use crate::kernels::Element;

/// A buffer on a CUDA device. It is freed when dropped, after the work that was queued before.
#[derive(Debug)]
pub struct Memory<T: Element> {
    /// At least one element: the driver need not give an allocation of none.
    allocation: CudaSlice<T>,
    len: usize,
}

impl<T: Element> Memory<T> {
    /// The first `len` elements of `allocation`.
    pub(super) fn new(allocation: CudaSlice<T>, len: usize) -> Self {
        debug_assert!(len <= allocation.len());
        Self { allocation, len }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// A part of a buffer on a CUDA device, to be read.
#[derive(Clone, Copy, Debug)]
pub struct ViewRef<'a, T: Element> {
    memory: &'a Memory<T>,
    start: usize,
    len: usize,
}

impl<'a, T: Element> ViewRef<'a, T> {
    /// Elements `range` of `memory`.
    ///
    /// # Panics
    /// If the range is not within the buffer, as slice indexing does.
    pub fn new(memory: &'a Memory<T>, range: Range<usize>) -> Self {
        check(&range, memory.len);
        Self { memory, start: range.start, len: range.len() }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// No elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A part of it.
    ///
    /// # Panics
    /// If the range is not within the part, as slice indexing does.
    #[must_use]
    pub fn slice(self, range: Range<usize>) -> Self {
        check(&range, self.len);
        Self { start: self.start + range.start, len: range.len(), ..self }
    }

    /// The same part, as kernels take it.
    pub(crate) fn part(self) -> CudaView<'a, T> {
        self.memory.allocation.slice(self.start..self.start + self.len)
    }
}

/// A part of a buffer on a CUDA device, to be written.
#[derive(Debug)]
pub struct ViewRefMut<'a, T: Element>(CudaViewMut<'a, T>);

impl<'a, T: Element> ViewRefMut<'a, T> {
    /// Elements `range` of `memory`.
    ///
    /// # Panics
    /// If the range is not within the buffer, as slice indexing does.
    pub fn new(memory: &'a mut Memory<T>, range: Range<usize>) -> Self {
        check(&range, memory.len);
        Self(memory.allocation.slice_mut(range))
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// No elements.
    pub fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// The same part, for a shorter time.
    pub fn reborrow(&mut self) -> ViewRefMut<'_, T> {
        let all = 0..self.0.len();
        ViewRefMut(self.0.slice_mut(all))
    }

    /// The same part, as kernels take it.
    pub(crate) fn part(self) -> CudaViewMut<'a, T> {
        self.0
    }
}

fn check(range: &Range<usize>, len: usize) {
    let Range { start, end } = range;
    assert!(start <= end && *end <= len, "range {start}..{end} is not within a buffer of {len} elements");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_within_the_buffer_is_fine() {
        for range in [0..0, 0..2, 1..2, 2..2] {
            check(&range, 2);
        }
    }

    #[test]
    #[should_panic(expected = "range 1..3 is not within a buffer of 2 elements")]
    fn a_range_beyond_the_buffer_is_not() {
        check(&(1..3), 2);
    }
}
