//! Line charts as SVG that takes its colours from the page.
//!
//! The plotting library writes fixed colours. Charts are drawn in colours that stand for roles and then handed to the page's
//! style sheet: text becomes `currentColor`, lines and series its custom properties, so that one drawing serves light, dark
//! and paper. A series is told apart by the dashes of its line and the shape of its points, not by colour alone.

use super::page::{Figure, LegendEntry, Picture};
use crate::error::GenError;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::fmt::Display;
use std::ops::Range;

/// Series that a chart can tell apart.
const MOST_SERIES: usize = 5;
/// Shapes of their points, as text.
const SHAPES: [&str; MOST_SERIES] = ["●", "▲", "✕", "○", "■"];
/// Dashes of their lines: SVG dash arrays.
const DASHES: [&str; MOST_SERIES] = ["", "9 4", "2 4", "12 4 2 4", "5 3"];
/// Dashes of the level that a chart compares with.
const LEVEL_DASHES: &str = "3 3";

/// Size in pixels at full width; text stays readable at two thirds of it.
const SIZE: (u32, u32) = (480, 300);
const TEXT: RGBColor = RGBColor(1, 0, 0);
const GRID: RGBColor = RGBColor(2, 0, 0);
const REFERENCE: RGBColor = RGBColor(3, 0, 0);

/// Of a series' points.
fn series_color(index: usize) -> RGBColor {
    RGBColor(4, (index % MOST_SERIES) as u8, 0)
}

/// Of a series' line, which also says how it is dashed.
fn line_color(index: usize) -> RGBColor {
    RGBColor(5, (index % MOST_SERIES) as u8, 0)
}

/// Points with a name.
pub struct Series {
    /// What the legend says.
    pub name: String,
    /// Ascending x.
    pub points: Vec<(f64, f64)>,
}

/// An axis: what it says, its range, and the places that carry a label.
#[derive(Clone)]
pub struct Axis {
    /// What it measures.
    pub title: &'static str,
    /// Ends of the range.
    pub range: (f64, f64),
    /// Places and their labels, ascending.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From 0 or below to the largest value, with round numbers on it.
    pub fn linear(title: &'static str, low: f64, high: f64) -> Axis {
        let step = round_step((high - low) / 5.0);
        let (first, last) = ((low / step).floor(), (high / step).ceil().max((low / step).floor() + 1.0));
        let count = (last - first) as usize;
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let at = |n: usize| (first + n as f64) * step;
        let ticks = (0..=count).map(|n| (at(n), format!("{:.decimals$}", at(n)))).collect();
        Axis { title, range: (at(0), at(count)), ticks }
    }

    /// Places one apart, in the order of their labels.
    pub fn places<T: Display>(title: &'static str, labels: &[T]) -> Axis {
        Axis::at(title, labels.iter().enumerate().map(|(i, label)| (i as f64, label.to_string())).collect())
    }

    /// The given places, with a little room at the ends.
    pub fn at(title: &'static str, ticks: Vec<(f64, String)>) -> Axis {
        let (first, last) =
            (ticks.first().map_or(0.0, |tick| tick.0), ticks.last().map_or(1.0, |tick| tick.0));
        let room = ((last - first) / 20.0).max(1e-3);
        Axis { title, range: (first - room, last + room), ticks }
    }

    fn label(&self, value: f64) -> String {
        let near = |tick: &&(f64, String)| (tick.0 - value).abs() < 1e-6 * (self.range.1 - self.range.0);
        self.ticks.iter().find(near).map_or_else(String::new, |(_, label)| label.clone())
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.range.0) / (self.range.1 - self.range.0);
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(at, _)| *at).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.0..self.range.1
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.label(*value)
    }
}

impl From<Axis> for Range<f64> {
    fn from(axis: Axis) -> Range<f64> {
        axis.range.0..axis.range.1
    }
}

