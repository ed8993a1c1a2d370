//! Walks over tokens and tiles: windows of every size and shift, many windows, many tiles.

use super::{Cosim, campaign::in_parallel, text};
use crate::random::Random;
use model::RunOptions;
use model::network::{
    Grid, ImageShape, Layer, LayerId, Network, Operation, Source, Taps, Term, Walk, Weights, Windows,
};
use sim::SimOptions;

/// Time steps of the networks.
const TIME_STEPS: usize = 2;
/// Channels of their planes: a word.
const WORD: usize = 8;
/// Sizes of windows, up to one that can be shifted by all that a descriptor holds: 15.
const SIZES: [usize; 9] = [1, 2, 3, 4, 5, 7, 8, 12, 16];

/// A layer may walk windows of many sizes, shifted by anything smaller.
///
/// # Errors
/// The first size whose layers differ.
pub fn windows_of_every_size_and_shift(cosim: &Cosim) -> Result<(), String> {
    in_parallel(&SIZES, |&size| {
        let walks: Vec<Walk> = (0..size).map(|shift| Walk::Windows(Windows { size, shift })).collect();
        let outcome = copies(cosim, Grid { rows: size, columns: 2 * size }, &walks, WORD);
        outcome.map_err(|error| format!("windows of {size}: {error}"))
    })
}

/// There may be hundreds of windows in a row or column.
///
/// # Errors
/// The first grid whose layers differ.
pub fn windows_may_be_many(cosim: &Cosim) -> Result<(), String> {
    let grids = [(1, 1, 600), (1, 600, 1), (2, 2, 520), (2, 520, 2)];
    in_parallel(&grids, |&(size, rows, columns)| {
        let walk = Walk::Windows(Windows { size, shift: size - 1 });
        let outcome = copies(cosim, Grid { rows, columns }, &[walk], WORD);
        outcome.map_err(|error| format!("windows of {size} in {rows} x {columns} tokens: {error}"))
    })
}

/// A layer may have thousands of tiles.
///
/// # Errors
/// If it differs.
pub fn tiles_may_be_many(cosim: &Cosim) -> Result<(), String> {
    copies(cosim, Grid { rows: 1, columns: 2 }, &[Walk::Raster], 2049 * cosim.core.lanes as usize)
}

/// A network whose layers copy the first one's spikes, each with its own walk, the last one to this many channels, so that spikes at a
/// wrong place show.
fn copies(cosim: &Cosim, grid: Grid, walks: &[Walk], channels: usize) -> Result<(), String> {
    let matrix = |outputs: usize, inputs: usize, weight: &dyn Fn(usize, usize) -> i8| -> Vec<i8> {
        (0..outputs * inputs).map(|i| weight(i / inputs, i % inputs)).collect()
    };
    let linear = |term: Term, outputs: usize| Operation::Linear { terms: vec![term], bias: vec![0; outputs] };
    let pixels = Term {
        source: Source::Image,
        taps: Taps::TOKEN,
        weights: Weights::Dense(matrix(WORD, 1, &|_, _| 1)),
        shift: 0,
    };
    let thresholds = (1..=WORD as i32).map(|channel| 100 * channel).collect();
    let mut layers = vec![Layer::new("embed", linear(pixels, WORD), grid, thresholds)];
    for (i, &walk) in walks.iter().enumerate() {
        let outputs = if i + 1 == walks.len() { channels } else { WORD };
        let weights = matrix(outputs, WORD, &|output, input| i8::from(output % WORD == input));
        let copy = linear(Term::dense(LayerId(i), weights), outputs);
        layers.push(Layer { walk, ..Layer::new(format!("copy{i}"), copy, grid, vec![1; outputs]) });
    }
    let weights = matrix(2, WORD, &|class, input| (class + input) as i8);
    layers.push(Layer::readout("head", vec![Term::dense(LayerId(0), weights)], vec![0; 2], grid));
    let image = ImageShape { height: grid.rows, width: grid.columns, channels: 1 };
    let mut random = Random(3);
    let pixels: Vec<u8> = (0..image.bytes()).map(|_| random.bits() as u8).collect();
    let network = Network::new("copies", image, 2, layers, 7);
    let network = network.configure(&RunOptions::new(TIME_STEPS as u32)).map_err(text)?;
    cosim.check(&network, &pixels, &SimOptions::default()).map(drop)
}
