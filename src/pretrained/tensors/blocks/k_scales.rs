//! The scales and minima of `Q4_K` and `Q5_K`: 8 of each, of six bits, in 12 bytes.
//!
//! | byte, for j in 0..4 | lower bits | upper bits |
//! |---|---|---|
//! | j | 6: scale j | 2: the highest two of scale j + 4 |
//! | 4 + j | 6: minimum j | 2: the highest two of minimum j + 4 |
//! | 8 + j | 4: the lowest four of scale j + 4 | 4: the lowest four of minimum j + 4 |

/// Scale and minimum of each sub-block.
pub(super) fn scales_and_minima(bytes: &[u8]) -> [(u8, u8); 8] {
    std::array::from_fn(|j| {
        if j < 4 {
            return (bytes[j] & 63, bytes[4 + j] & 63);
        }
        let (scale, minimum, low) = (bytes[j - 4], bytes[j], bytes[j + 4]);
        (low & 0xF | scale >> 6 << 4, low >> 4 | minimum >> 6 << 4)
    })
}
