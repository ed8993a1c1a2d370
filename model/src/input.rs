//! Reading files: regular ones and nothing else, for a named pipe or a device could keep its reader waiting for ever.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// Opens a regular file.
///
/// # Errors
/// If it is something else, or cannot be opened.
pub fn open(path: &Path) -> Result<File> {
    let what = path.metadata()?;
    if !what.is_file() {
        let found = if what.is_dir() { "a folder" } else { "a pipe, a device or a socket" };
        let reason = format!("{found}, allowed: a regular file; name one, or save the content to one");
        return Err(Error::new(ErrorKind::InvalidInput, reason));
    }
    File::open(path)
}

/// The bytes of a regular file.
///
/// # Errors
/// As [`open`], or if it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for (path, found) in
            [(&*pipe, "a pipe"), (Path::new("/dev/zero"), "a device"), (folder.path(), "a folder")]
        {
            let error = read(path).unwrap_err().to_string();
            assert!(error.contains(found) && error.contains("a regular file"), "{error}");
        }
        let file = folder.path().join("file");
        std::fs::write(&file, "read").unwrap();
        assert_eq!(read(&file).unwrap(), b"read");
    }
}
