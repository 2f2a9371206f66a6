//! One chart as SVG: inline in the page, or a picture of its own.
//!
//! The axes are drawn here rather than by plotters' own, whose tick search does not bear every range
//! that a run can produce (a constant, a difference below the machine's precision).

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::{Axis, drawable};
use super::{Chart, ReportError, Series};

/// SVG coordinates of plotters are whole numbers, so they are made finer than a pixel.
const FINE: i32 = 4;
const WIDTH: i32 = 520 * FINE;
const HEIGHT: i32 = 260 * FINE;
const LEFT: i32 = 52 * FINE;
const RIGHT: i32 = 14 * FINE;
const TOP: i32 = 30 * FINE;
const BOTTOM: i32 = 40 * FINE;
/// Of a line of a picture's legend, and how many names stand in one at most.
const LEGEND: i32 = 20 * FINE;
const NAMES: usize = 4;
/// A character of a name, roughly.
const CHARACTER: usize = 7 * FINE as usize;

/// A curve of so few points gets a dot at each.
const DOTS: usize = 32;

// The page's style sheet replaces each of these colours by that of the reader's theme; they are what
// a viewer without style sheets shows.
const TEXT: RGBColor = RGBColor(0x5f, 0x5f, 0x60);
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xde);
const AXIS: RGBColor = RGBColor(0x9a, 0x9a, 0x9b);
const CURVES: [RGBColor; 11] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x8a, 0x63, 0x3c),
    RGBColor(0x77, 0x77, 0x78),
    RGBColor(0x5b, 0x3a, 0x9e),
    RGBColor(0xa3, 0x12, 0x3f),
    RGBColor(0x1b, 0x1b, 0x1c),
];

/// The colour of a curve, as a number that the style sheet knows.
pub(super) fn colour(series: usize) -> usize {
    series % CURVES.len()
}

impl Chart {
    /// The chart with its legend and without its title, as an SVG picture on white; `None` if it has no point that can be
    /// drawn.
    ///
    /// # Errors
    /// [`ReportError::Chart`] if the picture cannot be drawn.
    pub fn to_svg(&self) -> Result<Option<String>, ReportError> {
        svg(self, true)
    }
}

/// The chart without its title; its legend below it where it is a picture. `None` if it has no point that can be drawn.
pub(super) fn svg(chart: &Chart, picture: bool) -> Result<Option<String>, ReportError> {
    let points = || chart.series.iter().flat_map(|series| &series.points).filter(|point| shown(point));
    let xs = || points().map(|point| point.0);
    let whole = xs().all(|x| x.fract() == 0.0);
    let x_axis = if whole { Axis::of_steps(xs()) } else { Axis::around(xs()) };
    let ends = chart.series.iter().flat_map(|series| &series.spread).flat_map(|&(low, high)| [low, high]);
    let ys = points().map(|point| point.1).chain(ends);
    let (Some(x_axis), Some(y_axis)) = (x_axis, Axis::around(ys)) else {
        return Ok(None);
    };
    let mut svg = String::new();
    let drawn = draw(&mut svg, chart, x_axis, y_axis, picture);
    drawn.map_err(|error| ReportError::Chart { title: chart.title.clone(), message: error.to_string() })?;
    Ok(Some(svg))
}

fn shown(&(x, y): &(f64, f64)) -> bool {
    drawable(x) && drawable(y)
}

fn draw(
    svg: &mut String,
    chart: &Chart,
    x_axis: Axis,
    y_axis: Axis,
    picture: bool,
) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let names = names(chart);
    let legend = if picture { LEGEND * chart.series.len().div_ceil(names) as i32 } else { 0 };
    let size = (WIDTH as u32, (HEIGHT + legend) as u32);
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    if picture {
        root.fill(&WHITE)?;
    }
    let x_at = |x: f64| LEFT + (f64::from(WIDTH - LEFT - RIGHT) * x_axis.place(x)).round() as i32;
    let y_at = |y: f64| HEIGHT - BOTTOM - (f64::from(HEIGHT - TOP - BOTTOM) * y_axis.place(y)).round() as i32;

    let line = |ends: [(i32, i32); 2], colour: &RGBColor| {
        root.draw(&PathElement::new(ends, colour.stroke_width(FINE as u32)))
    };
    for tick in y_axis.ticks() {
        let y = y_at(tick);
        line([(LEFT, y), (WIDTH - RIGHT, y)], &GRID)?;
        let style = text(HPos::Right, VPos::Center);
        root.draw(&Text::new(y_axis.label(tick), (LEFT - 8 * FINE, y), style))?;
    }
    for tick in x_axis.ticks() {
        let (x, y) = (x_at(tick), HEIGHT - BOTTOM);
        line([(x, y), (x, y + 4 * FINE)], &AXIS)?;
        root.draw(&Text::new(x_axis.label(tick), (x, y + 7 * FINE), text(HPos::Center, VPos::Top)))?;
    }
    line([(LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, HEIGHT - BOTTOM)], &AXIS)?;
    let style = text(HPos::Left, VPos::Top);
    root.draw(&Text::new(chart.y_label.as_str(), (0, 4 * FINE), style))?;
    let style = text(HPos::Right, VPos::Bottom);
    root.draw(&Text::new(chart.x_label.as_str(), (WIDTH - RIGHT, HEIGHT - 2 * FINE), style))?;

    for (number, Series { name, points, spread }) in chart.series.iter().enumerate() {
        let curve = &CURVES[colour(number)];
        if picture {
            let (column, row) = ((number % names) as i32, (number / names) as i32);
            let (x, y) =
                (8 * FINE + column * (WIDTH - 8 * FINE) / names as i32, HEIGHT + row * LEGEND + LEGEND / 2);
            line([(x, y), (x + 16 * FINE, y)], curve)?;
            root.draw(&Text::new(name.as_str(), (x + 20 * FINE, y), text(HPos::Left, VPos::Center)))?;
        }
        for (&(x, _), &(low, high)) in points.iter().zip(spread) {
            if drawable(x) && drawable(low) && drawable(high) {
                line([(x_at(x), y_at(low)), (x_at(x), y_at(high))], curve)?;
            }
        }
        for piece in points.split(|point| !shown(point)) {
            let mut pixels: Vec<_> = piece.iter().map(|&(x, y)| (x_at(x), y_at(y))).collect();
            pixels.dedup();
            // A point between two gaps has no line to be seen by.
            if points.len() <= DOTS || pixels.len() == 1 {
                for &pixel in &pixels {
                    root.draw(&Circle::new(pixel, 5 * FINE / 2, curve.filled()))?;
                }
            }
            if pixels.len() > 1 {
                root.draw(&PathElement::new(pixels, curve.stroke_width(2 * FINE as u32)))?;
            }
        }
    }
    root.present()
}

/// Names of the legend in a row: as many as leave room for the longest.
fn names(chart: &Chart) -> usize {
    let longest = chart.series.iter().map(|series| series.name.chars().count()).max().unwrap_or(0);
    let each = (28 * FINE as usize).saturating_add(longest.saturating_mul(CHARACTER));
    ((WIDTH - 8 * FINE) as usize / each).clamp(1, NAMES)
}

fn text(horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    // The backend divides by 1.24.
    let size = 12.0 * f64::from(FINE) * 1.24;
    ("sans-serif", size).into_font().color(&TEXT).pos(Pos::new(horizontal, vertical))
}
