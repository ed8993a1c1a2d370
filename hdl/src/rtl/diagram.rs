//! Block diagrams of finished modules, as Mermaid text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::links::{Block, Link};
use super::module::Module;

/// Bits that a line has at least in one direction.
const LEAST_BITS: u32 = 8;
/// Names of bundles that a line shows in each direction.
const SHOWN: usize = 2;

/// Signals in one direction between two blocks.
#[derive(Default)]
struct Bundle {
    bits: u32,
    /// Bits by prefix of the signals' names, and the name if there is only one.
    groups: BTreeMap<String, (u32, BTreeSet<String>)>,
}

impl Bundle {
    fn add(&mut self, link: &Link) {
        self.bits += link.width;
        let group = self.groups.entry(super::links::prefix(&link.signal)).or_default();
        group.0 += link.width;
        group.1.insert(link.signal.clone());
    }

    /// The widest groups by name.
    fn text(&self) -> String {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|(_, (bits, _))| std::cmp::Reverse(*bits));
        let name = |(prefix, (_, names)): &(&String, &(u32, BTreeSet<String>))| match names.len() {
            1 => names.first().cloned().unwrap_or_default(),
            _ => format!("{prefix}_*"),
        };
        let mut names: Vec<String> = groups.iter().take(SHOWN).map(name).collect();
        if groups.len() > SHOWN {
            names.push("…".to_owned());
        }
        names.join(", ")
    }
}

/// The instances of `module` as boxes, its ports by the prefix of their names, and between any two the signals of both directions in
/// one line: the arrow points where more bits go, what goes back stands behind `⟵`. A signal may pass through logic on its way. Left
/// out are clock, reset, lines of fewer than eight bits in both directions, and what begins or ends in a register of `module` itself.
pub fn mermaid(module: &Module) -> String {
    let mut bundles: BTreeMap<(&Block, &Block), Bundle> = BTreeMap::new();
    let in_register = |link: &&Link| [&link.from, &link.to].iter().any(|end| matches!(end, Block::State(_)));
    for link in module.links.iter().filter(|link| !in_register(link)) {
        bundles.entry((&link.from, &link.to)).or_default().add(link);
    }
    let none = Bundle::default();
    let mut lines = String::new();
    let mut blocks: BTreeSet<&Block> = BTreeSet::new();
    for (&(from, to), there) in &bundles {
        let back = bundles.get(&(to, from)).unwrap_or(&none);
        // One line for both directions, drawn where more goes.
        let other_way = back.bits > there.bits || (back.bits == there.bits && to < from);
        if other_way || there.bits < LEAST_BITS {
            continue;
        }
        blocks.extend([from, to]);
        let behind = if back.bits > 0 { format!("<br/>⟵ {}", back.text()) } else { String::new() };
        let _ = writeln!(lines, "    {} -->|\"{}{behind}\"| {}", id(from), there.text(), id(to));
    }
    let mut text = String::from("flowchart TB\n");
    for block in blocks {
        let id = id(block);
        let _ = match block {
            Block::Ports(prefix) | Block::State(prefix) => writeln!(text, "    {id}([\"{prefix}\"])"),
            Block::Instance(name) => {
                let of = module.instances.iter().find(|(instance, _)| instance == name);
                let of = of.map_or("", |(_, module)| module.name());
                writeln!(text, "    {id}[\"<b>{name}</b><br/>{of}\"]")
            }
        };
    }
    text + &lines
}

fn id(block: &Block) -> String {
    match block {
        Block::Ports(prefix) => format!("port_{prefix}"),
        Block::State(prefix) => format!("state_{prefix}"),
        Block::Instance(name) => format!("u_{name}"),
    }
}
