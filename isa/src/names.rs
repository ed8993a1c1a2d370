//! What a name may be: of a network, of a layer, of a class.
//!
//! Names go to terminals, into tables, file formats and mask rules, so that they are one printable line of bounded length everywhere.

use std::collections::HashSet;

/// Most characters of a name.
pub const LONGEST: usize = 128;

/// Names that no layer may have: a file of spikes has a tensor a layer, one of `logits`, and `__metadata__` is the format's own.
pub const RESERVED: [&str; 2] = ["logits", "__metadata__"];

/// Why a text is no name. The message is what [`check`] allows instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// It is empty or too long.
    #[error("1..={LONGEST} characters")]
    Length,
    /// It has a character that is not printable: a line break, a control character, one without width.
    #[error("one line of printable characters")]
    Unprintable,
    /// It begins or ends with a space.
    #[error("no space at its ends")]
    Spaces,
    /// A file of spikes gives it another meaning.
    #[error("any but `logits` and `__metadata__`, which mean something else in a file of spikes")]
    Reserved,
    /// It was there before.
    #[error("each name once")]
    Repeated,
}

/// Whether `name` can name a network, a layer or a class: 1 to [`LONGEST`] printable characters in one line, without a space at
/// either end.
///
/// # Errors
/// What is allowed instead.
pub fn check(name: &str) -> Result<(), NameFault> {
    if !(1..=LONGEST).contains(&name.chars().count()) {
        return Err(NameFault::Length);
    }
    if !printable(name) {
        return Err(NameFault::Unprintable);
    }
    if name.trim() != name {
        return Err(NameFault::Spaces);
    }
    Ok(())
}

/// Whether each of `names` is a name, and none appears twice.
///
/// # Errors
/// The index of the first that is not, and what is allowed.
pub fn check_distinct<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<(), (usize, NameFault)> {
    let mut seen = HashSet::new();
    for (index, name) in names.into_iter().enumerate() {
        check(name).map_err(|fault| (index, fault))?;
        if !seen.insert(name) {
            return Err((index, NameFault::Repeated));
        }
    }
    Ok(())
}

/// Whether each of `names` can name a layer of one network: [`check_distinct`], and none is [`RESERVED`].
///
/// # Errors
/// The index of the first that cannot, and what is allowed.
pub fn check_layers<'a>(names: impl IntoIterator<Item = &'a str> + Clone) -> Result<(), (usize, NameFault)> {
    match names.clone().into_iter().position(|name| RESERVED.contains(&name)) {
        Some(index) => Err((index, NameFault::Reserved)),
        None => check_distinct(names),
    }
}

/// A text as a message can show it: what is not printable is escaped, and what is too long is cut.
pub fn shown(text: &str) -> String {
    let cut: String = text.chars().take(LONGEST).collect();
    let mark = if cut.len() < text.len() { "…" } else { "" };
    if printable(&cut) { format!("{cut}{mark}") } else { format!("{}{mark}", cut.escape_debug()) }
}

/// A message with what would control a terminal escaped; its line breaks and tabs stay.
pub fn printable_lines(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        // Behind a letter, so that a combining mark counts as the part of a character that it is.
        if matches!(character, '\n' | '\t') || printable(&format!("a{character}")) {
            shown.push(character);
        } else {
            shown.extend(character.escape_debug());
        }
    }
    shown
}

/// Whether the standard library would show the text as it is; it escapes quotes and backslashes, too, which are printable.
fn printable(text: &str) -> bool {
    let plain = || text.chars().filter(|c| !matches!(c, '\'' | '"' | '\\'));
    let plain_text: String = plain().collect();
    plain_text.escape_debug().eq(plain())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_one_printable_line() {
        for name in [
            "q",
            "stages.0.blocks.1.attn.q",
            "T-Shirt/Top",
            "Größe 3",
            "कुत्ता",
            "犬",
            "\"it's\" \\o/",
            "<script>",
        ] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        let long = "x".repeat(LONGEST + 1);
        for (name, fault) in [
            ("", NameFault::Length),
            (long.as_str(), NameFault::Length),
            ("two\nlines", NameFault::Unprintable),
            ("\u{1b}[31mred", NameFault::Unprintable),
            ("nul\0", NameFault::Unprintable),
            ("right\u{202e}left", NameFault::Unprintable),
            ("no\u{200b}width", NameFault::Unprintable),
            ("line\u{2028}separator", NameFault::Unprintable),
            (" q", NameFault::Spaces),
            ("q ", NameFault::Spaces),
        ] {
            assert_eq!(check(name), Err(fault), "{name:?}");
        }
        assert_eq!(check(&long[1..]), Ok(()));
    }

    #[test]
    fn names_are_distinct_and_layers_leave_the_reserved_ones_alone() {
        assert_eq!(check_distinct(["a", "b", "logits"]), Ok(()));
        assert_eq!(check_distinct(["a", "b", "a"]), Err((2, NameFault::Repeated)));
        assert_eq!(check_distinct(["a", "\t"]), Err((1, NameFault::Unprintable)));
        assert_eq!(check_layers(["a", "logit", "c"]), Ok(()));
        for name in RESERVED {
            assert_eq!(check_layers(["a", name]), Err((1, NameFault::Reserved)));
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_never_controls_a_terminal(text in ".*|[\\x00-\\x1f\u{202a}-\u{202e}a]*") {
            let shown = shown(&text);
            prop_assert!(printable(&shown), "{shown:?}");
            prop_assert!(check(&text).is_err() || shown == text);
            prop_assert!(!printable_lines(&text).contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')));
        }
    }
}
