//! Rows of many words: with spikes in every word, and with few spikes anywhere.

use super::checks::dense_network;
use super::{Cosim, text};
use crate::random::Random;
use isa::Schedule;
use model::network::{Grid, Mask};
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
