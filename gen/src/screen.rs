//! Results on stdout, progress on stderr.

use crate::error::GenError;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Serialize, Serializer};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// Prints text to stdout.
pub fn print(text: &str) -> Result<(), GenError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(GenError::Stdout)
}

/// Prints a JSON document to stdout.
pub fn print_json(value: &impl Serialize) -> Result<(), GenError> {
    let text =
        serde_json::to_string_pretty(value).expect("reports have no maps with other keys than strings");
    print(&(text + "\n"))
}

/// A path in a JSON document: a string, or where it is no Unicode `{"bytes": [...]}`, the bytes that the system knows it by, so that
/// no two paths look alike.
pub fn json_path<S: Serializer>(path: &impl AsRef<Path>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Bytes<'a> {
        bytes: &'a [u8],
    }
    let path = path.as_ref();
    match path.to_str() {
        Some(text) => text.serialize(serializer),
        None => Bytes { bytes: path.as_os_str().as_bytes() }.serialize(serializer),
    }
}

/// Says on stderr what a reader of the results should know.
pub fn notes<'n>(notes: impl IntoIterator<Item = &'n str>) {
    notes.into_iter().for_each(|note| eprintln!("note: {note}"));
}

/// Seconds from which on a wait is announced.
const LONG: f64 = 20.0;

/// Says on stderr, before it begins, that something can take long.
pub fn announce(what: &str, seconds: f64) {
    if let Some(wait) = wait(seconds) {
        eprintln!("note: {what}: up to about {wait}; fewer --images take less");
    }
}

/// A wait in words, if it is long.
fn wait(seconds: f64) -> Option<String> {
    let (number, unit) = match seconds {
        ..LONG => return None,
        ..120.0 => (seconds, "seconds"),
        ..7200.0 => (seconds / 60.0, "minutes"),
        _ => (seconds / 3600.0, "hours"),
    };
    Some(format!("{number:.0} {unit}"))
}

/// A share for people, with a dash where there is none.
pub fn percent_or_dash(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), percent)
}

/// A bar on stderr if that is a terminal.
pub fn bar(what: &'static str, length: usize) -> ProgressBar {
    let template = "{spinner} {msg} {wide_bar} {pos}/{len}  {elapsed}, {eta} to go ";
    let style = ProgressStyle::with_template(template).expect("the template is well-formed");
    ticking(ProgressBar::new(length as u64).with_style(style).with_message(what))
}

/// A spinner on stderr if that is a terminal.
pub fn spinner(what: impl Into<String>) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{spinner} {msg}  {elapsed}").expect("the template is well-formed");
    ticking(ProgressBar::new_spinner().with_style(style).with_message(what.into()))
}

fn ticking(bar: ProgressBar) -> ProgressBar {
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// A number with its digits in groups of three.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share of 0 to 1 as a percentage.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// `part / whole`, and 0 of nothing.
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// `1 image`, `2 images`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number as u64), if number == 1 { "" } else { "s" })
}

/// Where a column's text sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows in columns as wide as their widest cell.
pub struct Table {
    columns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a heading a column.
    pub fn new(columns: &[(&str, Align)]) -> Table {
        let headings = columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
        Table { columns: columns.iter().map(|&(_, align)| align).collect(), rows: vec![headings] }
    }

    /// Adds a row: one cell a column.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table as text.
    pub fn text(&self) -> String {
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        self.rows.iter().map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let cells = row.iter().zip(&self.columns).zip(widths).map(|((cell, align), &width)| match align {
            Align::Left => format!("{cell:<width$}"),
            Align::Right => format!("{cell:>width$}"),
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        line.trim_end().to_owned() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_from_the_right() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn long_waits_alone_are_told() {
        let told = [19.9, 20.0, 240.0, 7200.0].map(wait);
        assert_eq!(told, [None, Some("20 seconds".into()), Some("4 minutes".into()), Some("2 hours".into())]);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&[("layer", Align::Left), ("events", Align::Right)]);
        table.row(vec!["q".to_owned(), "1,234,567".to_owned()]);
        assert_eq!(table.text(), "layer     events\nq      1,234,567\n");
    }
}
