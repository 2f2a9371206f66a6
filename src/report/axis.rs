//! Where an axis begins and ends, and the round numbers on it.

/// Beyond this a value is not drawn: the arithmetic of an axis would overflow.
const LARGEST: f64 = 1e200;

/// Differences below this are none: its tenth parts would lose their precision.
const SMALLEST: f64 = 1e-200;

/// Whether a value can be placed on an axis.
pub(super) fn drawable(value: f64) -> bool {
    value.abs() <= LARGEST
}

/// One axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// An axis that holds all drawable values, from one round number to another; `None` without any.
    pub fn around(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let (low, high) = extent(values)?;
        let step = round_step((high - low) / 5.0);
        Some(Self { low: (low / step).floor() * step, high: (high / step).ceil() * step, step })
    }

    /// An axis from the least drawable value to the greatest, with round numbers in between; for
    /// steps, of which there is no half one.
    pub fn of_steps(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let (low, high) = extent(values)?;
        Some(Self { low, high, step: round_step((high - low) / 5.0).max(1.0) })
    }

    /// The place of a value: 0 at the axis' beginning, 1 at its end.
    pub fn place(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// Round numbers on the axis, at most a dozen.
    pub fn ticks(&self) -> impl Iterator<Item = f64> {
        let Self { low, high, step } = *self;
        let first = (low / step - 1e-9).ceil();
        (0..12)
            .map(move |tick| (first + f64::from(tick)) * step)
            .take_while(move |&at| at <= high + step * 1e-9)
    }

    /// A tick as text.
    pub fn label(&self, tick: f64) -> String {
        let (size, step) = (self.low.abs().max(self.high.abs()), self.step);
        if size >= 1e6 || step < 1e-4 {
            return if tick == 0.0 { "0".to_owned() } else { format!("{tick:.1e}").replace('-', "−") };
        }
        let digits = (-step.log10()).ceil().max(0.0) as usize;
        // −0 would be shown with its sign.
        format!("{:.digits$}", tick + 0.0).replace('-', "−")
    }
}

/// The least and the greatest drawable value, widened where they are the same.
fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let values = values.into_iter().filter(|&value| drawable(value));
    let (low, high) = values.fold(None, |extent, value| {
        let (low, high): (f64, f64) = extent.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })?;
    let size = low.abs().max(high.abs());
    if high - low > (size * 1e-9).max(SMALLEST) {
        return Some((low, high));
    }
    let margin = if size > SMALLEST { size * 0.1 } else { 1.0 };
    Some((low - margin, high + margin))
}

/// The least of 1, 2 and 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let round = [1.0, 2.0, 5.0].into_iter().find(|round| round * power >= step * (1.0 - 1e-9));
    round.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: Axis) -> Vec<String> {
        axis.ticks().map(|tick| axis.label(tick)).collect()
    }

    #[test]
    fn ticks_are_round_and_the_values_lie_between_them() {
        let axis = Axis::around([0.213, 0.5, 0.68]).unwrap();
        assert_eq!(labels(axis), ["0.2", "0.3", "0.4", "0.5", "0.6", "0.7"]);
        assert!((axis.place(0.2)).abs() < 1e-9 && (axis.place(0.45) - 0.5).abs() < 1e-9);
        assert_eq!(labels(Axis::around([-3.0, 17.0]).unwrap()), ["−5", "0", "5", "10", "15", "20"]);
        assert_eq!(labels(Axis::around([0.0, 4e7]).unwrap())[..2], ["0", "1.0e7"]);
        assert_eq!(labels(Axis::around([0.0, 2e-5]).unwrap())[1], "5.0e−6");
    }

    #[test]
    fn steps_are_whole_and_begin_where_they_begin() {
        let axis = Axis::of_steps([1.0, 2.0, 3.0]).unwrap();
        assert_eq!(labels(axis), ["1", "2", "3"]);
        assert_eq!((axis.place(1.0), axis.place(3.0)), (0.0, 1.0));
        assert_eq!(labels(Axis::of_steps([1.0, 60.0]).unwrap()), ["20", "40", "60"]);
    }

    #[test]
    fn odd_values_give_an_axis_or_none() {
        assert_eq!(Axis::around([]), None);
        assert_eq!(Axis::around([f64::NAN, f64::INFINITY, 1e300]), None);
        for values in
            [[0.0, 0.0], [-7.0, -7.0], [1e16, 1e16 + 2.0], [-1e200, 1e200], [0.0, 5e-324], [1e-300, 2e-300]]
        {
            for axis in [Axis::around(values).unwrap(), Axis::of_steps(values).unwrap()] {
                for value in values {
                    assert!((0.0..=1.0).contains(&axis.place(value)), "{values:?}");
                }
                let ticks = axis.ticks().count();
                assert!(ticks <= 12 && axis.ticks().all(|tick| !axis.label(tick).is_empty()), "{values:?}");
            }
        }
    }
}