/// 1, 2 or 5 times a power of ten, at least `step`.
fn round_step(step: f64) -> f64 {
    if !(step.is_finite() && step > 0.0) {
        return 1.0;
    }
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= step * 0.999);
    factor.unwrap_or(10.0) * power
}

/// How the points of a series are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    /// A shape at each point.
    Shapes,
    /// None: the line says it all.
    None,
}

/// A chart: lines through points, and perhaps a level to compare them with.
pub struct Chart<'a> {
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// The lines, [`MOST_SERIES`] at most.
    pub series: &'a [Series],
    /// A horizontal line and its name.
    pub level: Option<(String, f64)>,
    /// Points.
    pub marks: Marks,
}

impl Chart<'_> {
    /// The chart with its legend; the caption also describes it to those who do not see it.
    pub fn figure(&self, caption: String) -> Result<Figure, GenError> {
        let mut legend = if self.series.len() > 1 { legend(self.series, self.marks) } else { Vec::new() };
        if let Some((name, _)) = &self.level {
            legend.push(LegendEntry {
                color: "reference".to_owned(),
                dash: LEVEL_DASHES,
                shape: "",
                name: name.clone(),
            });
        }
        Ok(Figure { picture: Picture::Svg(self.svg(&caption)?), legend, caption })
    }

    /// The chart as an SVG element; `description` is for those who do not see it.
    fn svg(&self, description: &str) -> Result<String, GenError> {
        let mut svg = String::new();
        self.draw(&mut svg).map_err(|error| GenError::Chart(error.to_string()))?;
        let at = svg.find("<svg").unwrap_or(0);
        let label = description.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        let svg = svg[at..].replacen("<svg", &format!("<svg role=\"img\" aria-label=\"{label}\""), 1);
        // HTML knows the namespace of its SVG, and the page then names no address at all.
        Ok(themed(&svg.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1)))
    }

    fn draw(&self, svg: &mut String) -> Result<(), Box<dyn std::error::Error + '_>> {
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(10)
            .margin_right(18)
            .x_label_area_size(52)
            .y_label_area_size(70)
            .build_cartesian_2d(self.x.clone(), self.y.clone())
            .map_err(|error| error.to_string())?;
        let text = ("sans-serif", 17).into_font().color(&TEXT);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(GRID)
            .light_line_style(GRID)
            .axis_style(TEXT)
            .label_style(text)
            .x_desc(self.x.title)
            .y_desc(self.y.title)
            .draw()
            .map_err(|error| error.to_string())?;
        if let Some((_, level)) = self.level {
            let line = [(self.x.range.0, level), (self.x.range.1, level)];
            chart
                .draw_series(LineSeries::new(line, REFERENCE.stroke_width(2)))
                .map_err(|error| error.to_string())?;
        }
        for (index, series) in self.series.iter().enumerate() {
            let color = series_color(index);
            let points = series.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite());
            chart
                .draw_series(LineSeries::new(points.clone(), line_color(index).stroke_width(2)))
                .map_err(|error| error.to_string())?;
            if self.marks == Marks::Shapes {
                let shapes = points.map(|point| shape(index, point, color));
                chart.draw_series(shapes).map_err(|error| error.to_string())?;
            }
        }
        root.present().map_err(|error| error.to_string())?;
        Ok(())
    }
}

/// A legend for the series of a chart.
fn legend(series: &[Series], marks: Marks) -> Vec<LegendEntry> {
    let entry = |(index, series): (usize, &Series)| LegendEntry {
        color: format!("series-{}", index % MOST_SERIES),
        dash: DASHES[index % MOST_SERIES],
        shape: if marks == Marks::None { "" } else { SHAPES[index % MOST_SERIES] },
        name: series.name.clone(),
    };
    series.iter().enumerate().map(entry).collect()
}

type Shape<'a> = DynElement<'static, SVGBackend<'a>, (f64, f64)>;

