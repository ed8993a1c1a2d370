//! Pages that show what the generator writes, kept in step with it: `MST_UPDATE_DOCS=1 cargo test -p gen --test pages` rewrites them.

mod support;

use std::path::Path;
use support::{succeeds, text, workspace};

/// The page in `docs` or at the root is `expected`, or becomes it.
fn in_step(page: &str, expected: &str) {
    let path = workspace().join(page);
    if std::env::var_os("MST_UPDATE_DOCS").is_some() {
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{page} differs from what is generated: MST_UPDATE_DOCS=1 cargo test -p gen --test pages"
    );
}

fn verilog(options: &[&str], out: &Path) -> String {
    succeeds(&[&["verilog"], options, &["--out", text(out)]].concat())
}

#[test]
fn the_page_of_ports_is_in_step() {
    let folder = tempfile::tempdir().unwrap();
    let (soc, card) = ("constraints/ulx3s/mst_soc.json", "constraints/acorn/mst_pcie.json");
    let (soc_path, card_path) = (workspace().join(soc), workspace().join(card));
    let mut page = "# Ports\n\n`gen verilog` writes the table of what it generates as `mst_core_ports.md` beside the Verilog; these are those of three designs. A test \
                    keeps them in step.\n"
        .to_owned();
    for (top, options) in [
        ("mst_core", ["--preset", "ecp5"]),
        ("mst_soc", ["--soc", text(&soc_path)]),
        ("mst_pcie", ["--pcie", text(&card_path)]),
    ] {
        let out = folder.path().join(top);
        verilog(&options, &out);
        let table = std::fs::read_to_string(out.join(format!("{top}_ports.md"))).unwrap();
        let table = table.strip_prefix("# Ports of ").unwrap().replacen(
            "Generated beside the Verilog, with",
            "With",
            1,
        );
        page += &format!("\n## {table}");
    }
    in_step("docs/ports.md", &page);
}

#[test]
fn the_run_that_the_readme_shows_is_todays() {
    let folder = tempfile::tempdir().unwrap();
    let said = verilog(&["--preset", "ecp5"], folder.path()).replace(text(folder.path()), "out/verilog/ecp5");
    let path = workspace().join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let start = readme.find("== generate: ").and_then(|at| Some(at + readme[at..].find('\n')? + 1)).unwrap();
    let end = start + readme[start..].find("== cosimulate: ").unwrap();
    in_step("README.md", &format!("{}{said}{}", &readme[..start], &readme[end..]));
}
