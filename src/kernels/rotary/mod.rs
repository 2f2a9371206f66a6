//! Rotary positions (Su et al., 2021): each pair (x_j, x_{j + d/2}) of a head is turned by an angle of
//! position × θ^(−2j/d), in the half-split layout of the Llama family.

mod cpu;
#[cfg(feature = "cuda")]
pub(super) mod cuda;
mod scaling;

pub use scaling::Scaling;

use super::{Buffer, Device, Indices, KernelError, NumbersMut, dispatch};

/// Cosines and sines of every position and pair.
#[derive(Debug)]
pub struct Table {
    cos: Buffer,
    sin: Buffer,
    head_size: usize,
    positions: usize,
}

impl Table {
    /// The table for heads of `head_size` (even) and `positions` positions, with base θ and scaled frequencies.
    ///
    /// # Errors
    /// If the device has no room.
    pub fn new(
        device: &Device,
        head_size: usize,
        positions: usize,
        theta: f32,
        scaling: Scaling,
    ) -> Result<Self, KernelError> {
        let half = head_size / 2;
        let angle = |position: usize, pair: usize| {
            position as f64 * scaling.apply(f64::from(theta).powf(-2.0 * pair as f64 / head_size as f64))
        };
        let places = || (0..positions).flat_map(|position| (0..half).map(move |pair| (position, pair)));
        let cos: Vec<f32> = places().map(|(position, pair)| angle(position, pair).cos() as f32).collect();
        let sin: Vec<f32> = places().map(|(position, pair)| angle(position, pair).sin() as f32).collect();
        Ok(Self { cos: device.upload(&cos)?, sin: device.upload(&sin)?, head_size, positions })
    }

    /// How many positions there are.
    pub fn positions(&self) -> usize {
        self.positions
    }
}

/// Which way to turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// As the forward pass does.
    Forward,
    /// Back: the gradient, since a rotation's transpose is its inverse.
    Backward,
}

/// Turns the first `heads` heads of each row of x `[n, stride]` in place, by the row's position.
///
/// # Errors
/// If a buffer has another length, or a position is beyond the table.
pub fn rotate<'x>(
    device: &Device,
    table: &Table,
    direction: Direction,
    heads: usize,
    stride: usize,
    positions: &Indices,
    x: impl Into<NumbersMut<'x>>,
) -> Result<(), KernelError> {
    const OP: &str = "rotary";
    let x = x.into();
    x.expect(OP, "x", positions.len() * stride)?;
    if heads * table.head_size > stride {
        return Err(KernelError::Shape {
            op: OP,
            buffer: "row",
            got: stride,
            needed: heads * table.head_size,
        });
    }
    if let Some(position) = positions.first_from(table.positions) {
        return Err(KernelError::Position { position: position as usize, positions: table.positions });
    }
    dispatch!(device,
        cpu(threads) => {
            let (cos, sin) = (table.cos.view().host(OP)?, table.sin.view().host(OP)?);
            let positions = positions.host();
            cpu::rotate(threads, table.head_size, cos, sin, direction, heads, stride, positions, x.host(OP)?)
        },
        cuda(cuda) => cuda::rotate(cuda, OP, table, direction, heads, stride, positions, x),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::ViewMut;
    use crate::kernels::test_values::{assert_close, uniform};

    #[test]
    fn turns_pairs_by_the_angle_and_back() {
        let (heads, head_size, stride) = (2, 6, 15);
        let table = Table::new(&Device::cpu(), head_size, 50, 100.0, Scaling::None).unwrap();
        let positions = Device::cpu().indices(&[0, 7, 49]).unwrap();
        let x = uniform("x", 3 * stride);
        let mut y = x.clone();
        let turn = |direction, y: &mut [f32]| {
            rotate(&Device::cpu(), &table, direction, heads, stride, &positions, ViewMut::Host(y)).unwrap();
        };
        turn(Direction::Forward, &mut y);
        for (row, &position) in positions.host().iter().enumerate() {
            for head in 0..heads {
                for pair in 0..3 {
                    let angle = position as f32 * 100_f32.powf(-2.0 * pair as f32 / 6.0);
                    let at = row * stride + head * head_size + pair;
                    let (a, b) = (x[at], x[at + 3]);
                    let needed = [a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()];
                    assert_close(&[y[at], y[at + 3]], &needed, 1e-5);
                }
            }
            assert_eq!(y[row * stride + 12..(row + 1) * stride], x[row * stride + 12..(row + 1) * stride]);
        }
        turn(Direction::Backward, &mut y);
        assert_close(&y, &x, 1e-6);
    }

    #[test]
    fn a_position_beyond_the_table_is_an_error() {
        let table = Table::new(&Device::cpu(), 2, 4, 100.0, Scaling::None).unwrap();
        let (positions, x) = (Device::cpu().indices(&[4]).unwrap(), &mut [0.0; 2]);
        let error = rotate(&Device::cpu(), &table, Direction::Forward, 1, 2, &positions, ViewMut::Host(x));
        assert_eq!(error, Err(KernelError::Position { position: 4, positions: 4 }));
    }
}
