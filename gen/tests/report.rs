//! `gen report`: one well-formed page with everything in it.

mod support;

use support::{checkpoint, converted, json, refuses, succeeds, text};

/// Elements that have no end tag.
const VOID: [&str; 4] = ["meta", "img", "br", "wbr"];

/// Whether every element that begins also ends, in order; also how many of `name` there are.
fn count(html: &str, name: &str) -> usize {
    let (mut open, mut found) = (Vec::new(), 0);
    let body = html.replace("<!DOCTYPE html>", "");
    for part in body.split('<').skip(1) {
        let (tag, _) = part.split_once('>').unwrap_or_else(|| panic!("a tag that does not end: <{part}"));
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed.trim()), "</{closed}>");
            continue;
        }
        let element = tag.split([' ', '\n', '/']).next().unwrap();
        found += usize::from(element == name);
        if !tag.ends_with('/') && !VOID.contains(&element) {
            open.push(element);
        }
    }
    assert!(open.is_empty(), "not closed: {open:?}");
    found
}

#[test]
fn a_report_is_one_well_formed_page_with_every_section() {
    let (folder, net) = converted();
    std::fs::copy(checkpoint(), folder.path().join("checkpoint.safetensors")).unwrap();
    let other = folder.path().join("other.mst");
    succeeds(&["convert", text(&checkpoint()), "--out", text(&other), "--name", "<other> & \"more\""]);
    let (out, points) = (folder.path().join("pages/report.html"), folder.path().join("points.csv"));
    let run = |more: &[&str]| {
        let options = ["--images", "2", "--out", text(&out), "--sweep", text(&points)];
        json(&[&["report", text(&net)], &options[..], more].concat())
    };
    let first = run(&["--with", text(&other)]);
    assert!(first["measured"].as_u64().unwrap() > 40);
    let html = std::fs::read_to_string(&out).unwrap();
    for section in [
        "networks",
        "time-steps",
        "masks",
        "blocks",
        "comparison",
        "energy",
        "layers",
        "confusion",
        "maps",
        "distributions",
    ] {
        assert!(html.contains(&format!("<section id=\"{section}\">")), "{section}");
        assert!(html.contains(&format!("href=\"#{section}\"")), "{section}");
    }
    assert!(html.contains("&lt;other&gt; &amp; &quot;more&quot;") && !html.contains("<other>"));
    assert!(html.contains("float network"), "the checkpoint lies beside the network");
    for foreign in ["http:", "https:", "<script", "<link", "url(", "@import"] {
        assert!(!html.contains(foreign), "{foreign}: the page must need nothing else");
    }
    assert_eq!((count(&html, "section"), count(&html, "h1")), (10, 1));
    let charts = html.matches("<svg role=\"img\"").count();
    assert_eq!(charts + 2, count(&html, "figure"), "all but the maps of two images are charts");
    assert_eq!(count(&html, "img"), html.matches("alt=\"").count());

    // Everything is known now, and nothing depends on when it was measured.
    let again = run(&["--with", text(&other)]);
    assert_eq!(again["measured"], 0);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), html);
}

#[test]
fn reports_that_cannot_be_made_are_refused_and_write_nothing() {
    let (folder, net) = converted();
    let out = folder.path().join("report.html");
    let refuse = |more: &[&str], words: &[&str]| {
        refuses(&[&["report", text(&net), "--out", text(&out), "--images", "2"], more].concat(), words);
    };
    refuse(&["--clock", "0"], &["--clock", "MHz"]);
    refuse(&["--time-steps", "0"], &["--time-steps is 0"]);
    refuse(&["--time-steps", "200"], &["24", "fewer time steps"]);
    refuse(&["--with", "/nowhere.mst"], &["/nowhere.mst"]);
    refuse(&["--sweep", "points.txt"], &["points.txt", ".csv or .json"]);
    refuse(&["--float", text(&net)], &["--float is", "net.mst", "a checkpoint"]);
    let copy = folder.path().join("copy.safetensors");
    std::fs::copy(support::checkpoint(), &copy).unwrap();
    succeeds(&["convert", text(&copy), "--out", text(&net)]);
    std::fs::write(&copy, "no checkpoint").unwrap();
    refuse(&["--float"], &["--float is", "has changed", "copy.safetensors", "`gen convert`"]);
    refuse(&["--float", text(&copy)], &["copy.safetensors"]);
    assert!(!out.exists());
}

/// The page of the converted network, changed by `change`, with further options.
fn page(change: impl FnOnce(&mut model::Network), more: &[&str]) -> String {
    let (folder, net) = converted();
    let mut network = model::Network::load(&net).unwrap();
    change(&mut network);
    network.save(&net).unwrap();
    let out = folder.path().join("report.html");
    succeeds(&[&["report", text(&net), "--images", "2", "--out", text(&out)], more].concat());
    std::fs::read_to_string(&out).unwrap()
}

#[test]
fn classes_have_their_names() {
    let names =
        ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot"];
    let html = page(|network| network.class_names = names.map(str::to_owned).to_vec(), &[]);
    let confusion =
        &html[html.find("<section id=\"confusion\">").unwrap()..html.find("<section id=\"maps\">").unwrap()];
    for name in names {
        assert_eq!(confusion.matches(&format!(">{name}<")).count(), 2, "{name}: a row and a column");
    }
    assert!(html.contains("Image 0, class Boot"), "the first test image is a boot");
}

#[test]
fn the_headline_says_what_its_cycles_are() {
    let html = page(|network| network.checkpoint = None, &["--lanes", "64", "--clock", "100"]);
    let header = &html[..html.find("</header>").unwrap()];
    for words in
        ["integer accuracy", "of 2 images", "64 lanes, 128-bit bus", "at 100 MHz", "remembers no checkpoint"]
    {
        assert!(header.contains(words), "{words}: {header}");
    }
    let value = |label: &str| {
        let rest = &header[header.find(label).unwrap()..];
        let digits = &rest[rest.find("<dd>").unwrap() + 4..rest.find("</dd>").unwrap()];
        digits.replace(',', "").parse::<f64>().unwrap()
    };
    let rate = value("images a second");
    assert_eq!(rate, (100e6 / value("cycles an image")).floor());

    // What the core cannot run has no cycles, and the reason stands there.
    let html = page(|_| (), &["--bias-rows", "16"]);
    assert!(html.contains("tokens of a window") && html.contains("the core does not run it"));
}
