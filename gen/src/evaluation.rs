//! What a run over labelled images says about a network: accuracy, spikes, synaptic events, power.

use crate::error::GenError;
use crate::inputs::Images;
use crate::screen::ratio;
use indicatif::ProgressBar;
use model::network::Operation;
use model::{Classification, Configured, Executor, Graph, MaskRatio, Network};
use serde::Serialize;
use std::collections::BTreeMap;

/// Sums over all images of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// Images classified.
    pub images: usize,
    /// Images whose class is their label; none without labels, and none for a network of one class, which cannot be wrong.
    pub correct: Option<usize>,
    /// `correct / images`.
    pub accuracy: Option<f64>,
    /// The pairs of label and class that occur, in order. None without labels.
    pub confusion_pairs: Option<Vec<Pair>>,
    /// Classes of the network.
    #[serde(skip)]
    pub classes: usize,
    /// Spikes that neurons fired.
    pub fired: u64,
    /// Spikes that were transmitted: those fired, less the masked ones.
    pub spikes: u64,
    /// Additions that the transmitted spikes drove; see [`model::synapses`].
    pub synaptic_events: u64,
    /// [`power`] of the transmitted spikes.
    pub power: f64,
    /// [`power`] that the fired spikes would take.
    pub power_unmasked: f64,
    /// Layer by layer.
    pub layers: Vec<LayerEvaluation>,
}

/// A label and the class that images of it were put into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// The label.
    pub label: usize,
    /// The class.
    pub class: usize,
    /// How many images.
    pub images: usize,
}

/// Classes up to which there is a whole confusion matrix.
pub const MOST_MATRIX_CLASSES: usize = 1024;

/// Counts the pairs of label and class.
fn pairs(labels: &[usize], classes: &[usize]) -> Vec<Pair> {
    let mut counts = BTreeMap::new();
    labels.iter().zip(classes).for_each(|(&label, &class)| *counts.entry((label, class)).or_insert(0) += 1);
    counts.into_iter().map(|((label, class), images)| Pair { label, class, images }).collect()
}

/// `matrix[label][class]`: how many images of a label fell into a class; none for too many classes.
fn matrix(pairs: &[Pair], classes: usize) -> Option<Vec<Vec<usize>>> {
    (classes <= MOST_MATRIX_CLASSES).then(|| {
        let mut matrix = vec![vec![0; classes]; classes];
        pairs.iter().for_each(|pair| matrix[pair.label][pair.class] = pair.images);
        matrix
    })
}

/// Sums of one layer over all images.
#[derive(Clone, Debug, Serialize)]
pub struct LayerEvaluation {
    /// Its name.
    pub layer: String,
    /// Mask ratio.
    pub mask: f64,
    /// Spikes that its neurons fired; 0 for the readout.
    pub fired: u64,
    /// Spikes that it transmitted.
    pub spikes: u64,
    /// Transmitted spikes per neuron and time step.
    pub rate: f64,
    /// Additions that its inputs' spikes drove.
    pub synaptic_events: u64,
}

/// Seconds that a time step takes in the power estimate.
const STEP_SECONDS: f64 = 1e-3;

/// The power that `spikes` of `images` images take, in units of α·W.
///
/// `P = spikes / 10^-3 * α` watts: the spikes of one time step, which lasts a millisecond, at α joules each. Power that is linear
/// in the spikes goes back to Cao, Chen and Khosla, "Spiking deep convolutional neural networks for energy-efficient object
/// recognition", IJCV 113 (2015); it is what the paper's Eq. 10 is taken to say (Wang et al., "Masked Spiking Transformer", ICCV
/// 2023), whose wording has not been compared. What counts here: *transmitted* spikes of the whole network, averaged over images
/// and time steps. P then does not grow with T by itself, and the energy of an image is `P * T` milliseconds, or α times its
/// spikes. The ratio of two runs of the same T does not depend on that choice, and is what to compare with the paper.
pub fn power(spikes: u64, images: usize, time_steps: u32) -> f64 {
    ratio(spikes, images as u64 * u64::from(time_steps)) / STEP_SECONDS
}

/// Classifies all images; `progress` moves by one an image. Also the class of each.
pub fn evaluate(
    network: &Configured,
    images: &Images,
    progress: &ProgressBar,
) -> Result<(Evaluation, Vec<usize>), GenError> {
    let classified = Executor::new(network).classify_batch(&images.all(), |_| progress.inc(1))?;
    let classes = classified.iter().map(Classification::class).collect();
    Ok((Evaluation::new(network, images.labels().as_deref(), &classified), classes))
}

/// Images that the float network takes before it says how far it is.
const FLOAT_IMAGES: usize = 64;

/// The classes that the float network gives the images; `progress` moves by one an image.
pub fn float_classes(graph: &Graph, images: &Images, progress: &ProgressBar) -> Result<Vec<usize>, GenError> {
    let largest = |logits: &Vec<f32>| {
        (0..logits.len()).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0)
    };
    let mut classes = Vec::with_capacity(images.count());
    for together in images.all().chunks(FLOAT_IMAGES) {
        classes.extend(graph.logits_batch(together)?.iter().map(largest));
        progress.inc(together.len() as u64);
    }
    Ok(classes)
}

/// How many images are in the class of their label: none without labels, and none if there is one class only.
pub fn matching(labels: Option<&[usize]>, classes: &[usize], network: &Network) -> Option<usize> {
    let labels = labels.filter(|_| network.classes > 1)?;
    Some(labels.iter().zip(classes).filter(|(label, class)| label == class).count())
}

/// `correct / images`, where there is such a thing.
pub fn accuracy(correct: Option<usize>, images: usize) -> Option<f64> {
    correct.map(|correct| ratio(correct as u64, images as u64))
}

