//! Graph files: `mst-graph` version 2.
//!
//! A safetensors file. The metadata key `mst-graph` holds JSON: `version`, `name`, `image`, `input`, `classes`, `nodes` and optionally `class_names`,
//! `example` and `training` (notes that nothing reads). A node is an object with `name`, `op`, `inputs` (names of earlier nodes) and the attributes of its operation; its tensors are
//! `NODE.weight`, `NODE.bias`, `NODE.threshold` and so on. `docs/checkpoint.md` lists operations, attributes and tensors.

mod attributes;
mod json;
mod ops;
mod unmappable;
mod write;

use super::{Graph, Node, NodeId, Shape, shapes};
use crate::checkpoint::header::nearest;
use crate::checkpoint::tensors;
use crate::checkpoint::{Checkpoint, Example, Normalisation, Warning};
use crate::container::{self, Stored, Tensors, format_error};
use crate::error::ModelError;
use crate::network::ImageShape;
use attributes::Attributes;
use safetensors::Dtype;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The metadata key of the header.
pub const KEY: &str = container::GRAPH.key;
/// The header's `version`.
pub const VERSION: u64 = 2;

/// Entries of the header that are read, and notes.
const ENTRIES: [&str; 9] =
    ["version", "name", "image", "input", "classes", "class_names", "nodes", "example", "training"];

/// What to do about a tensor that nothing reads.
const NAMES: &str = ": leave it out, or name it NODE.weight, NODE.bias, ... after the node that it belongs to; docs/checkpoint.md lists them";

/// The end of names of a buffer of PyTorch's batch norm that only training reads.
const TRAINING_ONLY: &str = ".num_batches_tracked";

/// Most of a number that JSON shows in an error.
const SHOWN: usize = 80;

/// A trained network's file: a graph, or a checkpoint (`mst-checkpoint`) as the graph that it describes.
#[derive(Clone, Debug)]
pub struct GraphFile {
    /// What it holds.
    pub graph: Graph,
    /// The name that the file gives its network: graph files have one, checkpoints have none.
    pub name: Option<String>,
    /// What the file left unsaid, or said in vain.
    pub warnings: Vec<Warning>,
}

impl GraphFile {
    /// Reads the file `path`.
    ///
    /// # Errors
    /// If the file cannot be read, or as [`GraphFile::from_bytes`] says: names the path and what is wrong.
    pub fn load(path: &Path) -> Result<GraphFile, ModelError> {
        container::read_file(path, GraphFile::from_bytes)
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// As [`Graph::from_bytes`], and as [`Checkpoint::from_bytes`] for everything that is no graph file.
    pub fn from_bytes(bytes: &[u8]) -> Result<GraphFile, ModelError> {
        if container::has_header(bytes, KEY) {
            let graph = Graph::from_bytes(bytes)?;
            return Ok(GraphFile { name: Some(graph.name.clone()), graph, warnings: Vec::new() });
        }
        let checkpoint = Checkpoint::from_bytes(bytes)?;
        Ok(GraphFile { graph: Graph::from(&checkpoint), name: None, warnings: checkpoint.warnings })
    }
}

impl Graph {
    /// Reads a graph file, or a checkpoint file (`mst-checkpoint`) as the graph that it describes.
    ///
    /// # Errors
    /// If the file cannot be read, or as [`Graph::from_bytes`] says: names the path and what is wrong.
    pub fn load(path: &Path) -> Result<Graph, ModelError> {
        container::read_file(path, Graph::from_bytes)
    }

