//! Keys and values of rows that are being decoded. Rows with a common prefix share those of the prefix.

use std::sync::Arc;

use super::arch::Dims;
#[cfg(feature = "cuda")]
use crate::kernels::KernelError;
#[cfg(feature = "cuda")]
use crate::kernels::attention::pages::{PAGE, Page, Pool};
use crate::kernels::attention::{BLOCK, Cached};
use crate::kernels::vector::spread;

/// Tokens that a row has room for at first; when it is used up there is four times as much. Two rows that part copy what
/// there is.
const FIRST: usize = 2 * BLOCK;

/// Keys and values of a row of tokens, in all layers. Rows that continue it, from its end or from any
/// place within, share it.
#[derive(Debug)]
pub struct Prefix {
    cache: Held,
}

/// Where keys and values are.
#[derive(Debug)]
enum Held {
    Host(Cache),
    #[cfg(feature = "cuda")]
    Cuda(Pages),
}

impl Prefix {
    /// Room for a row of so many tokens, whose keys and values are still to be put.
    pub(super) fn new(dims: &Dims, tokens: usize) -> Self {
        Self { cache: Held::Host(Cache { len: tokens, ..Cache::new(dims, tokens) }) }
    }

    /// Puts the keys and values of the token at `place`, as they stand in a row of a layer's qkv.
    pub(super) fn put(&mut self, dims: &Dims, layer: usize, place: usize, qkv: &[f32]) {
        match &mut self.cache {
            Held::Host(cache) => cache.put(dims, layer, place, qkv),
            #[cfg(feature = "cuda")]
            Held::Cuda(_) => unreachable!("a prefix on a device is not put on the host"),
        }
    }

    /// A row whose keys and values are on a CUDA device.
    #[cfg(feature = "cuda")]
    pub(super) fn on_cuda(pages: Pages) -> Self {
        Self { cache: Held::Cuda(pages) }
    }

    /// The tokens that it holds.
    pub fn len(&self) -> usize {
        match &self.cache {
            Held::Host(cache) => cache.len,
            #[cfg(feature = "cuda")]
            Held::Cuda(pages) => pages.len,
        }
    }

    /// No token.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// For each layer keys and values as [`Cached`] has them.
#[derive(Clone, Debug)]
struct Cache {
    keys: Vec<f32>,
    values: Vec<f32>,
    capacity: usize,
    len: usize,
}

impl Cache {
    fn new(dims: &Dims, tokens: usize) -> Self {
        let capacity = tokens.next_multiple_of(BLOCK);
        let len = dims.layers * dims.kv_heads * dims.head_size * capacity;
        Self { keys: vec![0.0; len], values: vec![0.0; len], capacity, len: 0 }
    }

    /// Room for four times as many tokens, at most `most` of them, where there is none for another.
    fn grow(&mut self, dims: &Dims, most: usize) {
        if self.len < self.capacity {
            return;
        }
        let larger = Self::new(dims, (4 * self.capacity).clamp(FIRST, most.max(FIRST)));
        let old = std::mem::replace(self, Self { len: self.len, ..larger });
        let (from, to) = (old.capacity * dims.head_size, self.capacity * dims.head_size);
        for (old, new) in [(&old.keys, &mut self.keys), (&old.values, &mut self.values)] {
            // Nothing to copy, and no chunks, where there was no room at all.
            for (old, new) in old.chunks_exact(from.max(1)).zip(new.chunks_exact_mut(to)) {
                new[..from].copy_from_slice(old);
            }
        }
    }

    fn put(&mut self, dims: &Dims, layer: usize, place: usize, qkv: &[f32]) {
        let size = dims.head_size;
        let (keys, values) = qkv[dims.heads * size..].split_at(dims.kv_heads * size);
        let heads = keys.chunks_exact(size).zip(values.chunks_exact(size));
        for (head, (key, value)) in heads.enumerate() {
            let first = (layer * dims.kv_heads + head) * size * self.capacity;
            let block = first + place / BLOCK * BLOCK * size + place % BLOCK;
            spread(key, &mut self.keys[block..], BLOCK);
            self.values[first + place * size..][..size].copy_from_slice(value);
        }
    }

