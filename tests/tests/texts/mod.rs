//! Every text that a user reads: the string literals and help comments of the sources, and the documents.

use std::path::{Path, PathBuf};

/// A text and the file that it is from.
pub struct Text {
    pub place: String,
    pub text: String,
}

pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Names (from the workspace's root) and contents of the files with this ending, but for what is built or generated.
pub fn files(ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![workspace()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder can be read").flatten() {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap_or_default());
            if path.is_dir() && !name.starts_with('.') && !matches!(name.as_str(), "target" | "out" | "cases")
            {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                let place = path.strip_prefix(workspace()).expect("below it").display().to_string();
                found.push((place, std::fs::read_to_string(&path).expect("texts are UTF-8")));
            }
        }
    }
    found.sort();
    found
}

pub fn rust_files() -> Vec<(String, String)> {
    files("rs")
}

/// Literals and help comments of what is not only for tests.
pub fn sources() -> Vec<Text> {
    shipped(|source| literals(source).into_iter().chain(comments(source)).collect())
}

/// Literals alone, of what is not only for tests.
pub fn messages() -> Vec<Text> {
    shipped(literals)
}

fn shipped(of: fn(&str) -> Vec<String>) -> Vec<Text> {
    let shipped = |place: &str| {
        let (of, rest) = place.split_once('/').unwrap_or_default();
        rest.starts_with("src/") && !matches!(of, "tests")
    };
    let mut texts = Vec::new();
    for (place, source) in rust_files().into_iter().filter(|(place, _)| shipped(place)) {
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        texts.extend(of(source).into_iter().map(|text| Text { place: place.clone(), text }));
    }
    texts
}

/// The documents, one text each.
pub fn documents() -> Vec<Text> {
    files("md").into_iter().map(|(place, text)| Text { place, text }).collect()
}

/// Documentation comments, each run of lines as one text.
fn comments(source: &str) -> Vec<String> {
    let mut runs = vec![String::new()];
    for line in source.lines().map(str::trim_start) {
        match line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) {
            Some(text) => {
                let run = runs.last_mut().expect("there is always one");
                run.push_str(text.strip_prefix(' ').unwrap_or(text));
                run.push('\n');
            }
            None if runs.last().is_some_and(|run| !run.is_empty()) => runs.push(String::new()),
            None => {}
        }
    }
    runs
}

/// String literals as the compiler reads them, but for escapes of single characters other than line breaks.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let (before, from) = rest.split_at(at);
        rest = if from.starts_with("//") {
            from.find('\n').map_or("", |end| &from[end..])
        } else if let Some(body) = from.strip_prefix('"') {
            let hashes = before.len() - before.trim_end_matches('#').len();
            let raw = before.trim_end_matches('#').ends_with(['r']);
            let (text, after) = if raw { raw_literal(body, hashes) } else { literal(body) };
            found.push(text);
            after
        } else if let Some(character) = from.strip_prefix('\'') {
            // A quote or an escape as a character; a lifetime has no end.
            let escaped = usize::from(character.starts_with('\\'));
            let end = character.char_indices().nth(1 + escaped).filter(|&(_, c)| c == '\'');
            end.map_or(character, |(end, _)| &character[end + 1..])
        } else {
            &from[1..]
        };
    }
    found
}

fn raw_literal(body: &str, hashes: usize) -> (String, &str) {
    let end = format!("\"{}", "#".repeat(hashes));
    let (text, after) = body.split_once(&end).unwrap_or((body, ""));
    (text.to_owned(), after)
}

fn literal(body: &str) -> (String, &str) {
    let mut text = String::new();
    let mut characters = body.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (text, &body[at + 1..]),
            '\\' => match characters.next() {
                Some((_, 'n')) => text.push('\n'),
                // The line goes on where the next one's text begins.
                Some((at, '\n')) => {
                    let skip = body[at + 1..].len() - body[at + 1..].trim_start().len();
                    for _ in 0..body[at + 1..][..skip].chars().count() {
                        characters.next();
                    }
                }
                Some((_, escaped)) => text.push(escaped),
                None => {}
            },
            other => text.push(other),
        }
    }
    (text, "")
}

#[test]
fn literals_are_found_as_the_compiler_reads_them() {
    let source = "let a = \"one\\n two \\\n        lines\"; // \"no\"\nlet b = ('\"', '\\'', r#\"raw \"text\"\"#); fn f<'a>() { \"x\" }";
    assert_eq!(literals(source), ["one\n two lines", "raw \"text\"", "x"]);
}
