//! The file of a sweep: every point is in it as soon as it is known, and what is in it is not measured again.
//!
//! A CSV file has one line a point and only grows. A JSON file is one array, written anew under another name after every point,
//! so that it is whole at any time.

use super::point::{NetworkFile, Row};
use crate::error::GenError;
use crate::files;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Known points, and where new ones go.
pub struct Store {
    rows: Vec<Row>,
    backing: Backing,
}

enum Backing {
    Memory,
    Csv(PathBuf),
    Json(PathBuf),
}

impl Store {
    /// Points that are forgotten when the program ends.
    pub fn in_memory() -> Store {
        Store { rows: Vec::new(), backing: Backing::Memory }
    }

    /// Opens a file that ends in .csv or .json, or makes it with its folder.
    ///
    /// All its points must be of the networks `files`: others are from another sweep, or from networks that have changed since.
    pub fn open(path: &Path, networks: &[&NetworkFile]) -> Result<Store, GenError> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let backing = match extension {
            Some("csv") => Backing::Csv(path.to_owned()),
            Some("json") => Backing::Json(path.to_owned()),
            _ => {
                let allowed = "a name that ends in .csv or .json".to_owned();
                return Err(GenError::Option {
                    option: "sweep file",
                    found: path.display().to_string(),
                    allowed,
                });
            }
        };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(files::at(path)(error)),
        };
        let rows = match &backing {
            _ if bytes.is_empty() => Vec::new(),
            Backing::Csv(path) => read_csv(path, bytes)?,
            Backing::Json(_) | Backing::Memory => serde_json::from_slice(&bytes)
                .map_err(|error| foreign(path, format!("it is not an array of points: {error}")))?,
        };
        let store = Store { rows, backing };
        store.check_networks(path, networks)?;
        if store.rows.is_empty() {
            store.write_all()?;
        }
        Ok(store)
    }

    fn check_networks(&self, path: &Path, networks: &[&NetworkFile]) -> Result<(), GenError> {
        let unknown = |row: &&Row| networks.iter().all(|file| file.hash != row.hash);
        let Some(row) = self.rows.iter().find(unknown) else { return Ok(()) };
        let named: Vec<String> =
            networks.iter().map(|file| format!("`{}` {}", file.network.name, file.hash)).collect();
        let reason = format!(
            "it has a point of network `{}` {}, allowed: {}",
            row.network,
            row.hash,
            named.join(", ")
        );
        Err(foreign(path, reason))
    }

    /// The results of a point, if they are known.
    pub fn find(&self, point: &Row) -> Option<&Row> {
        self.rows.iter().find(|row| row.same_point(point))
    }

    /// Adds a point; it is in the file when this returns.
    pub fn add(&mut self, row: Row) -> Result<(), GenError> {
        self.rows.push(row);
        match &self.backing {
            Backing::Memory => Ok(()),
            Backing::Json(_) => self.write_all(),
            Backing::Csv(path) => {
                let line = csv_text(&self.rows[self.rows.len() - 1..], false);
                let mut file = OpenOptions::new().append(true).open(path).map_err(files::at(path))?;
                file.write_all(&line).and_then(|()| file.sync_data()).map_err(files::at(path))
            }
        }
    }

    fn write_all(&self) -> Result<(), GenError> {
        let (path, text) = match &self.backing {
            Backing::Memory => return Ok(()),
            Backing::Csv(path) => (path, csv_header()),
            Backing::Json(path) => {
                let text = serde_json::to_string_pretty(&self.rows).expect("points have no maps");
                (path, (text + "\n").into_bytes())
            }
        };
        files::write_one(path, &text)
    }
}

fn foreign(path: &Path, reason: String) -> GenError {
    GenError::Foreign { path: path.to_owned(), reason }
}

/// Names of the columns, in order.
fn columns() -> Vec<String> {
    let header = csv_header();
    String::from_utf8_lossy(&header).trim_end().split(',').map(str::to_owned).collect()
}

fn csv_header() -> Vec<u8> {
    let text = csv_text(&[Row::default()], true);
    let end = text.iter().position(|&byte| byte == b'\n').map_or(text.len(), |end| end + 1);
    text[..end].to_vec()
}

fn csv_text(rows: &[Row], header: bool) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().has_headers(header).from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).expect("points are flat and memory does not fail");
    }
    writer.into_inner().expect("memory does not fail")
}

/// Reads the points of a CSV file. A last line without an end was being written when the power went: it is cut off.
fn read_csv(path: &Path, mut bytes: Vec<u8>) -> Result<Vec<Row>, GenError> {
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let torn = whole < bytes.len();
    bytes.truncate(whole);
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let found: Vec<String> = reader
        .headers()
        .map_err(|error| foreign(path, error.to_string()))?
        .iter()
        .map(str::to_owned)
        .collect();
    if found != columns() {
        let reason = format!("its columns are {}, allowed: {}", found.join(","), columns().join(","));
        return Err(foreign(path, reason));
    }
    let rows = reader.deserialize().collect::<Result<_, _>>();
    let rows = rows.map_err(|error| foreign(path, error.to_string()))?;
    if torn {
        let file = OpenOptions::new().write(true).open(path).map_err(files::at(path))?;
        file.set_len(whole as u64).map_err(files::at(path))?;
    }
    Ok(rows)
}