    fn layer(&self, dims: &Dims, layer: usize, len: usize) -> Cached<'_> {
        let block = dims.kv_heads * dims.head_size * self.capacity;
        let range = layer * block..(layer + 1) * block;
        Cached { keys: &self.keys[range.clone()], values: &self.values[range], capacity: self.capacity, len }
    }
}

/// A row that is being decoded: the shared prefix it continues, and its own cache. A clone shares the prefix and has a
/// copy of the rest: from there on the two may go on differently.
#[derive(Clone, Debug)]
pub struct Row {
    prefix: Option<Arc<Prefix>>,
    shared: usize,
    capacity: usize,
    own: Cache,
    /// All keys and values, those of the prefix among them, where they are on a CUDA device.
    #[cfg(feature = "cuda")]
    pages: Option<Pages>,
}

impl Row {
    /// A row that continues the first `shared` tokens of `prefix` by at most `capacity` tokens.
    ///
    /// # Panics
    /// If the prefix is shorter than `shared`.
    pub fn fork(dims: &Dims, prefix: Arc<Prefix>, shared: usize, capacity: usize) -> Self {
        assert!(shared <= prefix.len(), "a row shares at most the {} tokens of its prefix", prefix.len());
        #[cfg(feature = "cuda")]
        if let Held::Cuda(pages) = &prefix.cache {
            let pages = Some(pages.first(shared));
            return Self { prefix: None, shared, capacity, own: Cache::new(dims, 0), pages };
        }
        Self { prefix: Some(prefix), shared, ..Self::new(dims, capacity) }
    }

    /// A row of at most `capacity` tokens from nothing.
    pub fn new(dims: &Dims, capacity: usize) -> Self {
        Self {
            prefix: None,
            shared: 0,
            capacity,
            own: Cache::new(dims, capacity.min(FIRST)),
            #[cfg(feature = "cuda")]
            pages: None,
        }
    }

    /// Tokens so far: the position of the next one.
    pub fn len(&self) -> usize {
        #[cfg(feature = "cuda")]
        if let Some(pages) = &self.pages {
            return pages.len;
        }
        self.shared + self.own.len
    }

    /// Whether what there is is on the host.
    pub(super) fn is_on_host(&self) -> bool {
        #[cfg(feature = "cuda")]
        if self.pages.is_some() {
            return false;
        }
        true
    }

    /// The pages of a row on a CUDA device, which one that has no token yet becomes; `None` for one on the host.
    #[cfg(feature = "cuda")]
    pub(super) fn pages_mut(&mut self) -> Option<&mut Pages> {
        if self.pages.is_none() && self.is_empty() {
            self.pages = Some(Pages::default());
        }
        self.pages.as_mut()
    }

    /// No tokens yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// It has room for no other token.
    pub(super) fn is_full(&self) -> bool {
        self.len() - self.shared >= self.capacity
    }

    /// Makes room for the next token, unless the row is at its capacity.
    pub(super) fn make_room(&mut self, dims: &Dims) {
        self.own.grow(dims, self.capacity);
    }

    /// Puts the next token's keys and values, as they stand in a row of a layer's qkv.
    pub(super) fn put(&mut self, dims: &Dims, layer: usize, qkv: &[f32]) {
        self.own.put(dims, layer, self.own.len, qkv);
    }

    /// The next token has been put in all layers.
    pub(super) fn advance(&mut self) {
        self.own.len += 1;
    }

    /// What the next token attends to, itself included, which has been put.
    pub(super) fn segments(&self, dims: &Dims, layer: usize) -> [Cached<'_>; 2] {
        const NOTHING: Cached<'_> = Cached { keys: &[], values: &[], capacity: 0, len: 0 };
        let shared = match self.prefix.as_deref() {
            Some(Prefix { cache: Held::Host(cache) }) if self.shared > 0 => {
                cache.layer(dims, layer, self.shared)
            }
            _ => NOTHING,
        };
        [shared, self.own.layer(dims, layer, self.own.len + 1)]
    }
}

/// Keys and values of consecutive tokens from the first on, in pages that rows share. A page is written only by a row that
/// has it for itself.
#[cfg(feature = "cuda")]
#[derive(Clone, Debug, Default)]
pub(super) struct Pages {
    pages: Vec<Arc<Page>>,
    len: usize,
}

