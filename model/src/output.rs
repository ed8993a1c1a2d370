//! How files are written: in full or not at all, through links, and onto devices as they are.
//!
//! A file is first written under a name of its own beside its place and then renamed, so that readers see the old file or the
//! whole new one, and a full disk leaves the old one. A symbolic link stays, and what it leads to is replaced. What is no file
//! (a device, a pipe) is written to directly.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{Error, ErrorKind, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Most links that lead from one to the next.
const MOST_LINKS: usize = 40;

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To a file, or to where one can be: no link any more.
    File(PathBuf),
    /// To what is written to as it is.
    Device(PathBuf),
}

impl Target {
    /// Follows `path` through all links.
    ///
    /// # Errors
    /// If it leads to a folder, in circles, or to where nothing can be seen.
    pub fn of(path: &Path) -> std::io::Result<Target> {
        if path.file_name().is_none() {
            return Err(Error::new(ErrorKind::InvalidInput, "this is no name of a file"));
        }
        match std::fs::metadata(path) {
            Ok(found) if found.is_file() => Ok(Target::File(std::fs::canonicalize(path)?)),
            Ok(found) if found.is_dir() => Err(ErrorKind::IsADirectory.into()),
            Ok(_) => Ok(Target::Device(path.to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Target::File(end_of_links(path)?)),
            Err(error) => Err(error),
        }
    }
}

/// The file that does not exist yet at the end of a chain of links.
fn end_of_links(path: &Path) -> std::io::Result<PathBuf> {
    let mut place = path.to_owned();
    for _ in 0..MOST_LINKS {
        match std::fs::read_link(&place) {
            Ok(next) => place = place.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(place),
        }
    }
    Err(Error::new(ErrorKind::InvalidInput, "too many symbolic links"))
}

/// The folder that a file lies in.
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Bytes on their way into a file: written, but not yet under its name. Dropped, they leave nothing.
pub struct Staged(Stage);

enum Stage {
    File { written: NamedTempFile, target: PathBuf },
    Device { device: File, bytes: Vec<u8> },
}

impl Staged {
    /// Writes `bytes` beside `path`, whose folder must exist.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn new(path: &Path, bytes: &[u8]) -> std::io::Result<Staged> {
        let target = match Target::of(path)? {
            Target::Device(device) => {
                let device = OpenOptions::new().write(true).open(device)?;
                return Ok(Staged(Stage::Device { device, bytes: bytes.to_owned() }));
            }
            Target::File(target) => target,
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".").suffix(".partial");
        let mut written = match std::fs::metadata(&target) {
            Ok(found) => {
                let written = builder.tempfile_in(folder_of(&target))?;
                written.as_file().set_permissions(found.permissions())?;
                written
            }
            Err(_) => builder.permissions(usual()).tempfile_in(folder_of(&target))?,
        };
        // Through the file, whose errors do not name the name that it has for now.
        written.as_file_mut().write_all(bytes)?;
        Ok(Staged(Stage::File { written, target }))
    }

    /// Gives the file its name, or hands a device its bytes.
    ///
    /// # Errors
    /// If that fails; a file that was there before is then still there.
    pub fn commit(self) -> std::io::Result<()> {
        match self.0 {
            Stage::File { written, target } => written.persist(target).map(drop).map_err(|error| error.error),
            Stage::Device { mut device, bytes } => device.write_all(&bytes),
        }
    }

    /// Waits until the bytes are on the disk.
    fn sync(&self) -> std::io::Result<()> {
        match &self.0 {
            Stage::File { written, .. } => written.as_file().sync_all(),
            Stage::Device { .. } => Ok(()),
        }
    }
}

/// Writes a file in full or not at all.
///
/// # Errors
/// If it cannot be written; nothing is left behind, and a file that was there before is still there.
pub fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let staged = Staged::new(path, bytes)?;
    staged.sync()?;
    staged.commit()
}

/// What a new file may be used for, less what the process' mask takes away.
fn usual() -> Permissions {
    use std::os::unix::fs::PermissionsExt;
    Permissions::from_mode(0o666)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

    fn names(folder: &Path) -> Vec<String> {
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_replaced_and_keep_their_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, b"one").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o600, 0o600);
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn links_stay_and_lead_to_the_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("there")).unwrap();
        symlink("there/file", at("link")).unwrap();
        symlink("link", at("link to link")).unwrap();
        for bytes in [b"new", b"old"] {
            write(&at("link to link"), bytes).unwrap();
            assert_eq!(std::fs::read(at("there/file")).unwrap(), bytes);
            assert!(at("link").is_symlink() && at("link to link").is_symlink());
            assert_eq!(names(&at("there")), ["file"]);
        }
        symlink("circle", at("circle")).unwrap();
        assert!(write(&at("circle"), b"x").is_err());
    }

    #[test]
    fn devices_are_written_to_and_stay() {
        write(Path::new("/dev/null"), b"x").unwrap();
        assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        let error = write(Path::new("/dev/full"), b"x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(std::fs::metadata("/dev/full").unwrap().file_type().is_char_device());
    }

    #[test]
    fn what_fails_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write(folder.path(), b"x").is_err());
        assert!(write(&folder.path().join("none/x"), b"x").is_err());
        assert!(write(Path::new(".."), b"x").is_err());
        drop(Staged::new(&folder.path().join("a"), b"x").unwrap());
        assert!(names(folder.path()).is_empty());
    }
}
