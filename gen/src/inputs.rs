//! The network and the images that a command works on.

use crate::cli::{ImageArgs, NetworkArgs};
use crate::error::GenError;
use crate::files;
use isa::Neuron;
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
    let remedy = "make it with `gen convert models/fashion-mnist/checkpoint.safetensors --out models/fashion-mnist/net.mst`";
    let path = files::named_or_found(args.net.as_deref(), files::NETWORK, "the default network", remedy)?;
    let configured = Network::load(&path)?.configure(&options)?;
    Ok(Loaded { path, configured })
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

/// The largest mask ratio of any layer, 0 to 1.
pub fn mask(network: &Network) -> f64 {
    let ratios = network.layers.iter().map(|layer| MaskRatio(layer.mask_ratio).0);
    f64::from(ratios.max().unwrap_or(0)) / 256.0
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
        let remedy = "name a folder with `--data`";
        let folder =
            files::named_or_found(args.data.as_deref(), files::IMAGES, "the default data set", remedy)?;
        let data = Dataset::load(&folder)?;
        let images = Images { first: args.first, count, data };
        images.check(network, &folder)?;
        Ok(images)
    }

    fn check(&self, network: &Network, folder: &Path) -> Result<(), GenError> {
        let refuse = |option, found: String, allowed| Err(GenError::Option { option, found, allowed });
        let there = self.data.len();
        if self.data.shape() != network.image {
            let size = |shape: model::network::ImageShape| {
                format!("{} x {} x {}", shape.height, shape.width, shape.channels)
            };
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
