//! Host buffers that return to their device when dropped, so that a training step reuses the memory of
//! the one before instead of asking the system for fresh, zeroed pages.

use std::ops::{Deref, DerefMut};
#[cfg(test)]
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use half::bf16;

use super::device::Element;

/// Numbers kept for reuse at most, per device: 1 GiB of f32.
const KEPT: usize = 1 << 28;

/// Buffers that are free, of each element type.
#[derive(Debug, Default)]
pub struct Pool {
    f32: Mutex<Free<f32>>,
    u32: Mutex<Free<u32>>,
    bf16: Mutex<Free<bf16>>,
    #[cfg(test)]
    used: Used,
}

/// Bytes in use, now and at most, for tests of what a pass holds.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Used {
    now: AtomicUsize,
    most: AtomicUsize,
}

#[cfg(test)]
impl Used {
    fn take(&self, bytes: usize) {
        let now = self.now.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.most.fetch_max(now, Ordering::Relaxed);
    }

    fn give(&self, bytes: usize) {
        self.now.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes in use now.
    pub(crate) fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    /// The most bytes in use since this was last asked.
    pub(crate) fn most(&self) -> usize {
        self.most.swap(self.now(), Ordering::Relaxed)
    }
}

impl Pool {
    #[cfg(test)]
    pub(crate) fn used(&self) -> &Used {
        &self.used
    }
}

/// Free buffers, and their capacity in all.
#[derive(Debug, Default)]
pub struct Free<T> {
    buffers: Vec<Vec<T>>,
    kept: usize,
}

/// An element type that the pool keeps buffers of.
pub trait Pooled: Sized {
    #[doc(hidden)]
    fn free(pool: &Pool) -> &Mutex<Free<Self>>;
}

impl Pooled for f32 {
    fn free(pool: &Pool) -> &Mutex<Free<Self>> {
        &pool.f32
    }
}

impl Pooled for u32 {
    fn free(pool: &Pool) -> &Mutex<Free<Self>> {
        &pool.u32
    }
}

impl Pooled for bf16 {
    fn free(pool: &Pool) -> &Mutex<Free<Self>> {
        &pool.bf16
    }
}

/// Numbers on the host, returned to their pool when dropped.
#[derive(Debug)]
pub struct Host<T: Element> {
    values: Vec<T>,
    pool: Arc<Pool>,
}

impl<T: Element> Host<T> {
    /// `len` elements of any value.
    pub(super) fn any(pool: &Arc<Pool>, len: usize) -> Self {
        let mut free = T::free(pool).lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest that fits, but not one that wastes more than it holds.
        let fits = |buffer: &Vec<T>| buffer.capacity() >= len && buffer.capacity() <= 2 * len.max(32);
        let best = (0..free.buffers.len())
            .filter(|&index| fits(&free.buffers[index]))
            .min_by_key(|&index| free.buffers[index].capacity());
        let mut values = match best {
            Some(index) => {
                let buffer = free.buffers.swap_remove(index);
                free.kept -= buffer.capacity();
                buffer
            }
            None => Vec::with_capacity(len),
        };
        drop(free);
        values.resize(len, T::default());
        #[cfg(test)]
        pool.used.take(len * size_of::<T>());
        Self { values, pool: pool.clone() }
    }
}

impl<T: Element> Drop for Host<T> {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        #[cfg(test)]
        self.pool.used.give(values.len() * size_of::<T>());
        let mut free = T::free(&self.pool).lock().unwrap_or_else(PoisonError::into_inner);
        if values.capacity() > 0 && free.kept + values.capacity() <= KEPT {
            free.kept += values.capacity();
            free.buffers.push(values);
        }
    }
}

impl<T: Element> Deref for Host<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.values
    }
}

impl<T: Element> DerefMut for Host<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_used_again() {
        let pool = Arc::new(Pool::default());
        let mut first = Host::<f32>::any(&pool, 100);
        first.fill(7.0);
        let place = first.as_ptr();
        drop(first);
        assert_eq!(Host::<f32>::any(&pool, 10).len(), 10); // too small for that one
        let second = Host::<f32>::any(&pool, 90);
        assert_eq!((second.as_ptr(), second.len()), (place, 90));
        drop(second);
        assert_eq!(pool.f32.lock().unwrap().kept, 110);
    }
}
