//! Cells of a synthesised core, module by module, and the page that keeps them.

use super::family::{Family, Kind};
use super::yosys::Synthesis;
use crate::screen::grouped;
use serde::Serialize;

/// Columns of tables, with their headings. What else is counted must not be there at all ([`findings`](super::findings)).
pub const COLUMNS: [(Kind, &str); 5] = [
    (Kind::Lut, "LUT"),
    (Kind::Carry, "carry"),
    (Kind::LutRam, "LUT RAM"),
    (Kind::FlipFlop, "FF"),
    (Kind::BlockRam, "block RAM"),
];

/// How many cells of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Cells {
    /// Look-up tables.
    pub luts: u64,
    /// Carry cells.
    pub carry: u64,
    /// Cells of distributed memory.
    pub lut_ram: u64,
    /// Flip-flops.
    pub ffs: u64,
    /// Block RAMs.
    pub block_ram: u64,
    /// Multipliers and DSP blocks.
    pub dsp: u64,
    /// Latches.
    pub latches: u64,
}

impl Cells {
    /// As many of each kind as `number` says.
    pub fn each(number: impl Fn(Kind) -> u64) -> Cells {
        Cells {
            luts: number(Kind::Lut),
            carry: number(Kind::Carry),
            lut_ram: number(Kind::LutRam),
            ffs: number(Kind::FlipFlop),
            block_ram: number(Kind::BlockRam),
            dsp: number(Kind::Dsp),
            latches: number(Kind::Latch),
        }
    }

    /// How many of one kind.
    pub fn of(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Lut => self.luts,
            Kind::Carry => self.carry,
            Kind::LutRam => self.lut_ram,
            Kind::FlipFlop => self.ffs,
            Kind::BlockRam => self.block_ram,
            Kind::Dsp => self.dsp,
            Kind::Latch => self.latches,
        }
    }

    /// The numbers of a table's columns.
    pub fn columns(&self) -> [u64; COLUMNS.len()] {
        COLUMNS.map(|(kind, _)| self.of(kind))
    }
}

/// Cells of all instances of a module, those of the modules in it left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModuleCells {
    /// The module.
    pub module: String,
    /// Its instances in the core.
    pub instances: u64,
    /// Cells of all of them.
    #[serde(flatten)]
    pub cells: Cells,
}

/// Every module with cells of its own, most look-up tables first.
pub fn by_module(synthesis: &Synthesis, family: Family, top: &str) -> Vec<ModuleCells> {
    let mut rows: Vec<ModuleCells> = synthesis
        .instances(top)
        .into_iter()
        .map(|(module, instances)| {
            let cells = Cells::each(|kind| instances * synthesis.own(&module, family, kind));
            ModuleCells { module, instances, cells }
        })
        .filter(|row| row.cells != Cells::default())
        .collect();
    rows.sort_by(|a, b| b.cells.cmp(&a.cells).then_with(|| a.module.cmp(&b.module)));
    rows
}

/// Sum over modules.
pub fn total(rows: &[ModuleCells]) -> Cells {
    Cells::each(|kind| rows.iter().map(|row| row.cells.of(kind)).sum())
}

/// One lane: the modules of which a core has as many as lanes.
pub fn per_lane(rows: &[ModuleCells], lanes: u32) -> Cells {
    let of_lane: Vec<ModuleCells> =
        rows.iter().filter(|row| row.instances == u64::from(lanes)).cloned().collect();
    let sum = total(&of_lane);
    Cells::each(|kind| sum.of(kind) / u64::from(lanes))
}

const HEADER: &str = "# Resources\n\n\
    Cells after Yosys' synthesis, before placement, as `cargo xtask synth --update` counts them; modules are kept apart. In brackets the \
    change against the figures that the page had before.\n";

