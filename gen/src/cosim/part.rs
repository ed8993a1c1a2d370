//! Some layers of a network alone, for networks that take long as a whole.

use crate::error::GenError;
use isa::descriptor;
use isa::program::{PlaneLayout, Program};
use model::{LayerId, Network};
use std::ops::Range;

/// What a cosimulation runs: all layers, or some.
pub struct Part {
    /// The layers.
    pub layers: Range<usize>,
    /// The program of these layers. Everything lies where the program of the whole network has it.
    pub program: Program,
    /// What they read of other layers, and where it lies.
    pub sources: Vec<(LayerId, PlaneLayout)>,
}

impl Part {
    /// All layers.
    pub fn whole(program: Program) -> Part {
        Part { layers: 0..program.layers.len(), program, sources: Vec::new() }
    }

    /// The layers `range` of the program of `network`, which keeps its planes.
    pub fn of(network: &Network, program: Program, layers: Range<usize>) -> Part {
        let reads = network.layers[layers.clone()].iter().flat_map(|layer| layer.operation.reads());
        let mut outside: Vec<LayerId> = reads.filter(|id| !layers.contains(&id.0)).collect();
        outside.sort_unstable();
        outside.dedup();
        let plane = |id: LayerId| Some((id, program.layers[id.0].plane.clone()?));
        let sources = outside.into_iter().filter_map(plane).collect();
        Part { program: only(program, layers.clone()), layers, sources }
    }

    /// Whether there is an answer to read.
    pub fn has_readout(&self) -> bool {
        self.program.layers.iter().any(|layer| layer.plane.is_none())
    }
}

/// The program without the descriptors of other layers: its first is that of the first layer of `layers`, and waits for those alone that are
/// left.
fn only(mut program: Program, layers: Range<usize>) -> Program {
    let before: usize = program.layers[..layers.start].iter().map(|layer| layer.strips.len()).sum();
    program.layers.truncate(layers.end);
    program.layers.drain(..layers.start);
    program.descriptor_base += (before * descriptor::BYTES) as u32;
    let strips = program.layers.iter_mut().flat_map(|layer| &mut layer.strips);
    for (index, strip) in strips.enumerate() {
        let waits = &mut strip.descriptor;
        waits.inputs_ready = waits.inputs_ready.saturating_sub(before as u32);
        waits.weights_ready = waits.weights_ready.saturating_sub(before as u32);
        let at = u64::from(program.descriptor_base) + (index * descriptor::BYTES) as u64;
        let bytes = waits.to_words().into_iter().flat_map(u64::to_le_bytes);
        for segment in &mut program.image {
            let place = at.checked_sub(segment.offset).and_then(|at| segment.bytes.get_mut(at as usize..));
            place.into_iter().flatten().zip(bytes.clone()).for_each(|(byte, new)| *byte = new);
        }
    }
    program
}

/// The layers that `text` names: `A`, `A..B`, `A..=B`, `A..` or `..B`, each an index or a name.
pub fn layers(text: &str, network: &Network) -> Result<Range<usize>, GenError> {
    let count = network.layers.len();
    let of = |layer: &str| -> Option<usize> {
        let layer = layer.trim();
        let named = network.layers.iter().position(|other| other.name == layer);
        named.or_else(|| layer.parse().ok().filter(|&index| index <= count))
    };
    let range = |at: usize| {
        let (first, rest) = (&text[..at], &text[at + 2..]);
        let first = if first.trim().is_empty() { Some(0) } else { of(first) }?;
        let end = match rest.strip_prefix('=') {
            Some(last) => of(last)? + 1,
            None if rest.trim().is_empty() => count,
            None => of(rest)?,
        };
        Some(first..end)
    };
    // Names may have dots of their own.
    let ranges = || text.match_indices("..").filter_map(|(at, _)| range(at));
    let found = of(text).map(|index| index..index + 1).or_else(|| ranges().next());
    match found {
        Some(found) if !found.is_empty() && found.end <= count => Ok(found),
        _ => Err(GenError::Option {
            option: "--layers",
            found: text.to_owned(),
            allowed: format!(
                "`A`, `A..B` (without B), `A..=B`, `A..` or `..B`, with 0..={count} or names of layers as `gen info` shows them, and at least \
                 one layer"
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;
    use compile::ProgramOptions;
    use driver::{Accelerator, Link};
    use isa::CoreConfig;
    use isa::program::Planes;
    use model::{Executor, RunOptions, SpikePlane};
    use sim::SoftCore;

    const MEMORY: usize = 1 << 22;

    fn network() -> Network {
        Network::load(&files::find(files::NETWORK).unwrap()).unwrap()
    }

    #[test]
    fn layers_are_named_by_index_or_name() {
        let network = network();
        let name = |index: usize| network.layers[index].name.as_str();
        let count = network.layers.len();
        for (text, expected) in [
            ("7".to_owned(), 7..8),
            ("3..9".to_owned(), 3..9),
            ("3..=9".to_owned(), 3..10),
            (" 3 .. ".to_owned(), 3..count),
            ("..2".to_owned(), 0..2),
            ("..".to_owned(), 0..count),
            (format!("3..{count}"), 3..count),
            (name(4).to_owned(), 4..5),
            (format!("{}..{}", name(2), name(5)), 2..5),
            (format!("{}..=5", name(2)), 2..6),
        ] {
            assert_eq!(layers(&text, &network).unwrap(), expected, "{text}");
        }
        for text in ["", "x", "5..5", "9..3", "45", "3..46", "3..=45", "no..such"] {
            let error = layers(text, &network).unwrap_err().to_string();
            assert!(error.contains("--layers is") && error.contains("0..=45"), "{text}: {error}");
        }
    }

    #[test]
    fn a_part_runs_on_the_planes_that_it_is_given() {
        let configured = network().configure(&RunOptions::new(5)).unwrap();
        let core = CoreConfig::preset("tiny").unwrap();
        let options = ProgramOptions { memory_size: MEMORY as u64, planes: Planes::Keep };
        let program = compile::compile(&configured, &core, &options).unwrap();
        let image: Vec<u8> = (0..configured.image.bytes()).map(|i| (i * 7 % 256) as u8).collect();
        let expected = Executor::new(&configured).trace(&image).unwrap();
        for range in [0..3, 4..7, 7..20, 40..45] {
            let part = Part::of(&configured, program.clone(), range.clone());
            // A memory that never saw another layer's spikes.
            let mut accelerator = Accelerator::open(SoftCore::new(&core, MEMORY).unwrap()).unwrap();
            accelerator.load(&part.program).unwrap();
            for (id, layout) in &part.sources {
                assert!(!range.contains(&id.0));
                let plane = expected.planes[id.0].in_memory(layout.clone());
                accelerator.link().write_memory(layout.base.into(), &plane.bytes).unwrap();
            }
            let counters = accelerator.run_image(&image).unwrap();
            for (index, plane) in expected.planes.iter().enumerate().take(range.end).skip(range.start) {
                let found = SpikePlane::from(&accelerator.read_plane(index - range.start).unwrap());
                assert_eq!(plane.first_difference(&found), None, "{range:?}: layer {index}");
            }
            assert_eq!(part.has_readout(), range.end == 45);
            if part.has_readout() {
                assert_eq!(accelerator.answer(counters).unwrap().logits, expected.logits);
            }
        }
    }
}
