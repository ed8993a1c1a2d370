//! Where files are found, and how they are written: in full or not at all.

use crate::error::GenError;
use model::output::{self, Staged, Target};
use serde::de::DeserializeOwned;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The network that is used when none is named.
pub const NETWORK: &str = "models/fashion-mnist/net.mst";
/// The images that are used when none are named.
pub const IMAGES: &str = "models/data/fashion-mnist";
/// The training images that are used when none are named: where Debian's package dataset-fashion-mnist puts them.
pub const TRAINING_IMAGES: &str = "/usr/share/datasets/fashion-mnist";
/// The usual name of a checkpoint.
pub const CHECKPOINT: &str = "checkpoint.safetensors";

/// `place` below the current folder, one of its parents, or the workspace that this program was built from.
pub fn find(place: &str) -> Option<PathBuf> {
    let here = std::env::current_dir().unwrap_or_default();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    here.ancestors().chain(workspace).map(|folder| folder.join(place)).find(|path| path.exists())
}

/// `named`, or `place` wherever it is found.
pub fn named_or_found(
    named: Option<&Path>,
    place: &str,
    what: &'static str,
    remedy: &'static str,
) -> Result<PathBuf, GenError> {
    match named {
        Some(path) => Ok(path.to_owned()),
        None => find(place).ok_or(GenError::NotFound { what, place: place.into(), remedy }),
    }
}

/// Turns an error of the system into one that names the path.
pub fn at(path: &Path) -> impl FnOnce(std::io::Error) -> GenError {
    let path = path.to_owned();
    move |source| GenError::File { path, source }
}

/// What a command reads: how its arguments name it, and where it is.
pub type Input<'a> = (&'static str, &'a Path);

/// Largest file of options in bytes, far more than any has.
const MOST_JSON: u64 = 1 << 20;

/// What a small JSON file holds; `wanted` says which file to name instead.
pub fn json<T: DeserializeOwned>(path: &Path, wanted: &str) -> Result<T, GenError> {
    let found = std::fs::metadata(path).map_err(at(path))?;
    let refuse = |reason: String| at(path)(std::io::Error::other(format!("{reason}; {wanted}")));
    if !found.is_file() {
        return Err(refuse("it is no regular file".to_owned()));
    }
    if found.len() > MOST_JSON {
        return Err(refuse(format!("it has {} bytes, allowed: up to {MOST_JSON}", found.len())));
    }
    let bytes = std::fs::read(path).map_err(at(path))?;
    serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))
}

/// Refuses to write to `target`, which `option` names, if it is one of the files that the command reads, under whatever name: a link
/// of either kind is the same file. A file of images or labels in a folder of inputs counts as one of them.
pub fn refuse_inputs(option: &'static str, target: &Path, inputs: &[Input<'_>]) -> Result<(), GenError> {
    match inputs.iter().find_map(|(what, input)| Some((relation(target, input)?, what, input))) {
        None => Ok(()),
        Some((relation, what, input)) => Err(GenError::Option {
            option,
            found: format!("{}, which {relation} {what} {}", target.display(), input.display()),
            allowed: "a file that the command does not read; name another one".to_owned(),
        }),
    }
}

/// How a file to be written belongs to an input, if it does.
fn relation(target: &Path, input: &Path) -> Option<&'static str> {
    let (there, read) = (std::fs::metadata(target), std::fs::metadata(input));
    match (there, read) {
        (Ok(there), Ok(read)) if there.is_file() && read.is_dir() => {
            let (file, folder) = (std::fs::canonicalize(target).ok()?, std::fs::canonicalize(input).ok()?);
            (file.starts_with(folder) && images::is_data(&file)).then_some("lies in")
        }
        (Ok(there), Ok(read)) => {
            (there.is_file() && (there.dev(), there.ino()) == (read.dev(), read.ino())).then_some("is")
        }
        // A file that is to be made can be named twice.
        (Err(_), Err(_)) => (future(target)? == future(input)?).then_some("is"),
        _ => None,
    }
}

/// The full path of a file that does not exist yet.
fn future(path: &Path) -> Option<PathBuf> {
    match Target::of(path).ok()? {
        Target::File(file) => std::path::absolute(file).ok(),
        Target::Device(_) => None,
    }
}

/// Writes a file as [`output::write`] does; its folder is made if needed.
pub fn write_one(path: &Path, bytes: &[u8]) -> Result<(), GenError> {
    make_folder_of(path)?;
    output::write(path, bytes).map_err(at(path))
}

/// Makes the folder that a file is to lie in.
pub fn make_folder_of(path: &Path) -> Result<(), GenError> {
    let folder = output::folder_of(path);
    std::fs::create_dir_all(folder).map_err(at(folder))
}

/// Writes files into `folder`, which is made if needed. All are written before the first takes its name, so that a full disk or
/// a lost permission leaves what was there.
pub fn write_all(folder: &Path, files: &[(String, String)]) -> Result<(), GenError> {
    std::fs::create_dir_all(folder).map_err(at(folder))?;
    let stage = |(name, text): &(String, String)| {
        let path = folder.join(name);
        let staged = Staged::new(&path, text.as_bytes()).map_err(at(&path))?;
        Ok::<_, GenError>((path, staged))
    };
    let staged = files.iter().map(stage).collect::<Result<Vec<_>, _>>()?;
    staged.into_iter().try_for_each(|(path, staged)| staged.commit().map_err(at(&path)))
}

/// A file that another program writes, which takes its name when it is whole. Dropped before, it leaves nothing.
pub struct External {
    path: PathBuf,
    target: Target,
    /// A folder of its own beside the target, so that nothing else is written over.
    folder: TempDir,
}

impl External {
    /// Makes sure that `path` can be written; its folder is made if needed.
    pub fn new(path: &Path) -> Result<External, GenError> {
        make_folder_of(path)?;
        let target = Target::of(path).map_err(at(path))?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".").suffix(".partial");
        let folder = match &target {
            Target::File(file) => builder.tempdir_in(output::folder_of(file)),
            Target::Device(_) => builder.tempdir(),
        };
        Ok(External { path: path.to_owned(), target, folder: folder.map_err(at(path))? })
    }

    /// Where the other program writes.
    pub fn partial(&self) -> PathBuf {
        self.folder.path().join("partial")
    }

    /// Gives the file its name, or a device its bytes.
    pub fn settle(self) -> Result<(), GenError> {
        let moved = match &self.target {
            Target::File(file) => std::fs::rename(self.partial(), file),
            Target::Device(device) => std::fs::File::open(self.partial()).and_then(|mut partial| {
                std::io::copy(&mut partial, &mut std::fs::OpenOptions::new().write(true).open(device)?)?;
                Ok(())
            }),
        };
        moved.map_err(at(&self.path))
    }
}
