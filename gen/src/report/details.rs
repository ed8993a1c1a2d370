//! The report's sections that look inside: layers, confusion, activation maps, distributions.

use super::grids::Subject;
use super::page::{DataTable, Section};
use super::{distributions, maps};
use crate::error::GenError;
use crate::evaluation::Evaluation;
use crate::screen::{grouped, percent_or_dash};

/// Spikes of each layer.
pub fn layers(subjects: &[Subject<'_>], evaluations: &[Evaluation]) -> Section {
    let head = ["layer", "mask", "fired", "transmitted", "spikes a neuron and step", "synaptic events"];
    let table = |(subject, evaluation): (&Subject<'_>, &Evaluation)| {
        let each = |sum: u64| grouped(sum / evaluation.images.max(1) as u64);
        let rows = evaluation.layers.iter().map(|layer| {
            vec![
                layer.layer.clone(),
                layer.mask.to_string(),
                each(layer.fired),
                each(layer.spikes),
                format!("{:.3}", layer.rate),
                each(layer.synaptic_events),
            ]
        });
        DataTable {
            caption: format!("{} as converted, T = {}: an image", subject.name(), subject.time_steps),
            head: head.map(str::to_owned).to_vec(),
            rows: rows.collect(),
        }
    };
    Section {
        id: "layers",
        title: "Spikes of each layer",
        text: vec!["Synaptic events stand at the layer that adds; pixels are no spikes, so the first layer has none.".to_owned()],
        figures: Vec::new(),
        tables: subjects.iter().zip(evaluations).map(table).collect(),
    }
}

/// Which classes are taken for which.
pub fn confusion(subjects: &[Subject<'_>], evaluations: &[Evaluation]) -> Section {
    let table = |(subject, evaluation): (&Subject<'_>, &Evaluation)| {
        let confusion = evaluation.confusion.as_ref()?;
        let class = |class: usize| subject.images.class_text(class);
        let row = |(label, row): (usize, &Vec<usize>)| {
            let cells = row.iter().map(|&count| grouped(count as u64));
            std::iter::once(class(label)).chain(cells).collect()
        };
        Some(DataTable {
            caption: format!(
                "{} as converted, T = {}: {} of {} images correct, {}",
                subject.name(),
                subject.time_steps,
                evaluation.correct.map_or_else(|| "–".to_owned(), |correct| grouped(correct as u64)),
                grouped(evaluation.images as u64),
                percent_or_dash(evaluation.accuracy),
            ),
            head: std::iter::once("label".to_owned()).chain((0..confusion.len()).map(class)).collect(),
            rows: confusion.iter().enumerate().map(row).collect(),
        })
    };
    Section {
        id: "confusion",
        title: "Confusion matrix",
        text: vec!["Rows are labels, columns the classes that images were put into.".to_owned()],
        figures: Vec::new(),
        tables: subjects.iter().zip(evaluations).filter_map(table).collect(),
    }
}

/// Where in the image neurons spike: the paper's Fig. 7. Of the first subject.
pub fn activation_maps(subject: &Subject<'_>) -> Result<Section, GenError> {
    let text = [
        format!(
            "Neurons of {} in mode if, T = {}, with masks on all maskable matrices. A neuron's score at time t is the sum of \
             exp(−γ·(t − t′)) over its earlier spikes t′, γ = {}, and a token's activation is the sum of the scores of the channels \
             that spike at t.",
            subject.name(),
            maps::TIME_STEPS,
            maps::GAMMA
        ),
        "The maps follow Kim and Panda, Visual explanations from spiking neural networks using inter-spike intervals. All maps of \
         an image share one scale. Compare the paper's Fig. 7."
            .to_owned(),
    ];
    let figures = maps::figures(subject.file, subject.images)?;
    let (id, title) = ("maps", "Spike activation maps");
    Ok(Section { id, title, text: text.to_vec(), figures, tables: Vec::new() })
}

/// Membranes and rates: the paper's Fig. 3.
pub fn membranes_and_rates(subjects: &[Subject<'_>]) -> Result<Section, GenError> {
    let mut figures = Vec::new();
    for subject in subjects {
        let mut shown =
            distributions::figures(subject.file, subject.images, subject.time_steps, maps::TIME_STEPS)?;
        shown
            .iter_mut()
            .for_each(|figure| figure.caption = format!("{}: {}", subject.name(), figure.caption));
        figures.append(&mut shown);
    }
    let text = format!(
        "Over {} images. What is left in a membrane after the last step was integrated but never transmitted: between 0 and 1 \
         threshold it is rounding, below 0 the neuron was inhibited, above 1 it could not fire often enough. Rates count fired \
         spikes, also those that a mask drops. Compare the paper's Fig. 3.",
        distributions::IMAGES
    );
    let (id, title) = ("distributions", "Membranes and firing rates");
    Ok(Section { id, title, text: vec![text], figures, tables: Vec::new() })
}
