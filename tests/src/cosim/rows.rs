//! Rows of many words: with spikes in every word, with few spikes anywhere, and keys and values that fill the weight buffer.

use super::checks::dense_network;
use super::{Cosim, campaign::in_parallel, text};
use crate::random::Random;
use isa::Schedule;
use model::network::{
    Grid, ImageShape, Layer, LayerId, Mask, Network, Operation, Source, Taps, Term, Walk, Weights, Windows,
};
use model::{MaskRatio, RunOptions};
use sim::SimOptions;
use std::collections::BTreeSet;

/// Rows as wide as the core's buffers allow, with spikes in every word, are written and read as the reference has them.
///
/// # Errors
/// The first difference, or a word without spikes.
pub fn widest_rows(cosim: &Cosim) -> Result<(), String> {
    let channels = cosim.core.max_fan_in as usize;
    let (network, image) = dense_network(Grid { rows: 1, columns: 4 }, channels);
    for schedule in [Schedule::EachStep, Schedule::AfterAll] {
        let network = network
            .configure(&RunOptions { schedule: Some(schedule), ..RunOptions::new(8) })
            .map_err(text)?;
        let mut session = cosim.session(&network, &SimOptions::default())?;
        let expected = session.expected(&image)?;
        let spikes = |channel| (0..4).map(|token| expected.planes[0].count(token, channel)).sum::<u32>();
        let silent = (0..channels).step_by(8).find(|&word| (word..word + 8).map(spikes).sum::<u32>() == 0);
        if let Some(channel) = silent {
            return Err(format!("no spike in the word of channel {channel}: choose other weights"));
        }
        session.compare_with(&image, &expected).map_err(|error| format!("{schedule:?}: {error}"))?;
        // Few spikes, in other words of each row.
        for seed in 0..3 {
            let mut random = Random(seed);
            let dark: Vec<u8> =
                image.iter().map(|&pixel| if random.chance(1, 2) { pixel / 4 } else { 0 }).collect();
            session.compare(&dark).map_err(|error| format!("{schedule:?}, dark image {seed}: {error}"))?;
        }
    }
    Ok(())
}

/// Rows with a spike here and there, each word being the first of some time step, are read as the reference has them; of an even and of
/// an odd number of words.
///
/// # Errors
/// The first difference, or a word that no time step begins with.
pub fn sparse_rows(cosim: &Cosim) -> Result<(), String> {
    let most = cosim.core.max_fan_in as usize;
    for channels in [most, most - 8] {
        let (mut network, image) = dense_network(Grid { rows: 12, columns: 16 }, channels);
        network.layers[0].mask = Mask::labelled("fc1");
        network.layers[1].theta.fill(40);
        network.layers[1].v0.fill(20);
        for schedule in [Schedule::EachStep, Schedule::AfterAll] {
            let options = RunOptions {
                schedule: Some(schedule),
                mask: MaskRatio(u8::MAX).into(),
                ..RunOptions::new(8)
            };
            let network = network.configure(&options).map_err(text)?;
            let mut session = cosim.session(&network, &SimOptions::default())?;
            let expected = session.expected(&image)?;
            let plane = &expected.planes[0];
            let steps = (0..plane.tokens()).flat_map(|token| (0..8).map(move |t| (token, t)));
            let firsts: BTreeSet<usize> = steps
                .filter_map(|(token, t)| (0..channels).find(|&channel| plane.get(token, channel, t)))
                .map(|channel| channel / 8)
                .collect();
            if let Some(word) = (0..channels / 8).find(|word| !firsts.contains(word)) {
                return Err(format!(
                    "{schedule:?}: no time step begins with word {word}: choose another mask"
                ));
            }
            session
                .compare_with(&image, &expected)
                .map_err(|error| format!("{schedule:?}, {channels} channels: {error}"))?;
        }
    }
    Ok(())
}

/// Channels of a word.
const WORD: usize = 8;

/// The keys and values of a head may fill the weight buffer, be it by many channels or by many time steps.
///
/// # Errors
/// The first head whose layers differ, or of which one never spikes.
pub fn largest_heads(cosim: &Cosim) -> Result<(), String> {
    let rows = cosim.core.weight_rows;
    // A row for each channel and eight time steps.
    let heads = [(rows, 8), (rows / 4, 32), (rows / 8, 64), (rows * 3 / 4, 8)];
    in_parallel(&heads, |&(channels, time_steps)| {
        let (network, image) = attention(channels as usize);
        let network = network.configure(&RunOptions::new(time_steps)).map_err(text)?;
        let fails = |error| format!("a head of {channels} channels, T = {time_steps}: {error}");
        let mut session = cosim.session(&network, &SimOptions::default()).map_err(fails)?;
        let expected = session.expected(&image).map_err(fails)?;
        if let Some(silent) = expected.planes.iter().position(|plane| plane.spikes() == 0) {
            return Err(fails(format!("layer {silent} never spikes: choose other weights")));
        }
        session.compare_with(&image, &expected).map(drop).map_err(fails)
    })
}

/// One head of so many channels over 4 x 4 tokens, all of whose spikes depend on the image.
fn attention(channels: usize) -> (Network, Vec<u8>) {
    let grid = Grid { rows: 4, columns: 4 };
    let windows = Windows { size: 4, shift: 0 };
    let mut random = Random(11);
    let mut weights = |outputs: usize, inputs: usize| -> Vec<i8> {
        (0..outputs * inputs).map(|_| random.between(-10, 30) as i8).collect()
    };
    let layer = |name: &str, operation: Operation, channels: usize, theta: i32| {
        let walk = Walk::Windows(windows);
        Layer { walk, ..Layer::new(name, operation, grid, vec![theta; channels]) }
    };
    let linear = |term: Term, outputs: usize| Operation::Linear { terms: vec![term], bias: vec![0; outputs] };
    let pixels = Term {
        source: Source::Image,
        taps: Taps::TOKEN,
        weights: Weights::Dense(weights(WORD, 1)),
        shift: 0,
    };
    let mut layers = vec![Layer::new("embed", linear(pixels, WORD), grid, vec![2_000; WORD])];
    for name in ["query", "key", "value"] {
        let term = Term::dense(LayerId(0), weights(channels, WORD));
        layers.push(layer(name, linear(term, channels), channels, 100));
    }
    let [query, key, value, scores] = [1, 2, 3, 4].map(LayerId);
    let tokens = grid.tokens();
    let bias = vec![0; windows.positions()];
    let attend = Operation::Scores { query, key, heads: 1, bias, fraction: 0 };
    layers.push(Layer { channels: tokens, ..layer("scores", attend, 1, channels as i32 / 8) });
    let context = Operation::Context { scores, value, heads: 1, fraction: 0 };
    layers.push(layer("context", context, channels, 4));
    let head = Term::dense(LayerId(5), weights(3, channels));
    layers.push(Layer::readout("head", vec![head], vec![0; 3], grid));
    let image = ImageShape { height: grid.rows, width: grid.columns, channels: 1 };
    let pixels = (0..image.bytes()).map(|_| random.bits() as u8).collect();
    (Network::new("one head", image, 3, layers, 7), pixels)
}
