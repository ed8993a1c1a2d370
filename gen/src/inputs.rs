//! The network and the images that a command works on.

use crate::cli::{ImageArgs, NetworkArgs};
use crate::error::GenError;
use crate::files::{self, Input};
use crate::origin;
use crate::screen::{self, count};
use images::{Dataset, Part, Source, class_text};
use model::mask_rules::labels;
use model::network::{ImageShape, Neuron, Reset};
use model::{Configured, Layer, MaskRatio, Network};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// A network file, ready to run.
pub struct Loaded {
    /// Where it was read from.
    pub path: PathBuf,
    /// The network with the options of the command line.
    pub configured: Configured,
}

/// Reads the network and makes it ready for a membrane of `membrane_bits`.
pub fn network(args: &NetworkArgs, membrane_bits: u32) -> Result<Loaded, GenError> {
    let options = args.run_options(membrane_bits)?;
    let path = network_path(args.net.as_deref())?;
    let configured = Network::load(&path)?.configure(&options)?;
    Ok(Loaded { path, configured })
}

/// How many images a command works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// As many as were asked for, and no fewer.
    Exactly(usize),
    /// As many as there are, up to this number.
    UpTo(usize),
}

impl Count {
    /// What `--images` says, or up to `default`.
    pub fn of(named: Option<usize>, default: usize) -> Count {
        named.map_or(Count::UpTo(default), Count::Exactly)
    }

    /// The number, where `available` images are left, 1 or more; none where that is too few.
    fn among(self, available: usize) -> Option<usize> {
        match self {
            Count::UpTo(most) => Some(most.min(available)),
            Count::Exactly(count) => (1..=available).contains(&count).then_some(count),
        }
    }

    /// The number that was named.
    fn most(self) -> usize {
        match self {
            Count::Exactly(count) | Count::UpTo(count) => count,
        }
    }
}

/// Reads the network and images for it, which may name its classes.
pub fn network_and_images(
    args: &NetworkArgs,
    membrane_bits: u32,
    source: &ImageArgs,
    count: Count,
) -> Result<(Loaded, Images), GenError> {
    let Loaded { path, configured } = network(args, membrane_bits)?;
    let images = Images::load(source, count, &configured)?;
    let configured = configured.with_class_names(images.class_names().to_vec());
    Ok((Loaded { path, configured }, images))
}

/// The network file that is named, or the default one.
pub fn network_path(named: Option<&Path>) -> Result<PathBuf, GenError> {
    let remedy = "make it with `gen convert models/fashion-mnist/checkpoint.safetensors --out models/fashion-mnist/net.mst`";
    files::named_or_found(named, files::NETWORK, "the default network", remedy)
}

/// Refuses to write to `target`, which `option` names, if it is the network or one of the files that `source` names.
pub fn refuse_inputs(
    option: &'static str,
    target: &Path,
    network: &NetworkArgs,
    source: &ImageArgs,
) -> Result<(), GenError> {
    let network = network_path(network.net.as_deref())?;
    files::refuse_inputs(option, target, &[("the network", &network)])?;
    refuse_images(option, target, source)
}

/// Refuses to write to `target`, which `option` names, if images, labels or names of classes are read from it.
pub fn refuse_images(option: &'static str, target: &Path, source: &ImageArgs) -> Result<(), GenError> {
    let data = data_path(source)?;
    let beside = [("--labels", &source.options.labels), ("--class-names", &source.options.class_names)];
    let beside = beside.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?)));
    let inputs: Vec<Input<'_>> = std::iter::once(("--data", &*data)).chain(beside).collect();
    files::refuse_inputs(option, target, &inputs)
}

/// The neuron mode of all layers in a word: `if`, `two_phase`, or `mixed`. Layers with hard reset, which keep their neurons whatever is asked
/// for, count only where there are no others: `if_hard_reset`.
pub fn neuron_name(network: &Network) -> &'static str {
    let neurons = || network.layers.iter().filter_map(|layer| layer.neuron);
    let mut modes = neurons().filter(|neuron| neuron.reset == Reset::Subtract).map(Neuron::name);
    match (modes.next(), neurons().next()) {
        (Some(first), _) if modes.all(|mode| mode == first) => first,
        (Some(_), _) => "mixed",
        (None, Some(hard)) => hard.name(),
        (None, None) => "none",
    }
}

/// Most masked layers without a label that are named one by one.
const NAMED_LAYERS: usize = 4;

