//! Spike activation maps: where in the image neurons spike again and again.
//!
//! The map of Kim and Panda, "Visual explanations from spiking neural networks using inter-spike intervals" (Scientific
//! Reports 11, 2021): a neuron's earlier spikes count the more the more recent they are, and its score counts where it spikes now,
//! ```text
//! N(t) = sum over its spikes t' < t of exp(-gamma * (t - t'));   map(token, t) = sum over channels of N(t) * s(t)
//! ```

use super::grids::Subject;
use super::page::{Figure, GridImage, ImageGrid, Picture};
use crate::error::GenError;
use crate::sweep::point::{Settings, if_it_runs};
use base64::Engine;
use isa::Schedule;
use model::network::{Grid, ImageShape, Operation, Taps, Term, Weights};
use model::{Configured, Executor, Layer, Network, SpikePlane};
use std::ops::Range;

/// How fast a spike is forgotten, per time step.
pub const GAMMA: f64 = 0.5;
/// T of the runs whose maps are shown.
pub const TIME_STEPS: u32 = 32;
/// Time steps that are shown, counted from 1.
const SHOWN: [usize; 4] = [2, 8, 16, 32];
/// Mask ratios of all labels.
const MASKS: [&str; 3] = ["0", "0.5", "0.75"];
/// Images that are shown, at most.
const IMAGES: usize = 3;
/// Pixels of the picture for each pixel of the image.
const ZOOM: usize = 3;

/// The map of every time step, from 0: one value a token.
fn activation(plane: &SpikePlane) -> Vec<Vec<f64>> {
    let keep = (-GAMMA).exp();
    let mut scores = vec![0.0; plane.tokens() * plane.channels()];
    let steps = 0..plane.time_steps() as usize;
    let map = |t: usize| {
        let rows = scores.chunks_exact_mut(plane.channels()).enumerate();
        let token = |(token, row): (usize, &mut [f64])| {
            let mut sum = 0.0;
            for (channel, score) in row.iter_mut().enumerate() {
                *score *= keep;
                if plane.get(token, channel, t) {
                    sum += *score;
                    *score += 1.0;
                }
            }
            sum
        };
        rows.map(token).collect()
    };
    steps.map(map).collect()
}

/// The layer whose spikes are shown: in a transformer the residual stream at the end of the finest token grid, which is the last layer there that
/// adds planes channel by channel; else the last layer of the finest grid before anything is pooled.
fn shown_layer(network: &Network) -> usize {
    let grid = network.layers[0].grid;
    let attends = network.layers.iter().any(|layer| matches!(layer.operation, Operation::Scores { .. }));
    let pooled = if attends { None } else { network.layers.iter().position(pools) };
    let before = pooled.unwrap_or(network.layers.len()).max(1);
    let mut planes = network.layers[..before].iter().enumerate().filter(|(_, layer)| {
        let scores = matches!(layer.operation, Operation::Scores { .. });
        layer.grid == grid && layer.neuron.is_some() && !scores
    });
    let mut stream = planes.clone().filter(|(_, layer)| attends && adds_planes(layer));
    stream.next_back().or_else(|| planes.next_back()).map_or(0, |(index, _)| index)
}

/// Whether every term reads each channel by itself.
fn by_channel(layer: &Layer) -> Option<&[Term]> {
    let Operation::Linear { terms, .. } = &layer.operation else { return None };
    terms.iter().all(|term| matches!(term.weights, Weights::Diagonal(_))).then_some(terms)
}

fn adds_planes(layer: &Layer) -> bool {
    by_channel(layer).is_some_and(|terms| terms.iter().all(|term| term.taps == Taps::TOKEN))
}

fn pools(layer: &Layer) -> bool {
    by_channel(layer).is_some_and(|terms| terms.iter().any(|term| term.taps.count() > 1))
}

fn configured(
    subject: &Subject<'_>,
    neuron: Option<Schedule>,
    mask: &str,
) -> Result<Option<Configured>, GenError> {
    let settings = Settings { time_steps: TIME_STEPS, neuron, mask: Some(mask.parse()?), seed: None };
    if_it_runs(settings.configure(subject.file))
}

