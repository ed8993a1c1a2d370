//! Which files of a folder, or which arrays of an archive, are those of the part that was asked for: their names say it.

use crate::error::ImageError;
use crate::options::{HELD_OUT, Part};
use std::ops::Range;
use std::path::Path;

/// What a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Test,
    Train,
}

/// The side that a name belongs to, if it says.
pub(crate) fn side(name: &str) -> Option<Side> {
    let words = words(name);
    let has = |sought: &[&str]| words.iter().any(|word| sought.contains(&word.as_str()));
    let batch = words.windows(2).any(|pair| pair == ["data", "batch"]);
    match (has(&["t10k", "test", "testing"]), has(&["train", "training"]) || batch) {
        (true, false) => Some(Side::Test),
        (false, true) => Some(Side::Train),
        _ => None,
    }
}

/// The words of a name, in small letters: between what is no letter or digit, and from each capital behind a small letter. The digits
/// that they end with, and an `x` or `y` at either end of `test` and `train` (`Xtest`), do not count.
fn words(name: &str) -> Vec<String> {
    let mut spaced = String::new();
    let mut before = ' ';
    for character in name.chars() {
        if before.is_lowercase() && character.is_uppercase() {
            spaced.push(' ');
        }
        spaced.push(if character.is_alphanumeric() { character } else { ' ' });
        before = character;
    }
    let bare = |word: &str| -> String {
        let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
        let core = word.trim_matches(['x', 'y']);
        if ["test", "train"].contains(&core) { core.to_owned() } else { word.to_owned() }
    };
    spaced.to_lowercase().split_whitespace().map(bare).collect()
}

/// What was chosen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Which of the names.
    pub indices: Vec<usize>,
    /// The part that they are; none if the source has no parts.
    pub part: Option<Part>,
}

/// The names that belong to a part; without one, those of the test images, or all if no name says what it is.
///
/// # Errors
/// If none belongs to it, or if there are training images alone and no part was named.
pub(crate) fn choose(path: &Path, names: &[String], part: Option<Part>) -> Result<Choice, ImageError> {
    let of = |wanted: Option<Side>| -> Vec<usize> {
        (0..names.len()).filter(|&index| side(&names[index]) == wanted).collect()
    };
    let (test, train) = (of(Some(Side::Test)), of(Some(Side::Train)));
    let refuse = |reason: String| Err(ImageError::file(path, reason));
    let there = || names.join(", ");
    match part {
        Some(Part::Test) if test.is_empty() => refuse(format!(
            "no images of part test: no name with `test` or `t10k`, but {}; choose another --part",
            there()
        )),
        Some(part @ (Part::Train | Part::HeldOut)) if train.is_empty() => refuse(format!(
            "no images of part {}: no name with `train`, but {}; leave --part out, or name another source with --data",
            part.name(),
            there()
        )),
        // Without training images: those that no name calls test images, else the test images.
        Some(Part::All) => {
            let indices = [train, of(None), test].into_iter().find(|indices| !indices.is_empty());
            Ok(Choice { indices: indices.unwrap_or_default(), part })
        }
        Some(Part::Test) => Ok(Choice { indices: test, part }),
        Some(Part::Train | Part::HeldOut) => Ok(Choice { indices: train, part }),
        None if !test.is_empty() => Ok(Choice { indices: test, part: Some(Part::Test) }),
        None if !train.is_empty() => refuse(format!(
            "training images alone ({}); say --part train, --part held-out or --part all",
            there()
        )),
        None => Ok(Choice { indices: of(None), part: None }),
    }
}

/// The images of a part among `count`.
///
/// # Errors
/// If there are no training images but the held-out ones.
pub(crate) fn range(path: &Path, count: usize, part: Option<Part>) -> Result<Range<usize>, ImageError> {
    let first = || {
        count.checked_sub(HELD_OUT).filter(|&first| first > 0).ok_or_else(|| {
            let reason = format!(
                "{count} training images, of which {HELD_OUT} are held out: more are needed; --part all takes them all"
            );
            ImageError::file(path, reason)
        })
    };
    match part {
        None | Some(Part::Test | Part::All) => Ok(0..count),
        Some(Part::Train) => Ok(0..first()?),
        Some(Part::HeldOut) => Ok(first()?..count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_they_are() {
        let cases = [
            ("t10k-images-idx3-ubyte.gz", Some(Side::Test)),
            ("X_TEST", Some(Side::Test)),
            ("train-images-idx3-ubyte", Some(Side::Train)),
            ("data_batch_3.bin", Some(Side::Train)),
            ("pixels", None),
            ("train_test", None),
            ("test_batch.bin", Some(Side::Test)),
            ("Xtest", Some(Side::Test)),
            ("trainImages", Some(Side::Train)),
            ("training_2", Some(Side::Train)),
            ("latest_x", None),
            ("contest", None),
            ("constraint", None),
        ];
        for (name, expected) in cases {
            assert_eq!(side(name), expected, "{name}");
        }
    }

    #[test]
    fn a_part_takes_its_names_and_no_others() {
        let path = Path::new("data");
        let names = |names: &[&str]| -> Vec<String> { names.iter().map(|&name| name.to_owned()).collect() };
        let both = names(&["x_train", "x_test", "x_val"]);
        let chosen =
            |names: &[String], part| choose(path, names, part).map(|choice| (choice.indices, choice.part));
        assert_eq!(chosen(&both, None).unwrap(), (vec![1], Some(Part::Test)));
        assert_eq!(chosen(&both, Some(Part::HeldOut)).unwrap(), (vec![0], Some(Part::HeldOut)));
        assert_eq!(chosen(&names(&["a", "b"]), None).unwrap(), (vec![0, 1], None));
        for (list, part, says) in [
            (names(&["a"]), Some(Part::Train), "--part"),
            (names(&["train"]), Some(Part::Test), "test"),
            (names(&["train"]), None, "--part train"),
        ] {
            let error = choose(path, &list, part).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        assert_eq!(range(path, 5001, Some(Part::Train)).unwrap(), 0..1);
        assert_eq!(range(path, 5001, Some(Part::HeldOut)).unwrap(), 1..5001);
        for part in [Part::Train, Part::HeldOut] {
            let error = range(path, 5000, Some(part)).unwrap_err().to_string();
            assert!(error.contains("--part all"), "{error}");
        }
        assert_eq!(range(path, 4, Some(Part::All)).unwrap(), 0..4);
        assert_eq!(chosen(&both, Some(Part::All)).unwrap(), (vec![0], Some(Part::All)));
        assert_eq!(chosen(&names(&["a"]), Some(Part::All)).unwrap(), (vec![0], Some(Part::All)));
        assert_eq!(chosen(&names(&["test"]), Some(Part::All)).unwrap(), (vec![0], Some(Part::All)));
    }
}
