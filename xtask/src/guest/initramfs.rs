//! The archive that the guest's kernel starts from: `newc`, see `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::collections::BTreeSet;

/// An archive under construction.
#[derive(Default)]
pub struct Initramfs {
    bytes: Vec<u8>,
    folders: BTreeSet<String>,
    entries: u32,
}

impl Initramfs {
    /// Adds a file, and the folders that it lies in. `path` has no slash in front.
    pub fn file(&mut self, path: &str, content: &[u8]) {
        for (slash, _) in path.match_indices('/') {
            self.folder(&path[..slash]);
        }
        self.entry(path, 0o100_755, content);
    }

    /// Adds a folder, unless it is there.
    pub fn folder(&mut self, path: &str) {
        if self.folders.insert(path.to_owned()) {
            self.entry(path, 0o040_755, &[]);
        }
    }

    /// The whole archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let name_bytes = path.len() as u32 + 1;
        // Inode, mode, owner, group, links, time, size, device, device of a special file, length of the name, checksum.
        let numbers = [self.entries, mode, 0, 0, 1, 0, content.len() as u32, 0, 0, 0, 0, name_bytes, 0];
        self.bytes.extend(b"070701");
        for number in numbers {
            self.bytes.extend(format!("{number:08X}").bytes());
        }
        self.bytes.extend(path.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_after_its_folders_and_everything_is_aligned() {
        let mut archive = Initramfs::default();
        archive.file("a/b/c", b"hello");
        let bytes = archive.finish();
        let text = String::from_utf8_lossy(&bytes);
        let places: Vec<usize> = text.match_indices("070701").map(|(at, _)| at).collect();
        assert_eq!(places.len(), 4);
        assert!(places.iter().all(|at| at % 4 == 0));
        let name = |at: usize| text[at + 110..].split('\0').next().unwrap();
        let names: Vec<&str> = places.iter().map(|&at| name(at)).collect();
        assert_eq!(names, ["a", "a/b", "a/b/c", "TRAILER!!!"]);
        assert!(text.contains("00000005"));
    }
}