/// The neurons of the maps: the paper's, `if`, or the network's own where it runs with no others.
pub fn neuron(subject: &Subject<'_>) -> Result<Option<Schedule>, GenError> {
    let paper = Some(Schedule::EachStep);
    Ok(configured(subject, paper, "0")?.and(paper))
}

/// Maps of some images with these neurons, for several time steps and mask ratios; none if the network cannot run that long.
pub fn figures(subject: &Subject<'_>, neuron: Option<Schedule>) -> Result<Vec<Figure>, GenError> {
    let images = subject.images;
    let masks = if subject.labels().is_empty() { &MASKS[..1] } else { &MASKS };
    let mut runs = Vec::new();
    for &mask in masks {
        let Some(configured) = configured(subject, neuron, mask)? else { return Ok(Vec::new()) };
        runs.push((mask, configured));
    }
    let shown = shown_layer(subject.network());
    let Layer { name, grid, .. } = &subject.network().layers[shown];
    let mut figures = Vec::new();
    for image in 0..images.count().min(IMAGES) {
        let mut maps = Vec::new();
        for (mask, configured) in &runs {
            let plane = Executor::new(configured).trace(images.image(image))?.planes.swap_remove(shown);
            maps.push((*mask, *grid, activation(&plane)));
        }
        figures.push(figure(subject, image, name, &maps));
    }
    Ok(figures)
}

fn figure(subject: &Subject<'_>, image: usize, layer: &str, maps: &[(&str, Grid, Vec<Vec<f64>>)]) -> Figure {
    let images = subject.images;
    // One scale for all maps of an image, so that fewer spikes look like fewer spikes.
    let values = maps.iter().flat_map(|(_, _, map)| SHOWN.iter().flat_map(|t| &map[t - 1]));
    let brightest = values.copied().fold(f64::MIN_POSITIVE, f64::max);
    let shape = images.shape();
    let index = images.index(image);
    let look = Look::new(images.image(image), shape);
    let picture = |heat: Option<(Grid, &[f64])>| {
        let color = |y: usize, x: usize| {
            let pixel = look.pixel(y / ZOOM * shape.width + x / ZOOM);
            let at = |grid: Grid| {
                let scaled = |n: usize, pixels: usize, tokens: usize| {
                    (n as f64 + 0.5) / (pixels * ZOOM) as f64 * tokens as f64 - 0.5
                };
                (scaled(y, shape.height, grid.rows), scaled(x, shape.width, grid.columns))
            };
            match heat {
                None => pixel,
                Some((grid, map)) => overlay(grey(pixel), between_tokens(grid, map, at(grid)) / brightest),
            }
        };
        png(shape.height * ZOOM, shape.width * ZOOM, color)
    };
    let mut head = vec!["".to_owned(), "image".to_owned()];
    head.extend(SHOWN.iter().map(|t| format!("t = {t}")));
    let rows = maps.iter().map(|(mask, grid, map)| {
        let plain = GridImage { data: picture(None), alt: format!("image {index}") };
        let panel = |t: &usize| GridImage {
            data: picture(Some((*grid, &map[t - 1]))),
            alt: format!("activation of image {index} at time step {t}, mask {mask}"),
        };
        (format!("mask {mask}"), std::iter::once(plain).chain(SHOWN.iter().map(panel)).collect())
    });
    Figure {
        picture: Picture::Grid(ImageGrid { head, rows: rows.collect() }),
        legend: Vec::new(),
        caption: format!(
            "Image {index}{}: spikes of {layer}, brighter is more.",
            images.label(image).map_or(String::new(), |label| format!(", class {}", subject.class(label)))
        ),
    }
}

/// A map's value between token centres, by linear interpolation.
fn between_tokens(grid: Grid, map: &[f64], (row, column): (f64, f64)) -> f64 {
    let (row, column) =
        (row.clamp(0.0, (grid.rows - 1) as f64), column.clamp(0.0, (grid.columns - 1) as f64));
    let (top, left) = (row.floor() as usize, column.floor() as usize);
    let (bottom, right) = ((top + 1).min(grid.rows - 1), (left + 1).min(grid.columns - 1));
    let (down, across) = (row - top as f64, column - left as f64);
    let at = |row: usize, column: usize| map[row * grid.columns + column];
    let line = |row| at(row, left) * (1.0 - across) + at(row, right) * across;
    line(top) * (1.0 - down) + line(bottom) * down
}

