//! Files of other programs, told by how they begin.

/// Formats that a file's first bytes tell.
const STARTS: [(&[u8], &str); 14] = [
    (b"\x80\x02", "a Python pickle (a PyTorch file of before version 1.6)"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
    (b"GGUF", "a GGUF file"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras, `.h5`)"),
    (b"\x93NUMPY", "a NumPy array (`.npy`)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"version https://git-lfs", "a Git LFS pointer (`git lfs pull` fetches the file itself)"),
    (b"<!", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"{\"", "JSON text"),
];

/// Members that tell whose a zip archive is.
const MEMBERS: [(&[u8], &str); 3] = [
    (b"/data.pkl", "a PyTorch file (`torch.save`: a zip archive of pickled tensors)"),
    (b".npy", "NumPy arrays (`.npz`)"),
    (b"model.weights.h5", "a Keras file"),
];

/// Bytes at each end of a file that are searched for names.
const REACH: usize = 1 << 16;

/// What a file is that is no safetensors file, if it can be told.
pub(super) fn name(bytes: &[u8]) -> Option<&'static str> {
    // A zip archive names its members at both ends.
    let ends = [&bytes[..bytes.len().min(REACH)], &bytes[bytes.len().saturating_sub(REACH)..]];
    let contains = |part: &[u8]| ends.iter().any(|end| end.windows(part.len()).any(|window| window == part));
    if bytes.starts_with(b"PK\x03\x04") {
        let member = MEMBERS.iter().find(|(part, _)| contains(part));
        return Some(member.map_or("a zip archive", |(_, name)| name));
    }
    if bytes.get(4..8) == Some(b"TFL3") {
        return Some("a TensorFlow Lite file");
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return Some("a tar archive");
    }
    STARTS.iter().find(|(start, _)| bytes.starts_with(start)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        let tar = [&[0; 257][..], b"ustar"].concat();
        let cases: [(&[u8], Option<&str>); 8] = [
            (b"PK\x03\x04........in/data.pkl", Some("PyTorch")),
            (b"PK\x03\x04........x.npy", Some("NumPy arrays")),
            (b"PK\x03\x04........x.txt", Some("zip")),
            (b"\x80\x02\x8a\nl\xfc", Some("pickle")),
            (b"....TFL3", Some("TensorFlow Lite")),
            (&tar, Some("tar")),
            (b"\x93NUMPY\x01\0", Some("NumPy")),
            (b"\x10\0\0\0\0\0\0\0{}", None),
        ];
        for (bytes, expected) in cases {
            let found = name(bytes);
            assert_eq!(found.is_some(), expected.is_some(), "{expected:?}");
            assert!(found.unwrap_or_default().contains(expected.unwrap_or_default()), "{found:?}");
        }
    }
}