impl Evaluation {
    /// The whole confusion matrix, rows by label; none without labels, or above [`MOST_MATRIX_CLASSES`] classes.
    pub fn confusion(&self) -> Option<Vec<Vec<usize>>> {
        matrix(self.confusion_pairs.as_ref()?, self.classes)
    }

    /// Sums up; `labels`, classes of the network, and `classified` belong together, one an image.
    fn new(network: &Configured, labels: Option<&[usize]>, classified: &[Classification]) -> Evaluation {
        let classes: Vec<usize> = classified.iter().map(Classification::class).collect();
        let spiking = network.layers.len() - 1;
        let sum = |layers: usize, of: fn(&Classification) -> &[u64]| -> Vec<u64> {
            (0..layers).map(|layer| classified.iter().map(|image| of(image)[layer]).sum()).collect()
        };
        let (fired, spikes) = (sum(spiking, |image| &image.fired), sum(spiking, |image| &image.spikes));
        let events = sum(network.layers.len(), |image| &image.synaptic_events);
        let layers: Vec<LayerEvaluation> = (0..network.layers.len())
            .map(|index| {
                let of = |counts: &[u64]| counts.get(index).copied().unwrap_or(0);
                let cells =
                    neurons(network, index) * u64::from(network.time_steps()) * classified.len() as u64;
                let layer = &network.layers[index];
                LayerEvaluation {
                    layer: layer.name.clone(),
                    mask: MaskRatio(layer.mask.ratio).share(),
                    fired: of(&fired),
                    spikes: of(&spikes),
                    rate: ratio(of(&spikes), cells),
                    synaptic_events: events[index],
                }
            })
            .collect();
        let images = classified.len();
        let correct = matching(labels, &classes, network);
        let (fired, spikes) = (fired.iter().sum(), spikes.iter().sum());
        Evaluation {
            images,
            correct,
            accuracy: accuracy(correct, images),
            confusion_pairs: labels.map(|labels| pairs(labels, &classes)),
            classes: network.classes,
            fired,
            spikes,
            synaptic_events: events.iter().sum(),
            power: power(spikes, images, network.time_steps()),
            power_unmasked: power(fired, images, network.time_steps()),
            layers,
        }
    }
}

/// Neurons of a layer that fire; none of the readout.
fn neurons(network: &Configured, index: usize) -> u64 {
    let layer = &network.layers[index];
    let heads = match layer.operation {
        _ if layer.neuron.is_none() => 0,
        Operation::Scores { heads, .. } => heads,
        _ => 1,
    };
    (heads * layer.grid.tokens() * layer.channels) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Checkpoint, ConvertOptions, RunOptions};
    use proptest::prelude::*;
    use std::path::Path;

    fn network() -> Configured {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/fashion-mnist/checkpoint.safetensors");
        let network =
            model::convert(&Checkpoint::load(&path).unwrap(), &ConvertOptions::new("test")).unwrap();
        network.configure(&RunOptions::new(8)).unwrap()
    }

    #[test]
    fn many_classes_have_pairs_and_no_matrix() {
        let found = pairs(&[65_535, 0, 65_535], &[7, 65_535, 7]);
        let expected = [(0, 65_535, 1), (65_535, 7, 2)];
        assert_eq!(found, expected.map(|(label, class, images)| Pair { label, class, images }));
        assert!(matrix(&found, 65_536).is_none() && matrix(&[], MOST_MATRIX_CLASSES + 1).is_none());
        assert_eq!(matrix(&[], MOST_MATRIX_CLASSES).unwrap().len(), MOST_MATRIX_CLASSES);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn rows_of_the_confusion_matrix_are_the_labels(
            images in proptest::collection::vec((0usize..10, 0usize..10, 0u64..1000), 1..50),
        ) {
            let network = network();
            let spiking = network.layers.len() - 1;
            let classified: Vec<Classification> = images
                .iter()
                .map(|&(_, class, spikes)| Classification {
                    logits: (0..10).map(|c| i32::from(c == class)).collect(),
                    fired: vec![2 * spikes; spiking],
                    spikes: vec![spikes; spiking],
                    synaptic_events: vec![3 * spikes; spiking + 1],
                })
                .collect();
            let labels: Vec<usize> = images.iter().map(|&(label, ..)| label).collect();
            let evaluation = Evaluation::new(&network, Some(&labels), &classified);
            let confusion = evaluation.confusion().unwrap();
            prop_assert!(confusion.len() == 10 && confusion.iter().all(|row| row.len() == 10));
            for (label, row) in confusion.iter().enumerate() {
                prop_assert_eq!(row.iter().sum::<usize>(), labels.iter().filter(|&&l| l == label).count());
            }
            let correct = images.iter().filter(|(label, class, _)| label == class).count();
            prop_assert_eq!(evaluation.correct, Some(correct));
            prop_assert_eq!(evaluation.accuracy, Some(correct as f64 / images.len() as f64));
            let unlabelled = Evaluation::new(&network, None, &classified);
            prop_assert_eq!((unlabelled.correct, unlabelled.accuracy), (None, None));
            prop_assert!(unlabelled.confusion().is_none());
            prop_assert_eq!(evaluation.fired, 2 * evaluation.spikes);
            let each: u64 = images.iter().map(|(.., spikes)| spikes).sum();
            prop_assert_eq!(evaluation.synaptic_events, 3 * each * network.layers.len() as u64);
            prop_assert_eq!(evaluation.layers.iter().map(|layer| layer.spikes).sum::<u64>(), evaluation.spikes);
            let joules = evaluation.power * STEP_SECONDS * 8.0 * images.len() as f64;
            prop_assert!((joules - evaluation.spikes as f64).abs() < 1e-6 * joules.max(1.0));
        }
    }
}