/// Frames of events: each is a pair of channels, what got darker and what got brighter.
fn event_frames(shape: ImageShape) -> Option<usize> {
    shape.channels.is_multiple_of(2).then_some(shape.channels / 2)
}

/// The frames of some images, if their channels come in pairs.
pub fn frames(subject: &Subject<'_>) -> Option<Figure> {
    let (images, shape) = (subject.images, subject.images.shape());
    let count = event_frames(shape)?;
    let rows = (0..images.count().min(IMAGES)).map(|image| {
        let look = Look::new(images.image(image), shape);
        let label = images.label(image).map_or(String::new(), |label| format!(", {}", subject.class(label)));
        let index = images.index(image);
        let panel = |frame: usize| GridImage {
            data: png(shape.height * ZOOM, shape.width * ZOOM, |y, x| {
                look.events(frame..frame + 1, y / ZOOM * shape.width + x / ZOOM)
            }),
            alt: format!("frame {frame} of image {index}"),
        };
        (format!("image {index}{label}"), (0..count).map(panel).collect())
    });
    let mut head = vec![String::new()];
    head.extend((0..count).map(|frame| format!("frame {frame}")));
    Some(Figure {
        picture: Picture::Grid(ImageGrid { head, rows: rows.collect() }),
        legend: Vec::new(),
        caption: "What the network sees: channels in pairs, as event frames have them. Blue: the first of a pair (darker), red: the second (brighter); \
                  frames of an image share one scale."
            .to_owned(),
    })
}

/// An image as it is shown: of three channels in colour, of pairs of channels as events, else the first channel in grey. Pixels lie channel by channel.
struct Look<'p> {
    pixels: &'p [u8],
    shape: ImageShape,
    brightest: u32,
}

impl<'p> Look<'p> {
    fn new(pixels: &'p [u8], shape: ImageShape) -> Look<'p> {
        let brightest = pixels.iter().copied().max().unwrap_or(0).max(1).into();
        Look { pixels, shape, brightest }
    }

    fn channel(&self, channel: usize, at: usize) -> u8 {
        self.pixels[channel * self.shape.height * self.shape.width + at]
    }

    /// The pixel; of events, those of all frames.
    fn pixel(&self, at: usize) -> [u8; 3] {
        match (self.shape.channels, event_frames(self.shape)) {
            (3, _) => [0, 1, 2].map(|channel| self.channel(channel, at)),
            (_, Some(count)) => self.events(0..count, at),
            _ => [self.channel(0, at); 3],
        }
    }

    /// Events of some frames: darker ones blue, brighter ones red, on black.
    fn events(&self, frames: Range<usize>, at: usize) -> [u8; 3] {
        let sum = |polarity: usize| {
            let counts = frames.clone().map(|frame| u32::from(self.channel(2 * frame + polarity, at)));
            // A single event must be seen beside many.
            let share = f64::from(counts.sum::<u32>().min(self.brightest)) / f64::from(self.brightest);
            (255.0 * share.sqrt()) as u8
        };
        [sum(1), 0, sum(0)]
    }
}

/// How bright a colour is.
fn grey([red, green, blue]: [u8; 3]) -> u8 {
    ((299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue)) / 1000) as u8
}

/// Heat over grey: from the bare image through purple and orange to yellow.
fn overlay(grey: u8, heat: f64) -> [u8; 3] {
    const COLORS: [[f64; 3]; 4] =
        [[20.0, 10.0, 60.0], [140.0, 30.0, 120.0], [240.0, 110.0, 40.0], [255.0, 240.0, 120.0]];
    let heat = heat.clamp(0.0, 1.0).sqrt();
    let place = heat * (COLORS.len() - 1) as f64;
    let from = (place.floor() as usize).min(COLORS.len() - 2);
    let share = place - from as f64;
    std::array::from_fn(|i| {
        let color = COLORS[from][i] * (1.0 - share) + COLORS[from + 1][i] * share;
        (f64::from(grey) * 0.35 + color * 0.65) as u8
    })
}

