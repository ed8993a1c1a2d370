//! The file of a sweep: every point is in it as soon as it is known, and what is in it is not measured again.
//!
//! A CSV file has one line a point and only grows. A JSON file is one array, written anew under another name after every point,
//! so that it is whole at any time.

use super::point::{NetworkFile, Row};
use crate::error::GenError;
use crate::files;
use model::output::Target;
use std::collections::HashMap;
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
                    option: "--out (of `gen report` --sweep)",
                    found: path.display().to_string(),
                    allowed,
                });
            }
        };
        let lock = Lock::of(path)?;
        let bytes = match model::input::read(path) {
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
        store.check_agreement(path)?;
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

    /// Refuses a file that gives one point two results.
    fn check_agreement(&self, path: &Path) -> Result<(), GenError> {
        let place = |index: usize| match self.backing {
            Backing::Csv(_) => format!("line {}", index + 2),
            Backing::Json(_) | Backing::Memory => format!("point {} of the array", index + 1),
        };
        let mut first: HashMap<Vec<u8>, usize> = HashMap::new();
        for (index, row) in self.rows.iter().enumerate() {
            let earlier = *first.entry(csv_text(&[row.without_results()], false)).or_insert(index);
            if self.rows[earlier] != *row {
                let places = format!("{} and {}", place(earlier), place(index));
                let reason =
                    format!("{places} are the same point with different results; remove one of them");
                return Err(GenError::Contradiction { path: path.to_owned(), reason });
            }
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::power;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static NETWORK: LazyLock<NetworkFile> = LazyLock::new(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/fashion-mnist/net.mst");
        NetworkFile::load(&path).unwrap()
    });

    /// A point whose results agree.
    fn point(time_steps: u32) -> Row {
        let (images, correct, spikes) = (300, 271, 123_457);
        Row {
            network: NETWORK.network.name.clone(),
            hash: NETWORK.hash.clone(),
            time_steps,
            neuron: "two_phase".to_owned(),
            mask: "q=0.5,k=0.25".to_owned(),
            part: "test".to_owned(),
            images,
            correct: Some(correct),
            accuracy: Some(271.0 / 300.0),
            spikes,
            power: power(spikes, images, time_steps),
            ..Row::default()
        }
    }

    /// A file of three points.
    fn points(folder: &Path, extension: &str) -> PathBuf {
        let path = folder.join(format!("points.{extension}"));
        let mut store = open(&path).unwrap();
        (1..=3).for_each(|time_steps| store.add(point(time_steps)).unwrap());
        path
    }

    fn open(path: &Path) -> Result<Store, GenError> {
        Store::open(path, &[&NETWORK])
    }

    #[test]
    fn a_last_row_counts_exactly_if_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = points(folder.path(), "csv");
        let bytes = std::fs::read(&path).unwrap();
        let second = bytes[..bytes.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
        for end in second..=bytes.len() {
            std::fs::write(&path, &bytes[..end]).unwrap();
            let store = open(&path).unwrap();
            // Without its last digits the power is another number, but for a 0 behind the point.
            let whole = store.rows.len() == 3;
            assert_eq!(whole, end >= bytes.len() - 1 || store.rows.last() == Some(&point(3)), "{end}");
            drop(store);
            let kept = std::fs::read(&path).unwrap();
            assert!(kept.ends_with(b"\n") && kept.len() >= second, "{end}");
            let mut store = open(&path).unwrap();
            store.add(point(4)).unwrap();
            assert_eq!(open_rows(store, &path), if whole { 4 } else { 3 });
        }
    }

    fn open_rows(store: Store, path: &Path) -> usize {
        drop(store);
        open(path).unwrap().rows.len()
    }

    #[test]
    fn a_point_with_two_results_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (extension, places) in
            [("csv", "line 3 and line 5"), ("json", "point 2 of the array and point 4")]
        {
            let path = points(folder.path(), extension);
            let mut store = open(&path).unwrap();
            store.add(Row { fired: 1, ..point(2) }).unwrap();
            drop(store);
            let error = open(&path).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(places) && error.contains("remove one"), "{error}");
        }
    }

    #[test]
    fn one_process_at_a_time_adds_points() {
        let folder = tempfile::tempdir().unwrap();
        for extension in ["csv", "json"] {
            let path = points(folder.path(), extension);
            let before = std::fs::read(&path).unwrap();
            let held = open(&path).unwrap();
            let link = folder.path().join(format!("link.{extension}"));
            std::os::unix::fs::symlink(&path, &link).unwrap();
            for name in [&path, &link] {
                let error = open(name).map(|_| ()).unwrap_err().to_string();
                assert!(
                    error.contains("gen sweep") && error.contains(&format!(".points.{extension}.lock")),
                    "{error}"
                );
            }
            drop(held);
            assert_eq!(open(&link).unwrap().rows.len(), 3);
            assert_eq!(std::fs::read(&path).unwrap(), before);
        }
        let left = std::fs::read_dir(folder.path()).unwrap().flatten();
        assert!(left.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().ends_with(".lock")));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn files_that_are_refused_stay_as_they_are(
            csv in any::<bool>(),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..6),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = points(folder.path(), if csv { "csv" } else { "json" });
            let mut bytes = std::fs::read(&path).unwrap();
            for (at, byte, change) in changes {
                let at = at.index(bytes.len().max(1));
                match change {
                    0 if at < bytes.len() => bytes[at] = byte,
                    1 => bytes.insert(at.min(bytes.len()), byte),
                    _ => bytes.truncate(at),
                }
            }
            std::fs::write(&path, &bytes).unwrap();
            match open(&path).map(|store| store.rows.len()) {
                Err(error) => {
                    prop_assert!(error.to_string().contains("points."), "{}", error);
                    prop_assert_eq!(std::fs::read(&path).unwrap(), bytes);
                }
                Ok(rows) => prop_assert_eq!(open(&path).unwrap().rows.len(), rows),
            }
        }
    }
}
