//! Cells of a synthesised core, module by module, and the page that keeps them.

use super::family::{Family, Kind};
use super::yosys::Synthesis;
use crate::screen::grouped;
use serde::Serialize;

/// What is counted, with its heading.
pub const COLUMNS: [(Kind, &str); 5] = [
    (Kind::Lut, "LUT"),
    (Kind::Carry, "carry"),
    (Kind::LutRam, "LUT RAM"),
    (Kind::FlipFlop, "FF"),
    (Kind::BlockRam, "block RAM"),
];

/// Cells of all instances of a module, those of the modules in it left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModuleCells {
    /// The module.
    pub module: String,
    /// Its instances in the core.
    pub instances: u64,
    /// Cells, in the order of [`COLUMNS`].
    pub cells: [u64; 5],
}

/// Every module with cells of its own, most look-up tables first.
pub fn by_module(synthesis: &Synthesis, family: Family, top: &str) -> Vec<ModuleCells> {
    let mut rows: Vec<ModuleCells> = synthesis
        .instances(top)
        .into_iter()
        .map(|(module, instances)| {
            let cells = COLUMNS.map(|(kind, _)| instances * synthesis.own(&module, family, kind));
            ModuleCells { module, instances, cells }
        })
        .filter(|row| row.cells.iter().any(|&cells| cells > 0))
        .collect();
    rows.sort_by(|a, b| b.cells.cmp(&a.cells).then_with(|| a.module.cmp(&b.module)));
    rows
}

/// Sum over modules.
pub fn total(rows: &[ModuleCells]) -> [u64; 5] {
    rows.iter().fold([0; 5], |sum, row| std::array::from_fn(|i| sum[i] + row.cells[i]))
}

/// Modules of which a core has one a lane.
pub fn per_lane(rows: &[ModuleCells], lanes: u32) -> [u64; 5] {
    let of_lane: Vec<ModuleCells> =
        rows.iter().filter(|row| row.instances == u64::from(lanes)).cloned().collect();
    total(&of_lane).map(|cells| cells / u64::from(lanes))
}

const HEADER: &str = "# Resources\n\n\
    Cells after Yosys' synthesis, before placement, as `cargo xtask synth --update` counts them; modules are kept apart. In brackets the \
    change against the figures that the page had before.\n";

/// The page with one section replaced or added; `section` is its title.
pub fn update(page: &str, section: &str, rows: &[ModuleCells], lanes: u32) -> String {
    let (head, old, tail) = split(page, section);
    let before =
        |module: &str, column: usize| cells_of(old, module).and_then(|cells| cells.get(column).copied());
    let line = |name: &str, instances: String, cells: [u64; 5]| {
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

    fn rows(lut: u64) -> Vec<ModuleCells> {
        let row =
            |module: &str, instances, cells| ModuleCells { module: module.to_owned(), instances, cells };
        vec![row("neuron", 8, [8 * lut, 80, 0, 160, 0]), row("buffer", 1, [5, 0, 0, 3, 4])]
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