fn png(height: usize, width: usize, color: impl Fn(usize, usize) -> [u8; 3]) -> String {
    let pixels: Vec<u8> = (0..height * width).flat_map(|n| color(n / width, n % width)).collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().expect("memory does not fail");
    writer.write_image_data(&pixels).expect("three bytes a pixel, into memory");
    writer.finish().expect("memory does not fail");
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::LayerId;
    use model::network::Source;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn maps_are_sums_over_earlier_spikes(spikes in proptest::collection::vec(any::<bool>(), 2 * 3 * 20)) {
            let mut plane = SpikePlane::new(2, 3, 20);
            let spike = |token: usize, channel: usize, t: usize| spikes[(token * 3 + channel) * 20 + t];
            for (n, &spike) in spikes.iter().enumerate() {
                plane.set(n / 60, n / 20 % 3, n % 20, spike);
            }
            let maps = activation(&plane);
            for (token, t) in [(0, 0), (1, 7), (0, 19), (1, 19)] {
                let earlier = |channel| (0..t).filter(move |&u| spike(token, channel, u));
                let score = |channel| earlier(channel).map(|u| (-GAMMA * (t - u) as f64).exp()).sum::<f64>();
                let expected: f64 = (0..3).filter(|&c| spike(token, c, t)).map(score).sum();
                prop_assert!((maps[t][token] - expected).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn pairs_of_channels_are_shown_as_events() {
        let shape = ImageShape { height: 1, width: 2, channels: 4 };
        assert_eq!(event_frames(shape), Some(2));
        // Darker, brighter; darker, brighter.
        let pixels = [4, 0, 0, 1, 0, 0, 0, 3];
        let look = Look::new(&pixels, shape);
        assert_eq!(look.events(0..1, 0), [0, 0, 255]);
        assert_eq!(look.events(0..1, 1), [127, 0, 0]);
        assert_eq!(look.pixel(1), [255, 0, 0], "all frames together");
    }

    /// The layer shown of a network whose layers have these operations and sides of their grids.
    fn shown(layers: Vec<(Vec<Term>, usize)>) -> usize {
        let image = ImageShape { height: 4, width: 4, channels: 1 };
        let layers = layers.into_iter().enumerate().map(|(index, (terms, side))| {
            let operation = Operation::Linear { terms, bias: vec![0] };
            Layer::new(format!("l{index}"), operation, Grid { rows: side, columns: side }, vec![1])
        });
        shown_layer(&Network::new("shown", image, 1, layers.collect(), 1))
    }

    #[test]
    fn convolutions_show_the_last_layer_before_the_pool() {
        let pixels = || Term { source: Source::Image, ..Term::dense(LayerId(0), vec![1]) };
        let dense = |id| Term::dense(LayerId(id), vec![1]);
        let pool = |id| Term { taps: Taps::square(2, 2, 0), ..Term::diagonal(LayerId(id), vec![1; 4]) };
        let add = |a, b| vec![Term::diagonal(LayerId(a), vec![1]), Term::diagonal(LayerId(b), vec![1])];
        let vgg = [(vec![pixels()], 4), (vec![dense(0)], 4), (vec![pool(1)], 2), (vec![dense(2)], 2)];
        assert_eq!(shown(vgg.to_vec()), 1);
        let strided = |id| Term { taps: Taps::square(2, 2, 0), ..Term::dense(LayerId(id), vec![1; 4]) };
        let resnet = [(vec![pixels()], 4), (add(0, 0), 4), (vec![dense(1)], 4), (vec![strided(2)], 2)];
        assert_eq!(shown(resnet.to_vec()), 2, "the last of the finest grid");
    }

    #[test]
    fn three_channels_are_a_colour() {
        let shape = |channels| ImageShape { height: 1, width: 2, channels };
        assert_eq!(Look::new(&[1, 2, 3, 4, 5, 6], shape(3)).pixel(1), [2, 4, 6]);
        assert_eq!(Look::new(&[1, 2], shape(1)).pixel(1), [2, 2, 2]);
        assert_eq!(grey([9, 9, 9]), 9);
    }

    #[test]
    fn interpolation_keeps_the_values_of_tokens() {
        let (grid, map) = (Grid { rows: 2, columns: 2 }, [0.0, 1.0, 2.0, 5.0]);
        assert_eq!(between_tokens(grid, &map, (1.0, 1.0)), 5.0);
        assert_eq!(between_tokens(grid, &map, (0.5, 0.5)), 2.0);
        assert_eq!(between_tokens(grid, &map, (-3.0, 9.0)), 1.0);
    }
}