/// The masks of a network in words: one ratio, one a label, or the range of each label whose layers differ; then those of layers without a label.
pub fn mask(network: &Network) -> String {
    type Range = (MaskRatio, MaskRatio);
    let words = |(low, high): Range| if low == high { low.to_string() } else { format!("{low}..{high}") };
    let range = |layers: &mut dyn Iterator<Item = &Layer>| -> Option<Range> {
        let ratios: Vec<MaskRatio> = layers.map(|layer| MaskRatio(layer.mask.ratio)).collect();
        ratios.iter().copied().min().zip(ratios.iter().copied().max())
    };
    let of_label = |label: &str| {
        let mut layers = network.layers.iter().filter(|layer| layer.mask.label.as_deref() == Some(label));
        range(&mut layers)
    };
    let labels = labels(network).into_iter();
    let labels: Vec<(&str, Range)> = labels.filter_map(|label| Some((label, of_label(label)?))).collect();
    let others = || network.layers.iter().filter(|layer| layer.mask.label.is_none() && layer.mask.ratio > 0);
    if let Some(&(_, (low, high))) = labels.first()
        && low == high
        && labels.iter().all(|&(_, range)| range == (low, low))
        && others().next().is_none()
    {
        return low.to_string();
    }
    let mut parts: Vec<String> =
        labels.into_iter().map(|(label, range)| format!("{label} {}", words(range))).collect();
    match (others().count(), range(&mut others())) {
        (0, _) | (_, None) => {}
        (count, Some(range)) if count > NAMED_LAYERS => {
            parts.push(format!("{count} layers without a label {}", words(range)));
        }
        _ => parts.extend(others().map(|layer| format!("{} {}", layer.name, MaskRatio(layer.mask.ratio)))),
    }
    if parts.is_empty() { "0".to_owned() } else { parts.join(", ") }
}

/// The path that is named, or the folder where the part's files are by default.
fn data_path(args: &ImageArgs) -> Result<PathBuf, GenError> {
    let (place, remedy) = match args.options.part {
        None | Some(Part::Test) => (files::IMAGES, "name images with `--data`"),
        Some(Part::Train | Part::HeldOut | Part::All) => (
            files::TRAINING_IMAGES,
            "install Debian's package dataset-fashion-mnist, or name a folder with `--data`",
        ),
    };
    files::named_or_found(args.data.as_deref(), place, "the default data set", remedy)
}

/// Some images of a data set.
pub struct Images {
    path: PathBuf,
    data: Dataset,
    hash: String,
    first: usize,
    part: Option<Part>,
}

/// The first digits of a hash over all that decides about results.
fn hash(data: &Dataset) -> String {
    let Dataset { shape, pixels, labels, .. } = data;
    let mut hash = Sha256::new();
    for size in [shape.height, shape.width, shape.channels] {
        hash.update((size as u64).to_le_bytes());
    }
    hash.update(pixels);
    labels.iter().flatten().for_each(|label| hash.update(label.to_le_bytes()));
    origin::first_digits(&origin::hex(&hash.finalize()))
}

impl Images {
    /// Reads images for a network.
    pub fn load(args: &ImageArgs, count: Count, network: &Network) -> Result<Images, GenError> {
        let refuse = |option, found: usize, allowed| {
            Err(GenError::Option { option, found: found.to_string(), allowed })
        };
        let path = data_path(args)?;
        let source = Source::open(&path, network, &args.options)?;
        let there = source.len();
        if args.first >= there {
            return refuse("--first", args.first, format!("0..={}", there - 1));
        }
        let Some(number) = count.among(there - args.first) else {
            let allowed = format!("1..={} from image {} on", there - args.first, args.first);
            return refuse("--images", count.most(), allowed);
        };
        let data = source.read(args.first..args.first + number)?;
        screen::notes(source.note().into_iter().chain(data.notes.iter().map(String::as_str)));
        Ok(Images { path, hash: hash(&data), data, first: args.first, part: source.part() })
    }

    /// Names of the network's classes; empty if they have none.
    pub fn class_names(&self) -> &[String] {
        &self.data.class_names
    }

    /// A class for people: its index, and its name if it has one.
    pub fn class_text(&self, class: usize) -> String {
        class_text(self.class_names(), class)
    }

