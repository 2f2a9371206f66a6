//! One root seed, from which every use of randomness derives a stream of its own by name.
//!
//! A child's key is the first block of the parent's ChaCha20 stream whose number is a hash of the
//! child's name. So a stream depends on its path of names alone: not on how many numbers a sibling
//! drew, on the number of threads or on the order of rows in a batch.

use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_chacha::{ChaCha8Rng, ChaCha20Rng};

/// A node in the tree of random streams.
///
/// ```
/// use pspo::data::Seed;
/// use rand::RngExt;
///
/// let root = Seed::root(7);
/// let row_3 = root.child("rollouts").index(3);
/// assert_eq!(
///     row_3.rng().random::<u64>(),
///     Seed::root(7).child("rollouts").index(3).rng().random::<u64>(),
/// );
/// assert_ne!(row_3.rng().random::<u64>(), root.child("rollouts").index(4).rng().random::<u64>());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed {
    key: [u8; 32],
}

impl Seed {
    /// The root of a run, from the number that the user gives.
    pub fn root(seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        Self { key }
    }

    /// The child stream for a use, such as `"rollouts"`.
    pub fn child(&self, name: &str) -> Self {
        self.derive(fnv1a(b"name:", name.as_bytes()))
    }

    /// The child stream for one row, iteration or problem.
    pub fn index(&self, index: u64) -> Self {
        self.derive(fnv1a(b"index:", &index.to_le_bytes()))
    }

    /// A generator at the start of this stream.
    pub fn rng(&self) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(self.key)
    }

    fn derive(&self, stream: u64) -> Self {
        let mut parent = ChaCha20Rng::from_seed(self.key);
        parent.set_stream(stream);
        let mut key = [0; 32];
        parent.fill_bytes(&mut key);
        Self { key }
    }
}

/// FNV-1a, 64 bits (offset basis and prime as published by Fowler, Noll and Vo).
fn fnv1a(tag: &[u8], bytes: &[u8]) -> u64 {
    tag.iter()
        .chain(bytes)
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_depend_on_the_path_alone() {
        let root = Seed::root(1);
        let before = root.child("a").index(0);
        let mut sibling = root.child("b").rng();
        sibling.next_u64();
        assert_eq!(before, root.child("a").index(0));
    }

    #[test]
    fn neighbours_differ() {
        let root = Seed::root(1);
        let mut keys = vec![root.key, Seed::root(2).key, root.child("x").key, root.child("y").key];
        keys.extend((0..100).map(|i| root.index(i).key));
        let unique: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(unique.len(), keys.len());
    }

    #[test]
    fn a_name_is_never_an_index() {
        let root = Seed::root(1);
        assert_ne!(root.child("\0\0\0\0\0\0\0\0"), root.index(0));
    }
}
