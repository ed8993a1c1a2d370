//! The report's sections that look inside: layers, confusion, activation maps, distributions.

use super::grids::Subject;
use super::page::{Cell, Columns, DataTable, MarkKind, Section, plain};
use super::{distributions, maps};
use crate::energy::{CAVEAT, Constant, Constants, Energy, Moved, joules};
use crate::error::GenError;
use crate::evaluation::{Evaluation, LayerEvaluation, Pair};
use crate::inputs::neuron_name;
use crate::screen::{grouped, percent_or_dash, ratio};
use std::collections::BTreeMap;

/// Classes up to which the whole confusion matrix is shown.
const MOST_CLASSES: usize = 40;
/// Mistakes that are listed of a network with more classes.
const MISTAKES: usize = 30;

/// Spikes of each layer.
pub fn layers(subjects: &[Subject<'_>], evaluations: &[Evaluation]) -> Section {
    let head = ["layer", "mask", "fired", "transmitted", "spikes a neuron and step", "synaptic events"];
    let table = |(subject, evaluation): (&Subject<'_>, &Evaluation)| {
        let most = |of: fn(&LayerEvaluation) -> u64| evaluation.layers.iter().map(of).max().unwrap_or(0);
        let (spikes, events) = (most(|layer| layer.spikes), most(|layer| layer.synaptic_events));
        let each = |sum: u64| grouped(sum / evaluation.images.max(1) as u64);
        let bar = |sum: u64, most: u64| Cell::marked(each(sum), MarkKind::Bar, ratio(sum, most));
        let rows = evaluation.layers.iter().map(|layer| {
            vec![
                layer.layer.clone().into(),
                layer.mask.to_string().into(),
                each(layer.fired).into(),
                bar(layer.spikes, spikes),
                Cell::marked(format!("{:.3}", layer.rate), MarkKind::Bar, layer.rate),
                bar(layer.synaptic_events, events),
            ]
        });
        DataTable {
            caption: format!("{} as converted, T = {}: an image", subject.name(), subject.time_steps),
            head: head.map(str::to_owned).to_vec(),
            rows: rows.collect(),
            columns: Columns::Natural,
        }
    };
    let text = "Synaptic events stand at the layer that adds; pixels are no spikes, so the first layer has none. A bar is the share of \
                the largest value in its column, for rates of one spike a step.";
    Section {
        id: "layers",
        title: "Spikes of each layer",
        text: vec![text.to_owned()],
        figures: Vec::new(),
        tables: subjects.iter().zip(evaluations).map(table).collect(),
    }
}

/// Energy by counted operations, and by counted bits that move.
pub fn energy(subjects: &[Subject<'_>], energies: &[Energy], constants: &Constants) -> Section {
    let dash = || "–".to_owned();
    let row = |(subject, energy): (&Subject<'_>, &Energy)| {
        let bits =
            |of: fn(&Moved) -> u64| energy.moved.as_ref().map_or_else(dash, |moved| grouped(of(moved)));
        vec![
            subject.name().to_owned(),
            grouped(energy.synaptic_operations as u64),
            grouped(energy.image_products),
            joules(energy.spiking_picojoules),
            grouped(energy.float_products),
            joules(energy.float_picojoules),
            format!("×{:.2}", energy.gain()),
            bits(|moved| moved.memory_bits),
            bits(|moved| moved.block_ram_bits),
            bits(|moved| moved.register_bits),
            energy.moved.as_ref().map_or_else(dash, |moved| joules(moved.picojoules)),
        ]
    };
    let head = [
        "network",
        "synaptic operations",
        "products of the image",
        "spiking",
        "float products",
        "float",
        "float / spiking",
        "memory bits",
        "block RAM bits",
        "register bits",
        "moved",
    ];
    let operations = DataTable {
        caption: "An image".to_owned(),
        head: head.map(str::to_owned).to_vec(),
        rows: plain(subjects.iter().zip(energies).map(row).collect()),
        columns: Columns::Natural,
    };
    let constant = |(name, constant): (&str, &Constant)| {
        vec![name.to_owned(), format!("{} pJ", constant.picojoules), constant.source.clone()]
    };
    let sources = DataTable {
        caption: "Constants".to_owned(),
        head: ["constant", "energy", "source"].map(str::to_owned).to_vec(),
        rows: plain(constants.named().into_iter().map(constant).collect()),
        columns: Columns::Natural,
    };
    let text = [
        CAVEAT,
        "Papers count additions and products alone. What moves weighs more: bits of the board's memory, of block RAM and of the lanes' registers,          for the core of the cycles above.",
    ];
    let (id, title) = ("energy", "Energy");
    Section {
        id,
        title,
        text: text.map(str::to_owned).to_vec(),
        figures: Vec::new(),
        tables: vec![operations, sources],
    }
}

/// Which classes are taken for which.
pub fn confusion(subjects: &[Subject<'_>], evaluations: &[Evaluation]) -> Section {
    let table = |(subject, evaluation): (&Subject<'_>, &Evaluation)| {
        let pairs = evaluation.confusion_pairs.as_ref()?;
        let result = format!(
            "{} as converted, T = {}: {} of {} images correct, {}",
            subject.name(),
            subject.time_steps,
            evaluation.correct.map_or_else(|| "–".to_owned(), |correct| grouped(correct as u64)),
            grouped(evaluation.images as u64),
            percent_or_dash(evaluation.accuracy),
        );
        Some(match evaluation.confusion() {
            Some(confusion) if confusion.len() <= MOST_CLASSES => matrix(subject, &confusion, result),
            _ => mistakes(subject, pairs, evaluation.classes, result),
        })
    };
    let text = "Rows are labels, columns the classes that images were put into. Shades are shares of a row: of right answers on the \
                diagonal, of wrong ones beside it.";
    Section {
        id: "confusion",
        title: "Confusion matrix",
        text: vec![text.to_owned()],
        figures: Vec::new(),
        tables: subjects.iter().zip(evaluations).filter_map(table).collect(),
    }
}

/// The whole matrix: a row and a column a class.
fn matrix(subject: &Subject<'_>, confusion: &[Vec<usize>], caption: String) -> DataTable {
    let row = |(label, row): (usize, &Vec<usize>)| {
        let images: usize = row.iter().sum();
        let cell = |(class, &count): (usize, &usize)| {
            let kind = if class == label { MarkKind::Right } else { MarkKind::Wrong };
            Cell::marked(grouped(count as u64), kind, ratio(count as u64, images as u64))
        };
        std::iter::once(subject.class(label).into()).chain(row.iter().enumerate().map(cell)).collect()
    };
    let classes = (0..confusion.len()).map(|class| subject.class(class));
    DataTable {
        caption,
        head: std::iter::once("label".to_owned()).chain(classes).collect(),
        rows: confusion.iter().enumerate().map(row).collect(),
        columns: Columns::Narrow,
    }
}

/// The most frequent mistakes, where a matrix would not fit a page.
fn mistakes(subject: &Subject<'_>, pairs: &[Pair], classes: usize, caption: String) -> DataTable {
    let mut of_label: BTreeMap<usize, usize> = BTreeMap::new();
    pairs.iter().for_each(|pair| *of_label.entry(pair.label).or_default() += pair.images);
    let mut wrong: Vec<Pair> = pairs.iter().filter(|pair| pair.label != pair.class).copied().collect();
    wrong.sort_by_key(|pair| (std::cmp::Reverse(pair.images), pair.label, pair.class));
    let row = |&Pair { label, class, images: count }: &Pair| {
        let images = of_label[&label];
        let share = ratio(count as u64, images as u64);
        vec![
            subject.class(label).into(),
            subject.class(class).into(),
            Cell::marked(grouped(count as u64), MarkKind::Bar, share),
            grouped(images as u64).into(),
        ]
    };
    DataTable {
        caption: format!("{caption}; the {MISTAKES} most frequent mistakes among {classes} classes"),
        head: ["label", "taken for", "images", "of"].map(str::to_owned).to_vec(),
        rows: wrong.iter().take(MISTAKES).map(row).collect(),
        columns: Columns::Natural,
    }
}

/// Where in the image neurons spike: the paper's Fig. 7. Of the first subject.
pub fn activation_maps(subject: &Subject<'_>) -> Result<Section, GenError> {
    let neuron = maps::neuron(subject)?;
    let mode = match neuron {
        Some(_) => "in mode if".to_owned(),
        None => format!("as converted ({})", neuron_name(subject.network())),
    };
    let text = [
        format!(
            "Neurons of {} {mode}, T = {}, with masks on all labels. A neuron's score at time t is the sum of \
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
    let maps = maps::figures(subject, neuron)?;
    let mut text = text.to_vec();
    if maps.is_empty() {
        text.push(format!("{} cannot run so: a sum could leave the 24-bit membrane.", subject.name()));
    }
    let figures = maps::frames(subject).into_iter().chain(maps).collect();
    let (id, title) = ("maps", "Spike activation maps");
    Ok(Section { id, title, text, figures, tables: Vec::new() })
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
