//! The checkpoint or graph file that a network was converted from: remembered by path and hash, and found again.

use crate::error::GenError;
use crate::files;
use model::checkpoint::Agreement;
use model::graph::NodeOp;
use model::graph::file::GraphFile;
use model::network::{ImageShape, Origin};
use model::output::{self, Target};
use model::{Graph, Network};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// SHA-256 of a file's bytes, in hexadecimal.
pub fn sha256(path: &Path) -> Result<String, GenError> {
    Ok(hex(&Sha256::digest(std::fs::read(path).map_err(files::at(path))?)))
}

/// Bytes in hexadecimal, as hashes are written.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first digits of a hash: enough to tell one file from another.
pub fn first_digits(hash: &str) -> String {
    hash.chars().take(16).collect()
}

/// What the network that is written to `network` remembers of its checkpoint: its path below the folder of the network's file, or
/// else from the root; nothing if the path is no Unicode.
pub fn of(checkpoint: &Path, network: &Path) -> Result<Option<Origin>, GenError> {
    let full = std::fs::canonicalize(checkpoint).map_err(files::at(checkpoint))?;
    let target = match Target::of(network).map_err(files::at(network))? {
        Target::File(file) | Target::Device(file) => file,
    };
    let folder = output::folder_of(&target);
    let folder = std::fs::canonicalize(folder).map_err(files::at(folder))?;
    let path = full.strip_prefix(&folder).unwrap_or(&full).to_str();
    path.map(|path| Ok(Origin { path: path.to_owned(), sha256: sha256(&full)? })).transpose()
}

/// Why there is no checkpoint of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The network remembers none.
    NotRemembered,
    /// There is no file where it was.
    NotThere,
    /// The file there is another one now.
    Changed,
}

impl Absence {
    /// In a few words.
    pub fn words(self) -> &'static str {
        match self {
            Absence::NotRemembered => "the network remembers no checkpoint",
            Absence::NotThere => "its checkpoint is not there any more",
            Absence::Changed => "its checkpoint has changed since the network was converted",
        }
    }
}

/// The checkpoint that `network`, read from the file `path`, was converted from, or why it cannot be had.
pub fn remembered(path: &Path, network: &Network) -> Result<Result<PathBuf, Absence>, GenError> {
    let Some(origin) = &network.checkpoint else { return Ok(Err(Absence::NotRemembered)) };
    let full = std::fs::canonicalize(path).map_err(files::at(path))?;
    let checkpoint = output::folder_of(&full).join(&origin.path);
    if !checkpoint.is_file() {
        return Ok(Err(Absence::NotThere));
    }
    let same = sha256(&checkpoint)? == origin.sha256;
    Ok(if same { Ok(checkpoint) } else { Err(Absence::Changed) })
}

/// Runs the example of a float network that was read from the file `path`, if it has one: what else would show that the network is the
/// one that was trained?
pub fn check_example(graph: &Graph, path: &Path) -> Result<Option<Agreement>, GenError> {
    Ok(graph.check_example().map_err(|error| error.in_file(path))?)
}

/// The float network in the file `path`, after its example was run.
pub fn load(path: &Path) -> Result<Graph, GenError> {
    let graph = GraphFile::load(path)?.graph;
    check_example(&graph, path)?;
    Ok(graph)
}

/// What `--float` asks for: the checkpoint named behind it, or the one that the network remembers.
pub fn float(named: Option<&Path>, path: &Path, network: &Network) -> Result<(PathBuf, Graph), GenError> {
    let refuse = |found: String, allowed: &str| {
        Err(GenError::Option { option: "--float", found, allowed: allowed.to_owned() })
    };
    let checkpoint = match named {
        // An option's value and the network that follows it look alike.
        Some(named) if Network::load(named).is_ok() => {
            let allowed = "a checkpoint; a network's file goes before `--float`";
            return refuse(named.display().to_string(), allowed);
        }
        Some(named) => named.to_owned(),
        None => match remembered(path, network)? {
            Ok(checkpoint) => checkpoint,
            Err(absence) => {
                let origin = network.checkpoint.as_ref().map(|origin| format!(" ({})", origin.path));
                let found = format!("without a file, and {}{}", absence.words(), origin.unwrap_or_default());
                return refuse(
                    found,
                    "`--float CHECKPOINT`, or a network made with `gen convert` from a file that is still the same",
                );
            }
        },
    };
    let loaded = GraphFile::load(&checkpoint)?.graph;
    let (theirs, own) = (shape_of_graph(&loaded), shape_of_network(network));
    if theirs != own {
        let found = format!("{}, {theirs}", checkpoint.display());
        return refuse(
            found,
            &format!("a checkpoint of the same shape as the network {}, {own}", path.display()),
        );
    }
    check_example(&loaded, &checkpoint)?;
    Ok((checkpoint, loaded))
}

/// What a float network must have in common with an integer one to be its counterpart, in words.
fn shape_of_graph(graph: &Graph) -> String {
    let pools = graph.nodes.iter().filter(|node| matches!(node.op, NodeOp::MaxPool(_))).count();
    shape(graph.image, graph.classes, graph.activations().count() + pools)
}

/// The same of a network.
fn shape_of_network(network: &Network) -> String {
    let neurons = network.layers.iter().filter(|layer| layer.neuron.is_some()).count();
    shape(network.image, network.classes, neurons)
}

fn shape(image: ImageShape, classes: usize, layers: usize) -> String {
    let ImageShape { height, width, channels } = image;
    format!("of images {height} x {width} x {channels}, {classes} classes, {layers} layers of neurons")
}
