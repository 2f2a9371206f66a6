//! [`Rows`]: where the rows of a batch lie among its tokens.

use std::ops::Range;

use crate::kernels::{Device, KernelError};

/// Tokens of a tile of CUDA's kernels, which have it from `cuda/tiles.cuh`.
#[cfg(feature = "cuda")]
pub(super) const TILE: usize = 64;

/// The rows that attention does not look beyond.
#[derive(Debug)]
pub struct Rows {
    /// Where each row begins, and the end of the last.
    offsets: Vec<u32>,
    /// For CUDA: begin and end of its row and the first token, of each tile.
    #[cfg(feature = "cuda")]
    pub(super) tiles: crate::kernels::Indices,
}

impl Rows {
    /// Rows that begin at `offsets`, which are one more than there are rows: the last is the number of tokens.
    ///
    /// # Errors
    /// If the offsets fall, do not begin with 0, or the device has no room.
    pub fn new(device: &Device, offsets: &[u32]) -> Result<Self, KernelError> {
        let mut before = 0;
        for (row, &offset) in offsets.iter().enumerate() {
            if offset < before || (row == 0 && offset != 0) {
                return Err(KernelError::Offset { row, offset, before });
            }
            before = offset;
        }
        #[cfg(not(feature = "cuda"))]
        let _ = device;
        Ok(Self {
            #[cfg(feature = "cuda")]
            tiles: match device.backend() {
                crate::kernels::Backend::Cpu(_) => device.indices(&[])?,
                crate::kernels::Backend::Cuda(_) => device.indices(&tiles(offsets))?,
            },
            offsets: offsets.to_vec(),
        })
    }

    /// Tokens of all rows.
    pub fn tokens(&self) -> usize {
        self.offsets.last().map_or(0, |&end| end as usize)
    }

    /// The rows, in order.
    pub(super) fn ranges(&self) -> Vec<Range<usize>> {
        self.offsets.windows(2).map(|pair| pair[0] as usize..pair[1] as usize).collect()
    }
}

/// Begin and end of its row and the first token, of each tile.
#[cfg(feature = "cuda")]
fn tiles(offsets: &[u32]) -> Vec<u32> {
    let rows = offsets.windows(2).map(|pair| (pair[0], pair[1]));
    rows.flat_map(|(start, end)| (start..end).step_by(TILE).flat_map(move |first| [start, end, first]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_must_rise_from_0() {
        let of = |offsets: &[u32]| Rows::new(&Device::cpu(), offsets);
        assert_eq!((of(&[]).unwrap().tokens(), of(&[0]).unwrap().tokens()), (0, 0));
        let rows = of(&[0, 3, 3, 5]).unwrap();
        assert_eq!((rows.tokens(), rows.ranges()), (5, vec![0..3, 3..3, 3..5]));
        let error = of(&[0, 3, 2]).unwrap_err().to_string();
        assert_eq!(error, "row 2 begins at token 2: it must be at least 3, and 0 for the first row");
        assert!(of(&[1, 2]).is_err());
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn tiles_begin_with_their_rows() {
        assert!(tiles(&[]).is_empty());
        let needed = [[0, 1, 0], [1, 130, 1], [1, 130, 65], [1, 130, 129], [130, 194, 130]];
        assert_eq!(tiles(&[0, 1, 130, 130, 194]), needed.concat());
    }
}