    /// Reads a graph from the bytes of its file, or of a checkpoint's.
    ///
    /// # Errors
    /// If it is truncated, corrupt or foreign, if an entry, a node's operation or attribute is unknown, missing or out of range, if a node
    /// reads one that does not come before it, if a tensor is missing, superfluous or of another shape, if an element is no finite float32,
    /// a variance negative or a threshold not positive, if shapes do not fit, or if an operation has no spiking counterpart.
    pub fn from_bytes(bytes: &[u8]) -> Result<Graph, ModelError> {
        if container::has_header(bytes, container::CHECKPOINT.key) {
            return Ok(Graph::from(&Checkpoint::from_bytes(bytes)?));
        }
        let (text, tensors) = container::open(bytes, &container::GRAPH)?;
        let entries =
            json::object(&text).map_err(|error| format_error(format!("metadata entry `{KEY}`: {error}")))?;
        read(&entries, tensors)
    }
}

/// An entry with a value that means nothing there.
fn wrong(entry: &str, found: &Value, allowed: &str) -> ModelError {
    let mut found = if found.is_null() { "missing".to_owned() } else { found.to_string() };
    if found.chars().count() > SHOWN {
        found = found.chars().take(SHOWN).chain("...".chars()).collect();
    }
    ModelError::Metadata { entry: format!("{KEY}: {entry}"), found, allowed: allowed.to_owned() }
}

/// What is said of a name that is not among `known`.
fn unknown(name: &str, known: &[&'static str]) -> String {
    let all = known.join("`, `");
    match nearest(&name.to_lowercase().replace('-', "_"), known) {
        Some((near, _)) => format!("`{near}`, which it may mean; there are `{all}`"),
        None => format!("`{all}`"),
    }
}

fn read(entries: &Map<String, Value>, stored: Tensors<'_>) -> Result<Graph, ModelError> {
    let entry = |name: &str| entries.get(name).unwrap_or(&Value::Null);
    if entry("version").as_u64() != Some(VERSION) {
        let allowed = format!("{VERSION}, which docs/checkpoint.md describes");
        return Err(wrong("version", entry("version"), &allowed));
    }
    if let Some((name, value)) = entries.iter().find(|(name, _)| !ENTRIES.contains(&name.as_str())) {
        return Err(wrong(&format!("an entry `{}`", name.escape_debug()), value, &unknown(name, &ENTRIES)));
    }
    let name = entry("name").as_str().ok_or_else(|| wrong("name", entry("name"), "a text"))?;
    let image = image(entry("image"))?;
    let classes = entry("classes").as_u64().filter(|classes| (1..=65536).contains(classes));
    let classes =
        classes.ok_or_else(|| wrong("classes", entry("classes"), "a whole number, 1 to 65536"))? as usize;
    let nodes = entry("nodes").as_array().filter(|nodes| !nodes.is_empty());
    let nodes = nodes.ok_or_else(|| wrong("nodes", entry("nodes"), "a list of nodes, 1 or more"))?;
    let example = match entry("example") {
        Value::Null => None,
        value => Some(Example::parse(value, image.bytes(), classes, wrong)?),
    };
    let graph = Graph {
        name: name.to_owned(),
        image,
        input: input(entry("input"), image.channels)?,
        nodes: Vec::new(),
        classes,
        class_names: class_names(entry("class_names"), classes)?,
        example,
    };
    let nodes: Vec<Attributes<'_>> = nodes
        .iter()
        .enumerate()
        .map(|(index, node)| Attributes::new(index, node))
        .collect::<Result<_, _>>()?;
    let mut names = BTreeSet::new();
    for node in &nodes {
        unmappable::check(node)?;
        if !names.insert(node.name) {
            return Err(wrong("nodes: a name", &Value::from(node.name), "each name once"));
        }
    }
    let mut reader = Reader {
        graph,
        shapes: Vec::new(),
        by_name: BTreeMap::new(),
        tensors: TensorSet::new(stored, &nodes)?,
    };
    for node in &nodes {
        reader.node(node, &nodes)?;
    }
    if let Some(name) = reader.tensors.left() {
        return Err(ModelError::UnexpectedTensor { name: name.to_owned(), hint: NAMES });
    }
    reader.graph.shapes()?;
    Ok(reader.graph)
}

fn image(entry: &Value) -> Result<ImageShape, ModelError> {
    let allowed = "an object of `height`, `width` (1 to 4096) and `channels` (1 to 64), whole numbers";
    let sides = entry.as_object().filter(|sides| sides.len() == 3);
    let side = |name: &str, most: u64| {
        let found = sides?.get(name)?.as_u64()?;
        (1..=most).contains(&found).then_some(found as usize)
    };
    match (side("height", 4096), side("width", 4096), side("channels", 64)) {
        (Some(height), Some(width), Some(channels)) => Ok(ImageShape { height, width, channels }),
        _ => Err(wrong("image", entry, allowed)),
    }
}

fn input(entry: &Value, channels: usize) -> Result<Normalisation, ModelError> {
    if entry.is_null() {
        return Ok(Normalisation::none(channels));
    }
    let parts = entry.as_object().filter(|parts| parts.keys().all(|part| part == "mean" || part == "std"));
    match parts.map(|parts| (parts.get("mean"), parts.get("std"))) {
        Some((Some(mean), Some(std))) => Normalisation::of("input", mean, std, channels, wrong),
        _ => Err(wrong("input", entry, "an object of `mean` and `std`, for pixels scaled to 0..1")),
    }
}

fn class_names(entry: &Value, classes: usize) -> Result<Vec<String>, ModelError> {
    if entry.is_null() {
        return Ok(Vec::new());
    }
    let names = entry.as_array().filter(|names| names.len() == classes);
    let names = names.and_then(|names| names.iter().map(|name| name.as_str().map(str::to_owned)).collect());
    names.ok_or_else(|| wrong("class_names", entry, &format!("a list of {classes} texts, one a class")))
}

/// The tensors of a file: float32, but for gains and offsets of batch norm, which may be float64.
struct TensorSet {
    floats: tensors::Floats,
    doubles: BTreeMap<String, Vec<f64>>,
}

impl TensorSet {
    fn new(mut stored: Tensors<'_>, nodes: &[Attributes<'_>]) -> Result<TensorSet, ModelError> {
        stored.0.retain(|name, _| !name.ends_with(TRAINING_ONLY));
        let mut doubles = BTreeMap::new();
        for node in nodes.iter().filter(|node| node.op == "batch_norm") {
            for part in ["gain", "offset"] {
                let name = format!("{}.{part}", node.name);
                let double = |stored: &&Stored<'_>| stored.dtype == Dtype::F64 && stored.shape.len() == 1;
                let Some(found) = stored.0.get(&name).filter(double) else { continue };
                let values = found.data.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes));
                let values: Vec<f64> = values.collect();
                if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                    let value = values[index] as f32;
                    return Err(ModelError::TensorValue { name, index, value, expected: "finite" });
                }
                stored.0.remove(&name);
                doubles.insert(name, values);
            }
        }
        Ok(TensorSet { floats: tensors::floats(stored)?, doubles })
    }

    fn left(&self) -> Option<&str> {
        self.floats.left().or_else(|| self.doubles.keys().next().map(String::as_str))
    }
}

