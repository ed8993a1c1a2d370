//! The documents: links lead somewhere, registers and ports that are named exist.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Every Markdown file that belongs to the project, as git knows them.
fn pages() -> Vec<PathBuf> {
    let mut git = Command::new("git");
    git.current_dir(root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]);
    let output = git.output().expect("git starts");
    let names = String::from_utf8(output.stdout).unwrap();
    let pages: Vec<PathBuf> =
        names.split('\0').filter(|name| !name.is_empty()).map(|name| root().join(name)).collect();
    assert!(pages.len() > 10, "{pages:?}");
    pages.into_iter().filter(|page| page.exists()).collect()
}

/// The lines of a page outside of code blocks, code in a line blanked out.
fn prose(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced && !line.starts_with("    ") {
            let parts = line.split('`').enumerate();
            lines.push(parts.map(|(i, part)| if i % 2 == 0 { part } else { "" }).collect());
        }
    }
    lines
}

/// Where the links of a page lead.
fn links(text: &str) -> Vec<String> {
    let lines = prose(text);
    let targets = lines.iter().flat_map(|line| line.split("](").skip(1));
    targets.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The anchors of a page, as GitHub makes them of headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let (mut fenced, mut anchors, mut seen) = (false, BTreeSet::new(), HashMap::new());
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let title = line.trim_start_matches('#');
        if fenced || title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let kept = title.trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let number = seen.entry(anchor.clone()).and_modify(|n| *n += 1).or_insert(0);
        anchors.insert(if *number == 0 { anchor } else { format!("{anchor}-{number}") });
    }
    anchors
}

/// Why a link of `page` leads nowhere, if it does.
fn broken(page: &Path, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let target = if file.is_empty() { page.to_owned() } else { page.parent()?.join(file) };
    if !target.exists() {
        return Some(format!("{}: no {file}", page.display()));
    }
    let anchor = anchor?;
    let text = std::fs::read_to_string(&target).unwrap_or_default();
    (!anchors(&text).contains(anchor))
        .then(|| format!("{}: no #{anchor} in {}", page.display(), target.display()))
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let (mut count, mut wrong) = (0, Vec::new());
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let links = links(&text);
        count += links.len();
        wrong.extend(links.iter().filter_map(|link| broken(&page, link)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 40, "only {count} links found");
}

#[test]
fn the_check_of_links_finds_what_is_broken() {
    let page = root().join("README.md");
    let text = "# A [b](docs/isa.md), `[no](nowhere.md)`\n```\n[no](nowhere.md)\n```\n[c](docs/nowhere.md) [d](#a-b-docsisamd)";
    assert_eq!(links(text), ["docs/isa.md", "docs/nowhere.md", "#a-b-docsisamd"]);
    assert!(broken(&page, "docs/isa.md#error-codes").is_none());
    assert!(broken(&page, "https://example.org/nowhere").is_none());
    for wrong in ["docs/nowhere.md", "docs/isa.md#nowhere", "#nowhere"] {
        assert!(broken(&page, wrong).is_some(), "{wrong}");
    }
    let titles = "# `mst` is a crate of its own\n## Same\n## Same\n```\n# no title\n```\n";
    assert_eq!(
        anchors(titles).into_iter().collect::<Vec<_>>(),
        ["mst-is-a-crate-of-its-own", "same", "same-1"]
    );
}

/// Words of a page that stand as code and match `is`.
fn code_words(text: &str, is: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let code = text.split('`').skip(1).step_by(2);
    code.filter(|word| is(word)).map(str::to_owned).collect()
}

#[test]
fn the_bring_up_names_registers_and_ports_that_exist() {
    let text = std::fs::read_to_string(root().join("docs/bring-up.md")).unwrap();
    let in_capitals = |word: &str| {
        word.len() > 4 && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    let registers: BTreeSet<&str> = isa::registers::REGISTERS.iter().map(|register| register.name).collect();
    let named = code_words(&text, in_capitals);
    for word in named.iter().filter(|word| *word != "MST1") {
        assert!(registers.contains(word.as_str()), "no register `{word}`");
    }
    // Those without which nobody brings a core up.
    for register in [
        "IDENTITY",
        "VERSION",
        "CONFIG0",
        "CONTROL",
        "STATUS",
        "ERROR",
        "ERROR_DESCRIPTOR",
        "ERROR_ADDRESS",
        "MEMORY_BASE_LOW",
        "MEMORY_SIZE",
        "DESCRIPTOR_BASE",
        "DESCRIPTOR_COUNT",
        "INTERRUPT_ENABLE",
        "LAYERS_COMPLETED",
        "COUNT_BUSY",
    ] {
        assert!(named.contains(register), "the bring-up does not name {register}");
    }
    let core = hdl::core::mst_core(&isa::CoreConfig::preset("tiny").unwrap()).unwrap();
    let ports: BTreeSet<&str> = core.ports().iter().map(|port| port.name.as_str()).collect();
    let named = code_words(&text, |word| word.starts_with("m_axi_") || word.starts_with("s_axil_"));
    assert!(named.len() > 5);
    for port in named {
        assert!(ports.contains(port.as_str()), "no port `{port}`");
    }
    assert!(text.contains(&format!("0x{:08x}", isa::IDENTITY)));
}

#[test]
fn the_guide_for_contributors_names_files_that_exist() {
    let text = std::fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let paths = code_words(&text, |word| word.contains('/') && !word.contains(' '));
    for path in &paths {
        assert!(root().join(path).exists(), "no {path}");
    }
    assert!(paths.len() > 30, "{paths:?}");
}
