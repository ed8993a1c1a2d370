//! The file of a sweep: every point is in it as soon as it is known, and what is in it is not measured again.
//!
//! A CSV file has one line a point and only grows. A JSON file is one array, written anew under another name after every point,
//! so that it is whole at any time.

use super::point::{NetworkFile, Row};
use crate::error::GenError;
use crate::files;
use model::output::Target;
use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Known points, and where new ones go.
pub struct Store {
    rows: Vec<Row>,
    backing: Backing,
    /// Held as long as points can be added.
    _lock: Option<Lock>,
}

enum Backing {
    Memory,
    Csv(PathBuf),
    Json(PathBuf),
}

impl Store {
    /// Points that are forgotten when the program ends.
    pub fn in_memory() -> Store {
        Store { rows: Vec::new(), backing: Backing::Memory, _lock: None }
    }

    /// Opens a file that ends in .csv or .json, or makes it with its folder.
    ///
    /// All its points must be of the networks `files`: others are from another sweep, or from networks that have changed since. A file
    /// that is refused stays as it is, and so does one that another process adds points to.
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
        let lock = Lock::of(path)?;
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(files::at(path)(error)),
        };
        let (rows, end) = match &backing {
            _ if bytes.is_empty() => (Vec::new(), End::Whole),
            Backing::Csv(path) => read_csv(path, &bytes)?,
            Backing::Json(_) | Backing::Memory => {
                let rows = serde_json::from_slice(&bytes);
                let not_points = |error| foreign(path, format!("it is not an array of points: {error}"));
                (rows.map_err(not_points)?, End::Whole)
            }
        };
        let store = Store { rows, backing, _lock: Some(lock) };
        store.check_networks(path, networks)?;
        if store.rows.is_empty() {
            store.write_all()?;
        } else {
            end.mend(path).map_err(files::at(path))?;
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

/// How a CSV file ends.
enum End {
    /// With a line.
    Whole,
    /// With a line whose end is missing: an editor took it away.
    Unended,
    /// With a part of a line, from this byte on: it was being written when the power went.
    Torn(usize),
}

impl End {
    /// Makes the file end with a whole line.
    fn mend(&self, path: &Path) -> std::io::Result<()> {
        match self {
            End::Whole => Ok(()),
            End::Unended => OpenOptions::new().append(true).open(path)?.write_all(b"\n"),
            End::Torn(whole) => OpenOptions::new().write(true).open(path)?.set_len(*whole as u64),
        }
    }
}

/// Reads the points of a CSV file. A last line without an end counts if it is a point whose results agree with each other, which a
/// part of one does not.
fn read_csv(path: &Path, bytes: &[u8]) -> Result<(Vec<Row>, End), GenError> {
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let mut reader = csv::Reader::from_reader(&bytes[..whole]);
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
    let rows = reader.deserialize().collect::<Result<Vec<Row>, _>>();
    let mut rows = rows.map_err(|error| foreign(path, error.to_string()))?;
    if whole == bytes.len() {
        return Ok((rows, End::Whole));
    }
    let mut last = csv::ReaderBuilder::new().has_headers(false).from_reader(&bytes[whole..]);
    match last.deserialize::<Row>().next() {
        Some(Ok(row)) if row.agrees() => {
            rows.push(row);
            Ok((rows, End::Unended))
        }
        _ => Ok((rows, End::Torn(whole))),
    }
}

/// The right to add points to a file: a lock on `.NAME.lock` beside it, which is there as long as it is held.
struct Lock {
    path: PathBuf,
    _held: File,
}

impl Lock {
    /// Takes the lock, or refuses at once if another process has it.
    fn of(points: &Path) -> Result<Lock, GenError> {
        files::make_folder_of(points)?;
        let target = match Target::of(points).map_err(files::at(points))? {
            Target::File(file) | Target::Device(file) => file,
        };
        let mut name = OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(".lock");
        let path = target.with_file_name(name);
        loop {
            let held = File::options().create(true).truncate(false).write(true).open(&path);
            let held = held.map_err(files::at(&path))?;
            match held.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(GenError::Locked { path: points.to_owned(), lock: path });
                }
                Err(TryLockError::Error(error)) => return Err(files::at(&path)(error)),
            }
            // Who had it before may have removed the file since it was opened here.
            let same = |there: Metadata, own: Metadata| (there.dev(), there.ino()) == (own.dev(), own.ino());
            if std::fs::metadata(&path).is_ok_and(|there| held.metadata().is_ok_and(|own| same(there, own))) {
                return Ok(Lock { path, _held: held });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before the lock goes; where that fails, the file is in nobody's way.
        let _ = std::fs::remove_file(&self.path);
    }
}