/// Reads nodes one by one.
struct Reader {
    graph: Graph,
    shapes: Vec<Shape>,
    by_name: BTreeMap<String, NodeId>,
    tensors: TensorSet,
}

impl Reader {
    fn node(&mut self, attributes: &Attributes<'_>, all: &[Attributes<'_>]) -> Result<(), ModelError> {
        let inputs = attributes.inputs()?.into_iter().map(|input| {
            self.by_name.get(input).copied().ok_or_else(|| {
                let later = all.iter().any(|node| node.name == input);
                let allowed = match later {
                    true => "nodes before it in the list: put nodes in the order in which they are computed; a network with loops has none".to_owned(),
                    false => "names of nodes before it".to_owned(),
                };
                wrong(&attributes.entry("an input"), &Value::from(input), &allowed)
            })
        });
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let shapes: Vec<Shape> = inputs.iter().map(|input| self.shapes[input.0]).collect();
        let op = ops::read(attributes, &shapes, &mut self.tensors)?;
        attributes.nothing_left()?;
        let node = Node { name: attributes.name.to_owned(), inputs, op };
        self.shapes.push(shapes::shape(&self.graph, &node, &shapes)?);
        self.by_name.insert(node.name.clone(), NodeId(self.graph.nodes.len()));
        self.graph.nodes.push(node);
        Ok(())
    }
}