#[cfg(feature = "cuda")]
impl Pages {
    /// Room for so many tokens, whose keys and values are still to be put.
    pub(super) fn new(pool: &Arc<Pool>, len: usize) -> Result<Self, KernelError> {
        let pages = (0..len.div_ceil(PAGE)).map(|_| Ok(Arc::new(pool.page()?)));
        Ok(Self { pages: pages.collect::<Result<_, KernelError>>()?, len })
    }

    /// The first `len` tokens.
    fn first(&self, len: usize) -> Self {
        Self { pages: self.pages[..len.div_ceil(PAGE)].to_vec(), len }
    }

    /// Addresses of the pages, in order.
    pub(super) fn addresses(&self) -> impl Iterator<Item = u64> + '_ {
        self.pages.iter().map(|page| page.address())
    }

    /// Whether they are such pages as `pool` has.
    pub(super) fn are_like(&self, pool: &Pool) -> bool {
        self.pages.first().is_none_or(|page| page.is_like(pool))
    }

    /// Makes the next token's page one that this row may write: another page, or a copy of one that is shared.
    pub(super) fn make_room(&mut self, pool: &Arc<Pool>) -> Result<(), KernelError> {
        let place = self.len / PAGE;
        match self.pages.get_mut(place) {
            None => self.pages.push(Arc::new(pool.page()?)),
            Some(page) => {
                if Arc::get_mut(page).is_none() {
                    *page = Arc::new(pool.copy_of(page)?);
                }
            }
        }
        Ok(())
    }

    /// The next token has been put in all layers.
    pub(super) fn advance(&mut self) {
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Arch;

    crate::arch! {
        struct Small {
            name: "small", vocabulary: 3, width: 8, layers: 2, heads: 4, kv_heads: 2, head_size: 2, hidden: 4,
            positions: 200,
        }
    }

    /// A token's queries, keys and values in a layer, different for each.
    fn qkv(layer: usize, token: usize) -> Vec<f32> {
        (0..16).map(|number| ((layer * 1000 + token) * 16 + number) as f32).collect()
    }

    fn feed(row: &mut Row, tokens: std::ops::Range<usize>) {
        for token in tokens {
            row.make_room(&Small::DIMS);
            (0..Small::DIMS.layers).for_each(|layer| row.put(&Small::DIMS, layer, &qkv(layer, token)));
            row.advance();
        }
    }

    /// The row's own keys and values in all layers, as far as they are attended to.
    fn held(row: &Row) -> Vec<f32> {
        let layers = (0..Small::DIMS.layers).flat_map(|layer| {
            let cached = row.own.layer(&Small::DIMS, layer, row.own.len);
            let head = cached.capacity * Small::DIMS.head_size;
            let len = row.own.len / BLOCK * BLOCK * Small::DIMS.head_size;
            [cached.keys, cached.values].map(|all| all.chunks_exact(head).map(move |head| &head[..len]))
        });
        layers.flatten().flatten().copied().collect()
    }

    #[test]
    fn a_row_that_grows_holds_what_one_with_room_from_the_start_does() {
        for capacity in [1, 16, 33, 100, 160] {
            let mut grown = Row::new(&Small::DIMS, capacity);
            let mut roomy =
                Row { own: Cache::new(&Small::DIMS, capacity), ..Row::new(&Small::DIMS, capacity) };
            for token in 0..capacity {
                assert!(!grown.is_full());
                feed(&mut grown, token..token + 1);
                feed(&mut roomy, token..token + 1);
                assert_eq!(held(&grown), held(&roomy), "{token} of {capacity}");
            }
            assert!(grown.is_full());
            assert!(grown.own.capacity <= capacity.next_multiple_of(BLOCK).max(FIRST));
        }
    }

    #[test]
    fn a_clone_goes_on_by_itself() {
        let mut row = Row::new(&Small::DIMS, 96);
        feed(&mut row, 0..40);
        let (before, mut clone) = (held(&row), row.clone());
        feed(&mut clone, 90..130);
        assert_eq!((held(&row), row.len(), clone.len()), (before, 40, 80));
        feed(&mut row, 40..80);
        let mut straight = Row::new(&Small::DIMS, 96);
        feed(&mut straight, 0..80);
        assert_eq!(held(&row), held(&straight));
        assert_ne!(held(&clone), held(&straight));
    }
}
