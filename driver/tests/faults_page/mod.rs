//! The words of `docs/faults.md`, which tests compare with what the driver says.

/// Checks that the page has a row for each fault with its words, times left out, and prints all rows if not.
pub fn expect_rows(rows: &[(&str, String)]) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/faults.md");
    let page = std::fs::read_to_string(path).unwrap();
    let row = |(fault, words): &(&str, String)| format!("| {fault} | `` {} `` |", without_times(words));
    let rows: Vec<String> = rows.iter().map(row).collect();
    let missing = rows.iter().any(|row| !page.contains(row));
    assert!(!missing, "{path} should have these rows:\n{}", rows.join("\n"));
}

/// `was not over after 1.2ms: …` with dots for the time.
fn without_times(text: &str) -> String {
    let Some((before, after)) = text.split_once(" after ") else { return text.to_owned() };
    match after.split_once(": ") {
        Some((time, rest)) if time.ends_with('s') => format!("{before} after …: {rest}"),
        _ => text.to_owned(),
    }
}