    /// The part of the data set, or `all` if it has no parts.
    pub fn part(&self) -> &'static str {
        self.part.map_or("all", Part::name)
    }

    /// These images in words: how many, of what, from which on.
    pub fn text(&self) -> String {
        let images = count(self.count(), "image");
        match self.part {
            Some(part) => format!("{images} of part {} from {} on", part.name(), self.first),
            None => format!("{images} of {} from {} on", self.path.display(), self.first),
        }
    }

    /// The first digits of a hash over shape, pixels and labels: the same for the same images, wherever they lie.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Size of each image.
    pub fn shape(&self) -> ImageShape {
        self.data.shape
    }

    /// Number of images, 1 or more.
    pub fn count(&self) -> usize {
        self.data.len()
    }

    /// Index in the data set of image `i` of these.
    pub fn index(&self, i: usize) -> usize {
        self.first + i
    }

    /// Pixels of image `i` of these.
    pub fn image(&self, i: usize) -> &[u8] {
        self.data.image(i)
    }

    /// All of them.
    pub fn all(&self) -> Vec<&[u8]> {
        self.data.images()
    }

    /// Class of image `i` of these, if they have labels.
    pub fn label(&self, i: usize) -> Option<usize> {
        self.data.labels.as_ref().map(|labels| labels[i] as usize)
    }

    /// Labels of all of them, if they have any.
    pub fn labels(&self) -> Option<Vec<usize>> {
        self.data.labels.as_ref().map(|labels| labels.iter().map(|&label| label as usize).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::LayerId;
    use model::network::{Mask, Operation, Source, Term};

    /// A network of layers that each read the one before: their labels, ratios and neurons.
    fn network(layers: &[(Option<&str>, u8, Neuron)]) -> Network {
        let image = ImageShape { height: 1, width: 1, channels: 1 };
        let grid = image.grid();
        let layer = |(index, &(label, ratio, neuron)): (usize, &(Option<&str>, u8, Neuron))| {
            let source = index.checked_sub(1).map_or(Source::Image, |before| Source::Plane(LayerId(before)));
            let term = Term { source, ..Term::dense(LayerId(0), vec![1]) };
            let operation = Operation::Linear { terms: vec![term], bias: vec![0] };
            let mask = Mask { label: label.map(str::to_owned), ratio, ..Mask::default() };
            Layer { mask, neuron: Some(neuron), ..Layer::new(format!("l{index}"), operation, grid, vec![1]) }
        };
        let mut layers: Vec<Layer> = layers.iter().enumerate().map(layer).collect();
        let last = Term::dense(LayerId(layers.len() - 1), vec![1]);
        layers.push(Layer::readout("head", vec![last], vec![0], grid));
        let network = Network::new("labels", image, 1, layers, 1);
        network.validate().unwrap();
        network
    }

    #[test]
    fn masks_are_told_by_label_and_else_by_layer() {
        let of = |layers: &[(Option<&str>, u8)]| {
            let layers: Vec<_> =
                layers.iter().map(|&(label, ratio)| (label, ratio, Neuron::TWO_PHASE)).collect();
            mask(&network(&layers))
        };
        assert_eq!(of(&[(None, 0)]), "0");
        assert_eq!(of(&[(Some("conv"), 64), (Some("fc"), 64), (None, 0)]), "0.25");
        assert_eq!(of(&[(Some("conv"), 64), (Some("fc"), 0), (Some("conv"), 128)]), "conv 0.25..0.5, fc 0");
        assert_eq!(of(&[(Some("conv"), 64), (None, 128)]), "conv 0.25, l1 0.5");
        assert_eq!(of(&[(None, 128), (None, 64)]), "l0 0.5, l1 0.25");
        assert_eq!(of(&[(None, 128); 5]), "5 layers without a label 0.5");
    }

    #[test]
    fn neurons_are_named_by_what_an_option_can_change() {
        let of = |neurons: &[Neuron]| {
            let layers: Vec<_> = neurons.iter().map(|&neuron| (None, 0, neuron)).collect();
            neuron_name(&network(&layers))
        };
        assert_eq!(of(&[Neuron::IF, Neuron::OR]), "if");
        assert_eq!(of(&[Neuron::OR, Neuron::TWO_PHASE]), "two_phase");
        assert_eq!(of(&[Neuron::IF, Neuron::TWO_PHASE]), "mixed");
        assert_eq!(of(&[Neuron::OR]), "if_hard_reset");
    }

    #[test]
    fn only_a_number_that_was_named_can_be_too_large() {
        assert_eq!(Count::of(None, 100).among(7), Some(7));
        assert_eq!(Count::of(None, 3).among(7), Some(3));
        assert_eq!(Count::of(Some(7), 3).among(7), Some(7));
        assert_eq!([0, 8].map(|count| Count::of(Some(count), 3).among(7)), [None, None]);
    }
}
