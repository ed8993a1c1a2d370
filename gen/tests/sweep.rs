//! `gen sweep`: its points, and how it goes on after an interruption.

mod support;

use std::path::Path;
use support::{converted, json, refuses, succeeds, text};

/// A small grid: two numbers of time steps, two masks.
const GRID: [&str; 8] = ["--images", "3", "--time-steps", "2,4", "--mask", "0", "--mask", "q=0.5"];

fn sweep<'a>(net: &'a Path, out: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    [&["sweep", text(net), "--out", text(out)], &GRID[..], more].concat()
}

#[test]
fn a_resumed_sweep_equals_an_uninterrupted_one() {
    let (folder, net) = converted();
    for name in ["points.csv", "points.json"] {
        let whole = folder.path().join(name);
        succeeds(&sweep(&net, &whole, &[]));
        let expected = std::fs::read_to_string(&whole).unwrap();
        let again = folder.path().join(format!("again-{name}"));
        // The first two points alone, then the grid.
        succeeds(&[
            "sweep",
            text(&net),
            "--out",
            text(&again),
            "--images",
            "3",
            "--time-steps",
            "2,4",
            "--mask",
            "0",
        ]);
        let half = std::fs::read_to_string(&again).unwrap();
        assert!(half.len() < expected.len());
        let said = succeeds(&sweep(&net, &again, &[]));
        assert!(said.contains("2 points measured, 2 known before"), "{said}");
        assert_eq!(std::fs::read_to_string(&again).unwrap(), expected, "{name}");
        let said = succeeds(&sweep(&net, &again, &[]));
        assert!(said.contains("0 points measured, 4 known before"), "{said}");
        assert_eq!(std::fs::read_to_string(&again).unwrap(), expected, "{name}");
    }
}

#[test]
fn a_line_that_was_being_written_is_measured_again() {
    let (folder, net) = converted();
    let out = folder.path().join("points.csv");
    succeeds(&sweep(&net, &out, &[]));
    let expected = std::fs::read_to_string(&out).unwrap();
    std::fs::write(&out, &expected[..expected.len() - 20]).unwrap();
    succeeds(&sweep(&net, &out, &[]));
    assert_eq!(std::fs::read_to_string(&out).unwrap(), expected);
}

#[test]
fn points_are_what_run_says() {
    let (folder, net) = converted();
    let out = folder.path().join("points.csv");
    let rows = json(&sweep(&net, &out, &["--neuron", "if,two_phase", "--seed", "1,2"]));
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 16);
    let row = rows.iter().find(|row| {
        row["neuron"] == "if" && row["mask"] == "q=0.5" && row["time_steps"] == 4 && row["seed"] == 2
    });
    let options = ["--images", "3", "--time-steps", "4", "--neuron", "if", "--mask", "q=0.5", "--seed", "2"];
    let run = json(&[&["run", text(&net)], &options[..]].concat());
    for field in ["correct", "accuracy", "fired", "spikes", "synaptic_events", "power"] {
        assert_eq!(row.unwrap()[field], run[field], "{field}");
    }
}

#[test]
fn files_of_other_sweeps_are_refused_and_stay_as_they_were() {
    let (folder, net) = converted();
    let out = folder.path().join("points.csv");
    let other = folder.path().join("other.mst");
    let checkpoint = support::checkpoint();
    succeeds(&["convert", text(&checkpoint), "--out", text(&other), "--name", "other"]);
    succeeds(&sweep(&net, &out, &[]));
    let before = std::fs::read(&out).unwrap();
    refuses(&sweep(&other, &out, &[]), &["points.csv", "network `fashion-mnist`", "`other`", "another file"]);
    std::fs::write(&out, "a,b\n1,2\n").unwrap();
    refuses(&sweep(&net, &out, &[]), &["points.csv", "its columns are a,b", "time_steps,neuron"]);
    std::fs::write(&out, String::from_utf8(before).unwrap().replacen(",8,", ",x,", 1).replace(",2,", ",x,"))
        .unwrap();
    refuses(&sweep(&net, &out, &[]), &["points.csv", "invalid digit"]);
    let broken = folder.path().join("points.json");
    std::fs::write(&broken, "{}").unwrap();
    refuses(&sweep(&net, &broken, &[]), &["points.json", "not an array of points"]);
    assert_eq!(std::fs::read(&broken).unwrap(), b"{}");
    refuses(&sweep(&net, &folder.path().join("points.txt"), &[]), &["points.txt", ".csv or .json"]);
    let fresh = folder.path().join("fresh.csv");
    refuses(&sweep(&net, &fresh, &["--mask", "v=0.25"]), &["`v=0.25`", "k, q, attn, fc1"]);
    refuses(&sweep(&net, &fresh, &["--time-steps", "0"]), &["--time-steps is 0"]);
    refuses(
        &sweep(&net, &fresh, &["--time-steps", "200"]),
        &["24", "fewer time steps", "as `gen verilog` and `gen run`"],
    );
    assert!(!fresh.exists(), "nothing is written before all points are known to run");
}