/// The shape of series `index`, as in [`SHAPES`].
fn shape<'a>(index: usize, point: (f64, f64), color: RGBColor) -> Shape<'a> {
    let (filled, line) = (color.filled(), color.stroke_width(2));
    match index % MOST_SERIES {
        0 => Circle::new(point, 5, filled).into_dyn(),
        1 => TriangleMarker::new(point, 6, filled).into_dyn(),
        2 => Cross::new(point, 5, line).into_dyn(),
        3 => Circle::new(point, 5, line).into_dyn(),
        _ => {
            let middle = Pos::new(HPos::Center, VPos::Center);
            Text::new("■", point, ("sans-serif", 16).into_font().color(&color).pos(middle)).into_dyn()
        }
    }
}

/// Roles become what the page's style sheet says; lines get their dashes.
fn themed(svg: &str) -> String {
    let code = |RGBColor(red, green, blue)| format!("\"#{red:02X}{green:02X}{blue:02X}\"");
    let line = |color: &str, dashes: &str| match dashes {
        "" => format!("\"var(--{color})\""),
        dashes => format!("\"var(--{color})\" stroke-dasharray=\"{dashes}\""),
    };
    let mut svg = svg
        .replace(&code(TEXT), "\"currentColor\"")
        .replace(&code(GRID), "\"var(--grid)\"")
        .replace(&code(REFERENCE), &line("reference", LEVEL_DASHES));
    for (index, dashes) in DASHES.into_iter().enumerate() {
        let color = format!("series-{index}");
        svg = svg.replace(&code(series_color(index)), &format!("\"var(--{color})\""));
        svg = svg.replace(&code(line_color(index)), &line(&color, dashes));
    }
    svg
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn linear_axes_hold_their_values_and_a_handful_of_ticks(low in -1e6f64..1e6, span in 1e-3f64..1e6) {
            let axis = Axis::linear("x", low, low + span);
            prop_assert!(axis.range.0 <= low + 1e-9 * low.abs() && axis.range.1 >= low + span * 0.999);
            prop_assert!((2..=8).contains(&axis.ticks.len()), "{:?}", axis.ticks);
        }
    }

    #[test]
    fn charts_have_no_colours_of_their_own() {
        let points = vec![(0.0, 0.2), (1.0, 0.9)];
        let series: Vec<Series> =
            (0..MOST_SERIES).map(|i| Series { name: i.to_string(), points: points.clone() }).collect();
        let chart = Chart {
            x: Axis::places("T", &[4, 8]),
            y: Axis::linear("accuracy", 0.0, 1.0),
            series: &series,
            level: Some(("half".to_owned(), 0.5)),
            marks: Marks::Shapes,
        };
        let svg = chart.svg("a \"quoted\" <description>").unwrap();
        assert!(
            svg.starts_with("<svg role=\"img\" aria-label=\"a &quot;quoted&quot; &lt;description>\""),
            "{svg}"
        );
        assert!(!svg.contains("\"#"), "{svg}");
        for words in ["currentColor", "var(--grid)", "var(--reference)", "var(--series-4)", "accuracy"] {
            assert!(svg.contains(words), "{words}");
        }
        for dashes in DASHES.iter().skip(1) {
            assert!(svg.contains(&format!("stroke-dasharray=\"{dashes}\"")), "{dashes}: {svg}");
        }
    }

    #[test]
    fn no_two_series_look_alike_without_colour() {
        for i in 0..MOST_SERIES {
            for j in 0..i {
                assert!(SHAPES[i] != SHAPES[j] && DASHES[i] != DASHES[j] && DASHES[i] != LEVEL_DASHES);
            }
        }
    }

    #[test]
    fn degenerate_ranges_still_draw() {
        let series = [Series { name: "flat".to_owned(), points: vec![(0.0, f64::NAN), (1.0, 0.0)] }];
        let y = Axis::linear("nothing", 0.0, 0.0);
        let chart =
            Chart { x: Axis::places("x", &["a"]), y, series: &series, level: None, marks: Marks::Shapes };
        chart.svg("flat").unwrap();
    }
}
