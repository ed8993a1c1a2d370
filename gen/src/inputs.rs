//! The network and the images that a command works on.

use crate::cli::{ImageArgs, NetworkArgs};
use crate::error::GenError;
use crate::files;
use isa::Neuron;
use model::images::Part;
use model::network::{ImageShape, MaskSite};
use model::{Configured, Dataset, MaskRatio, Network};
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

/// The network file that is named, or the default one.
pub fn network_path(named: Option<&Path>) -> Result<PathBuf, GenError> {
    let remedy = "make it with `gen convert models/fashion-mnist/checkpoint.safetensors --out models/fashion-mnist/net.mst`";
    files::named_or_found(named, files::NETWORK, "the default network", remedy)
}

/// The neuron mode of all layers in a word.
pub fn neuron_name(network: &Network) -> &'static str {
    let mut modes = network.layers.iter().filter(|layer| !layer.theta.is_empty()).map(|layer| layer.neuron);
    let first = modes.next();
    match (first, modes.all(|mode| Some(mode) == first)) {
        (Some(Neuron::If), true) => "if",
        (Some(Neuron::TwoPhase), true) => "two_phase",
        _ => "mixed",
    }
}

/// The masks of a network in words: one ratio, one a matrix, or the range of each matrix whose blocks differ.
pub fn mask(network: &Network) -> String {
    let range = |site| {
        let masked = network.layers.iter().filter(|layer| layer.mask_site == Some(site));
        let ratios = masked.map(|layer| MaskRatio(layer.mask_ratio));
        ratios.clone().min().zip(ratios.max())
    };
    let ranges: Vec<(MaskSite, (MaskRatio, MaskRatio))> =
        MaskSite::ALL.into_iter().filter_map(|site| Some((site, range(site)?))).collect();
    let words = |(low, high): (MaskRatio, MaskRatio)| {
        if low == high { low.to_string() } else { format!("{low}..{high}") }
    };
    match ranges.first() {
        None => "0".to_owned(),
        Some((_, first)) if first.0 == first.1 && ranges.iter().all(|(_, range)| range == first) => {
            words(*first)
        }
        Some(_) => {
            let each = ranges.iter().map(|&(site, range)| format!("{} {}", site.name(), words(range)));
            each.collect::<Vec<_>>().join(", ")
        }
    }
}

/// The folder that is named, or the one where the part's files are by default.
fn folder(args: &ImageArgs) -> Result<PathBuf, GenError> {
    let (place, remedy) = match Part::from(args.part) {
        Part::Test => (files::IMAGES, "name a folder with `--data`"),
        Part::Train | Part::HeldOut => (
            files::TRAINING_IMAGES,
            "install Debian's package dataset-fashion-mnist, or name a folder with `--data`",
        ),
    };
    files::named_or_found(args.data.as_deref(), place, "the default data set", remedy)
}

/// Some images of a data set.
pub struct Images {
    data: Dataset,
    first: usize,
    count: usize,
}

impl Images {
    /// Reads `count` images and checks that the network takes them.
    pub fn load(args: &ImageArgs, count: usize, network: &Network) -> Result<Images, GenError> {
        let folder = folder(args)?;
        let data = Dataset::load_part(&folder, args.part.into())?;
        let images = Images { first: args.first, count, data };
        images.check(network, &folder)?;
        Ok(images)
    }

    fn check(&self, network: &Network, folder: &Path) -> Result<(), GenError> {
        let refuse = |option, found: String, allowed| Err(GenError::Option { option, found, allowed });
        let there = self.data.len();
        if self.data.shape() != network.image {
            let size = |shape: ImageShape| format!("{} x {} x {}", shape.height, shape.width, shape.channels);
            let found = format!("{} with images of {}", folder.display(), size(self.data.shape()));
            return refuse("--data", found, format!("images of {}", size(network.image)));
        }
        if self.first >= there {
            return refuse("--first", self.first.to_string(), format!("0..={}", there - 1));
        }
        if self.count == 0 || self.count > there - self.first {
            let allowed = format!("1..={} from image {} on", there - self.first, self.first);
            return refuse("--images", self.count.to_string(), allowed);
        }
        Ok(())
    }

    /// Size of each image.
    pub fn shape(&self) -> ImageShape {
        self.data.shape()
    }

    /// Number of images, 1 or more.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Index in the data set of image `i` of these.
    pub fn index(&self, i: usize) -> usize {
        self.first + i
    }

    /// Pixels of image `i` of these.
    pub fn image(&self, i: usize) -> &[u8] {
        self.data.image(self.index(i))
    }

    /// All of them.
    pub fn all(&self) -> Vec<&[u8]> {
        (0..self.count).map(|i| self.image(i)).collect()
    }

    /// Class of image `i` of these.
    pub fn label(&self, i: usize) -> usize {
        usize::from(self.data.labels()[self.index(i)])
    }
}