/// The page with one section replaced or added; `section` is its title.
pub fn update(page: &str, section: &str, rows: &[ModuleCells], lanes: u32) -> String {
    let (head, old, tail) = split(page, section);
    let before =
        |module: &str, column: usize| cells_of(old, module).and_then(|cells| cells.get(column).copied());
    let line = |name: &str, instances: String, cells: Cells| {
        let cells = cells.columns();
        let cell = |column: usize| match before(name, column) {
            Some(earlier) if earlier != cells[column] => {
                let change = cells[column] as i64 - earlier as i64;
                format!("{} ({change:+})", grouped(cells[column]))
            }
            _ => grouped(cells[column]),
        };
        let columns: Vec<String> = (0..COLUMNS.len()).map(cell).collect();
        format!("| {name} | {instances} | {} |\n", columns.join(" | "))
    };
    let headings: Vec<&str> = COLUMNS.iter().map(|(_, heading)| *heading).collect();
    let mut text = format!("## {section}\n\n| module | instances | {} |\n|---|", headings.join(" | "));
    text += &"---:|".repeat(COLUMNS.len() + 1);
    text.push('\n');
    for row in rows {
        text += &line(&format!("`{}`", row.module), row.instances.to_string(), row.cells);
    }
    text += &line("**whole core**", "1".to_owned(), total(rows));
    text += &line("one lane", lanes.to_string(), per_lane(rows, lanes));
    let head = if head.trim().is_empty() { HEADER } else { head };
    let parts = [head.trim_end(), text.trim_end(), tail.trim_end()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n") + "\n"
}

/// What is before the section, the section, and what is after it.
fn split<'a>(page: &'a str, section: &str) -> (&'a str, &'a str, &'a str) {
    let title = format!("## {section}\n");
    let Some(start) = page.find(&title) else { return (page, "", "") };
    let end = page[start + 3..].find("\n## ").map_or(page.len(), |next| start + 3 + next + 1);
    (&page[..start], &page[start..end], &page[end..])
}

/// The numbers in the row of a module, changes left out.
fn cells_of(section: &str, module: &str) -> Option<Vec<u64>> {
    let row = section.lines().find(|line| line.starts_with(&format!("| {module} |")))?;
    let number = |cell: &str| {
        let digits: String =
            cell.split('(').next().unwrap_or("").chars().filter(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    row.split('|').skip(3).take(COLUMNS.len()).map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(luts: u64) -> Vec<ModuleCells> {
        let row =
            |module: &str, instances, cells| ModuleCells { module: module.to_owned(), instances, cells };
        let neuron = Cells { luts: 8 * luts, carry: 80, ffs: 160, ..Cells::default() };
        let buffer = Cells { luts: 5, ffs: 3, block_ram: 4, ..Cells::default() };
        vec![row("neuron", 8, neuron), row("buffer", 1, buffer)]
    }

    #[test]
    fn a_page_shows_what_changed_since_the_last_time() {
        let first = update("", "tiny, ecp5", &rows(1000), 8);
        assert!(first.contains("| `neuron` | 8 | 8,000 | 80 | 0 | 160 | 0 |"), "{first}");
        assert!(first.contains("| one lane | 8 | 1,000 | 10 | 0 | 20 | 0 |"), "{first}");
        let second = update(&first, "tiny, ecp5", &rows(990), 8);
        assert!(second.contains("| `neuron` | 8 | 7,920 (-80) | 80 | 0 | 160 | 0 |"), "{second}");
        assert!(second.contains("| **whole core** | 1 | 7,925 (-80) | 80 | 0 | 163 | 4 |"), "{second}");
        assert_eq!(second.matches("# Resources\n").count(), 1);
    }

    #[test]
    fn other_sections_stay() {
        let first = update("", "tiny, ecp5", &rows(1), 8);
        let both = update(&first, "ecp5, ecp5", &rows(2), 8);
        let again = update(&both, "tiny, ecp5", &rows(1), 8);
        assert_eq!(again, both);
        assert_eq!(again.matches("\n## ").count(), 2);
    }
}
