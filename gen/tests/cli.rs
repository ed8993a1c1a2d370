//! The command line as its users see it.

mod support;

use serde_json::Value;
use sha2::{Digest, Sha256};
use std::process::Command;
use support::{checkpoint, contents, converted, json, refuses, succeeds, text, verilator, workspace};

#[test]
fn the_same_options_give_the_same_verilog() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sizes = ["--preset", "tiny", "--lanes", "16", "--membrane-bits", "20"];
    for folder in [&one, &two, &two] {
        succeeds(&[&["verilog"], &sizes[..], &["--out", text(folder.path())]].concat());
    }
    let files = contents(one.path());
    assert_eq!(files, contents(two.path()), "also when written over itself");
    let (_, written) = files.iter().find(|(name, _)| name == "mst_core.json").expect("the sizes are written");
    let core: isa::CoreConfig = serde_json::from_slice(written).unwrap();
    assert_eq!((core.lanes, core.membrane_bits, core.bus_bits), (16, 20, 64));
}

#[test]
fn modules_of_an_earlier_core_go_and_other_files_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let generate = |preset: &str| succeeds(&["verilog", "--preset", preset, "--out", text(folder.path())]);
    generate("tiny");
    let append = |name: &str, text: &str| {
        let old = std::fs::read_to_string(path(name)).unwrap_or_default();
        std::fs::write(path(name), old + text).unwrap();
    };
    // As if earlier cores had had these modules. The user changes one, and adds two of his own to the folder and to the list.
    for name in ["gone.v", "changed.v", "unlisted.v", "listed.v"] {
        append(name, "// text\n");
    }
    let written =
        |text: &str| Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (as_left, other) = (written("// text\n"), written("// other text\n"));
    append("generated.sha256", &format!("{as_left}  gone.v\n{other}  changed.v\n{as_left}  ../outside.v\n"));
    append("mst_core.f", "listed.v\n../outside.v\n");
    generate("ecp5");
    assert!(!path("gone.v").exists(), "nobody has changed it");
    for name in ["changed.v", "unlisted.v", "listed.v"] {
        assert!(path(name).exists(), "{name}");
    }
    let mut sums = Command::new("sha256sum");
    sums.args(["--quiet", "-c", "generated.sha256"]).current_dir(folder.path());
    let checked = sums.output().expect("sha256sum starts");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let soc = workspace().join("constraints/ulx3s/mst_soc.json");
    succeeds(&["verilog", "--soc", text(&soc), "--out", text(folder.path())]);
    assert!(path("mst_soc.json").exists() && !path("mst_core.json").exists(), "sizes of the core before");
    let hidden = contents(folder.path()).into_iter().filter(|(name, _)| name.starts_with('.'));
    assert_eq!(hidden.count(), 0, "no partial files");
}

#[test]
fn the_file_list_of_every_preset_is_free_of_warnings() {
    for preset in isa::CoreConfig::PRESETS {
        let folder = tempfile::tempdir().unwrap();
        succeeds(&["verilog", "--preset", preset, "--out", text(folder.path())]);
        let mut lint = Command::new(verilator());
        lint.env_remove("VERILATOR_ROOT");
        lint.args(["--lint-only", "-Wall", "--top-module", "mst_core", "-F"]);
        let output = lint.arg(folder.path().join("mst_core.f")).output().expect("Verilator starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{preset}: {said}");
    }
}

#[test]
fn a_card_comes_with_what_litepcie_is_made_from() {
    let folder = tempfile::tempdir().unwrap();
    let sizes = |board: &str| workspace().join("constraints").join(board).join("mst_pcie.json");
    for (board, phy, name) in
        [("acorn", "seven-series", "S7PCIEPHY"), ("xcu1525", "ultrascale-plus", "USPPCIEPHY")]
    {
        let out = folder.path().join(board);
        succeeds(&["verilog", "--pcie", text(&sizes(board)), "--phy", phy, "--out", text(&out)]);
        let read = |file: &str| std::fs::read_to_string(out.join(file)).unwrap();
        assert_eq!(read("mst_pcie.json"), std::fs::read_to_string(sizes(board)).unwrap());
        let yaml = read("litepcie.yml");
        assert!(
            yaml.contains(&format!("phy: {name}\n")) && yaml.contains("phy_bar0_size: 0x20000\n"),
            "{yaml}"
        );
        assert!(read("mst_pcie.f").lines().any(|file| file == "stream_to_card.v"));
        assert!(read("mst_pcie.rdl").contains("TO_CARD_CRC @ 0x02c"));
        for foreign in ["litepcie_core.v", "mst_pcie.core"] {
            assert!(!out.join(foreign).exists(), "{foreign} is not ours to write");
        }
    }
    let wrong = folder.path().join("wrong.json");
    let narrow =
        std::fs::read_to_string(sizes("acorn")).unwrap().replace("\"bus_bits\": 128", "\"bus_bits\": 64");
    std::fs::write(&wrong, narrow).unwrap();
    let out = folder.path().join("none");
    refuses(&["verilog", "--pcie", text(&wrong), "--out", text(&out)], &["bus_bits", "64", "128"]);
    assert!(!out.exists());
}

#[test]
fn impossible_cores_are_refused_and_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("rtl");
    for (option, value, allowed) in [
        ("--lanes", "12", "8, 16, 32 or 64"),
        ("--bus-bits", "32", "64 or 128"),
        ("--address-bits", "16", "32..=64"),
        ("--membrane-bits", "33", "16..=32"),
        ("--max-fan-in", "100", "a multiple of 64"),
        ("--bias-rows", "8", "16..=1024"),
        ("--sum-rows", "5000", "16..=4096"),
    ] {
        let field = option.trim_start_matches('-').replace('-', "_");
        refuses(&["verilog", option, value, "--out", text(&out)], &[&field, value, allowed]);
    }
    for (option, value, found) in [
        (
            "--weight-rows",
            "65",
            "--weight-rows is 65, allowed: a power of two from the inputs of a pass (512",
        ),
        ("--weight-rows", "2048", "--weight-rows is 2048, allowed: a power of two"),
        (
            "--max-fan-in",
            "1024",
            "--weight-rows is 512, allowed: a power of two from the inputs of a pass (1024",
        ),
    ] {
        let words = [found, "raise `--weight-rows`, or lower `--max-fan-in`"];
        refuses(&["verilog", option, value, "--out", text(&out)], &words);
    }
    assert!(!out.exists());
}

#[test]
fn the_same_checkpoint_gives_the_same_network() {
    let (one, two) = (converted(), converted());
    assert_eq!(std::fs::read(&one.1).unwrap(), std::fs::read(&two.1).unwrap());
    assert_eq!(contents(one.0.path()).len(), 1, "no partial files");
}

#[test]
fn a_conversion_reports_what_rounding_cost() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("net.mst");
    let checkpoint = checkpoint();
    let arguments = ["convert", text(&checkpoint), "--out", text(&out), "--report"];
    let said = json(&[&arguments[..], &["--room-for", "32"]].concat());
    assert_eq!(said["precision"]["proved_for"], 32);
    let layers = said["precision"]["layers"].as_array().expect("layers are listed");
    assert_eq!(layers.len(), 45);
    for layer in layers {
        let number = |field: &str| layer[field].as_f64();
        let (context, readout) = (layer["op"] == "context", layer["op"] == "readout");
        assert_eq!(layer["terms"].is_null(), context || layer["op"] == "scores", "{layer}");
        assert_eq!(number("relative_rms").is_none(), context, "{layer}");
        assert!(
            number("relative_rms").unwrap_or(0.0) < 0.02 && number("largest").unwrap_or(0.0) < 0.02,
            "{layer}"
        );
        assert_eq!(layer["threshold"].is_null(), readout, "{layer}");
        assert_eq!(layer["integer_threshold"].is_null(), readout, "{layer}");
        assert!(
            number("sum_low") < number("sum_high") && number("sum_bits").is_some_and(|bits| bits <= 24.0)
        );
    }
    let shown = succeeds(&arguments);
    assert!(
        shown.contains("stages.0.blocks.1.attn.scores")
            && shown.contains("proven from the weights for T = 16")
    );
}

#[test]
fn networks_that_cannot_be_read_are_refused_with_their_path() {
    let (folder, net) = converted();
    let truncated = folder.path().join("truncated.mst");
    let bytes = std::fs::read(&net).unwrap();
    std::fs::write(&truncated, &bytes[..bytes.len() / 2]).unwrap();
    let missing = folder.path().join("missing.mst");
    for command in ["info", "run", "cosim", "card"] {
        refuses(&[command, text(&truncated)], &["truncated.mst"]);
        refuses(&[command, text(&missing)], &["missing.mst"]);
        refuses(&[command, text(&checkpoint())], &["checkpoint.safetensors"]);
    }
    let out = folder.path().join("out.mst");
    refuses(&["convert", text(&net), "--out", text(&out)], &["net.mst"]);
    assert!(!out.exists());
}

#[test]
fn options_out_of_range_are_refused_with_what_is_allowed() {
    let (_folder, net) = converted();
    let net = text(&net);
    for (command, time_steps) in [("run", "1 to 256"), ("cosim", "1..=64")] {
        refuses(&[command, net, "--time-steps", "0"], &["--time-steps is 0", time_steps]);
        refuses(&[command, net, "--mask", "1.5"], &["--mask is 1.5", "0 to 255/256"]);
        refuses(&[command, net, "--images", "0"], &["--images is 0", "1..=10000"]);
        refuses(&[command, net, "--images", "9", "--first", "9995"], &["--images is 9", "1..=5"]);
        refuses(&[command, net, "--first", "10000"], &["--first is 10000", "0..=9999"]);
        refuses(&[command, net, "--data", "/nowhere"], &["/nowhere"]);
    }
    refuses(&["cosim", net, "--time-steps", "100"], &["--time-steps is 100", "1..=64"]);
    refuses(&["cosim", net, "--bias-rows", "16"], &["tokens of a window", "1..=16", "--bias-rows 49"]);
    refuses(&["cosim", net, "--layers", "9..3"], &["--layers is 9..3", "0..=45"]);
    refuses(&["cosim", net, "--trace", "x.fst", "--jobs", "2"], &["--jobs is 2", "1 with --trace"]);
    refuses(&["run", net, "--float=/nowhere.safetensors"], &["/nowhere.safetensors"]);
}

#[test]
fn info_shows_the_proven_range_of_every_layer() {
    let (_folder, net) = converted();
    let said = json(&["info", text(&net)]);
    assert_eq!(said["classes"], 10);
    let layers = said["layers"].as_array().expect("layers are listed");
    assert_eq!(layers.len(), 45);
    for layer in layers {
        let (low, high) = (layer["sum_low"].as_i64().unwrap(), layer["sum_high"].as_i64().unwrap());
        assert!(low <= high && layer["sum_bits"].as_u64().unwrap() <= 24, "{layer}");
    }
    let refused = said["cores"].as_array().unwrap().iter().filter(|core| core.get("refused").is_some());
    assert_eq!(refused.count(), 0, "every preset runs the shipped network");
    assert!(succeeds(&["info", text(&net)]).contains("stages.0.blocks.1.attn.scores"));
}

#[test]
fn run_reports_accuracy_and_spikes() {
    let (_folder, net) = converted();
    let float = format!("--float={}", text(&checkpoint()));
    let said = json(&["run", text(&net), "--images", "40", "--first", "100", &float]);
    assert_eq!((said["images"].as_u64(), said["first"].as_u64()), (Some(40), Some(100)));
    let correct = said["correct"].as_f64().unwrap();
    assert_eq!(said["accuracy"].as_f64().unwrap(), correct / 40.0);
    assert!(correct >= 28.0 && said["float"]["correct"].as_u64().unwrap() >= 28, "{said}");
    assert!(said["spikes"].as_u64().unwrap() > 0 && said["images_per_second"].as_f64().unwrap() > 0.0);
    let layers = said["layers"].as_array().unwrap();
    for field in ["fired", "spikes", "synaptic_events"] {
        let total: u64 = layers.iter().map(|layer| layer[field].as_u64().unwrap()).sum();
        assert_eq!(said[field].as_u64(), Some(total), "{field}");
    }
    let confusion = said["confusion"].as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap());
    assert_eq!(confusion.map(|n| n.as_u64().unwrap()).sum::<u64>(), 40);
    let power = said["spikes"].as_f64().unwrap() / (40.0 * 8.0 * 1e-3);
    assert!((said["power"].as_f64().unwrap() / power - 1.0).abs() < 1e-9);
}

#[test]
fn energy_is_counts_times_constants_with_their_sources() {
    let (folder, net) = converted();
    let energy = |more: &[&str]| json(&[&["run", text(&net), "--images", "3"], more].concat());
    assert!(energy(&[]).get("energy").is_none());
    let (said, number) = (energy(&["--energy"]), |value: &Value| value.as_f64().unwrap());
    let found = &said["energy"];
    let operations = number(&said["synaptic_events"]) / 3.0;
    let spiking = 0.9 * operations + 4.6 * number(&found["image_products"]);
    assert!((number(&found["spiking_picojoules"]) / spiking - 1.0).abs() < 1e-12, "{found}");
    assert_eq!(number(&found["float_picojoules"]), 4.6 * number(&found["float_products"]));
    assert!(found["constants"].as_object().unwrap().values().all(|constant| constant["source"].is_string()));

    let constants = folder.path().join("constants.json");
    let option = ["--energy=tiny", "--energy-constants", text(&constants)];
    let write = |text: &str| std::fs::write(&constants, text).unwrap();
    write(
        r#"{"memory_bit": {"picojoules": 0, "source": "none"}, "register_bit": {"picojoules": 0, "source": "none"}}"#,
    );
    let moved = &energy(&option)["energy"]["moved"];
    assert_eq!(moved["core"]["lanes"], 8);
    assert_eq!(number(&moved["picojoules"]), 5.0 / 32.0 * number(&moved["block_ram_bits"]));
    assert!(
        number(&moved["memory_bits"]) > number(&found["moved"]["memory_bits"]),
        "fewer lanes read rows more often"
    );

    let refused = |text: &str, words: &[&str]| {
        write(text);
        refuses(&[&["run", net.to_str().unwrap()], &option[..]].concat(), words);
    };
    refused(
        r#"{"dram_bit": {"picojoules": 1, "source": "x"}}"#,
        &["constants.json", "dram_bit", "memory_bit"],
    );
    refused(
        r#"{"memory_bit": {"picojoules": -1, "source": "x"}}"#,
        &["--energy-constants", "-1", "memory_bit"],
    );
    refused(r#"{"memory_bit": {"picojoules": 1}}"#, &["source"]);
    refuses(&["run", text(&net), "--energy=ecp6"], &["ecp6", "ecp5"]);
    let long = energy(&["--energy", "--neuron", "if", "--time-steps", "65"]);
    assert!(long["energy"]["moved"].is_null() && long["energy"]["refused"].as_str().unwrap().contains("64"));
}

#[test]
fn masks_drop_spikes_and_seeds_decide_which() {
    let (_folder, net) = converted();
    let spikes = |more: &[&str]| {
        let said = json(&[&["run", text(&net), "--images", "4"], more].concat());
        said["spikes"].as_u64().unwrap()
    };
    let (all, masked) = (spikes(&[]), spikes(&["--mask", "0.75"]));
    assert!(masked < all, "{masked} of {all}");
    assert_eq!(masked, spikes(&["--mask", "0.75"]));
    assert_ne!(masked, spikes(&["--mask", "0.75", "--seed", "5"]));
}

#[test]
fn mask_rules_name_matrices_and_blocks() {
    let (_folder, net) = converted();
    let said = json(&[
        "run",
        text(&net),
        "--images",
        "4",
        "--mask",
        "q=0.75,stages.0.blocks.1:q=0,stages.1:fc1=0.5",
    ]);
    assert_eq!(said["mask"], "k 0, q 0..0.75, attn 0, fc1 0..0.5");
    let layers = said["layers"].as_array().unwrap();
    let layer = |name: &str| layers.iter().find(|layer| layer["layer"] == name).unwrap();
    for (name, mask) in [
        ("stages.0.blocks.0.attn.q", 0.75),
        ("stages.0.blocks.1.attn.q", 0.0),
        ("stages.0.blocks.0.mlp.fc1", 0.0),
        ("stages.1.blocks.0.mlp.fc1", 0.5),
    ] {
        let (fired, sent) =
            (&layer(name)["fired"].as_u64().unwrap(), &layer(name)["spikes"].as_u64().unwrap());
        assert_eq!(layer(name)["mask"], mask);
        assert!(if mask > 0.0 { sent < fired } else { sent == fired }, "{name}: {sent} of {fired}");
    }
    for command in ["run", "cosim", "info"] {
        let refuse = |rules: &str, words: &[&str]| refuses(&[command, text(&net), "--mask", rules], words);
        refuse("v=0.5", &["`v=0.5`", "k, q, attn, fc1"]);
        refuse("q=often", &["`q=often`", "`often`", "0 to 255/256"]);
        refuse(
            "stages.9:0.5",
            &["layer `stages.9`", "stages.0.blocks.0, stages.0.blocks.1, stages.1.blocks.0"],
        );
    }
}

#[test]
fn held_out_images_are_the_last_of_the_training_files() {
    let (folder, net) = converted();
    // Labels as in the test set, so that images and labels stay together.
    let data = workspace().join("models/data/fashion-mnist");
    for kind in ["images-idx3", "labels-idx1"] {
        let name = |part: &str| format!("{part}-{kind}-ubyte.gz");
        std::fs::copy(data.join(name("t10k")), folder.path().join(name("train"))).unwrap();
    }
    let data = ["--data", text(folder.path())];
    let run = |more: &[&str]| json(&[&["run", text(&net)], &data[..], more].concat());
    let held_out = run(&["--part", "held-out", "--images", "30"]);
    let test = json(&["run", text(&net), "--first", "5000", "--images", "30"]);
    assert_eq!((&held_out["part"], &test["part"]), (&"held-out".into(), &"test".into()));
    assert_eq!(held_out["confusion"], test["confusion"]);
    assert_eq!(held_out["spikes"], test["spikes"]);
    let refuse =
        |more: &[&str], words: &[&str]| refuses(&[&["run", text(&net)], &data[..], more].concat(), words);
    refuse(&["--part", "train", "--images", "5001"], &["--images is 5001", "1..=5000"]);
    refuse(&["--part", "test"], &["part test", "t10k", "train-images"]);
    refuse(&[], &["training images alone", "--part train"]);
}

#[test]
fn spikes_of_every_layer_are_written() {
    let (folder, net) = converted();
    let out = folder.path().join("spikes/two.safetensors");
    let arguments = [text(&net), "--images", "2", "--first", "7"];
    let said = json(&[&["spikes", "--out", text(&out)], &arguments[..]].concat());
    let run = json(&[&["run"], &arguments[..]].concat());
    assert_eq!(said["spikes"], run["spikes"]);
    let bytes = std::fs::read(&out).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.len(), 45);
    // The readout does not spike.
    for layer in run["layers"].as_array().unwrap().iter().filter(|layer| layer["layer"] != "head") {
        let plane = file.tensor(layer["layer"].as_str().unwrap()).unwrap();
        let spikes: u64 = plane.data().iter().map(|byte| u64::from(byte.count_ones())).sum();
        assert_eq!((plane.shape()[0], Some(spikes)), (2, layer["spikes"].as_u64()), "{layer}");
    }
    assert_eq!(file.tensor("logits").unwrap().shape(), [2, 10]);
    assert_eq!(contents(out.parent().unwrap()).len(), 1, "no partial files");
}

#[test]
fn slow_cosim_agrees_and_accounts_for_its_cycles() {
    let (folder, net) = converted();
    let trace = folder.path().join("waves/one.fst");
    let said = json(&["cosim", text(&net), "--preset", "tiny", "--images", "2", "--per-layer"]);
    assert_eq!((said["images"].as_u64(), said["mismatches"].as_u64()), (Some(2), Some(0)), "{said}");
    let number = |field: &str| said[field].as_u64().unwrap_or_else(|| panic!("no {field} in {said}"));
    assert!(number("events") > 0 && number("cycles") >= number("busy_cycles"));
    assert!(number("needed_cycles") <= number("busy_cycles"));
    let useful = number("needed_cycles") as f64 / number("busy_cycles") as f64;
    assert!((said["useful"].as_f64().unwrap() - useful).abs() < 1e-12);
    for cause in ["weights", "inputs", "fire", "output", "order", "switch"] {
        number(&format!("stall_{cause}"));
    }
    let sum = |rows: &str| -> u64 {
        let rows = said[rows].as_array().expect("rows");
        rows.iter().map(|row| row["events"].as_u64().unwrap()).sum()
    };
    assert_eq!(
        (sum("layers"), sum("operations"), sum("results")),
        (number("events"), number("events"), number("events"))
    );

    let table = succeeds(&[
        "cosim",
        text(&net),
        "--preset",
        "tiny",
        "--images",
        "1",
        "--stalls",
        "3",
        "--mask",
        "0.5",
        "--trace",
        text(&trace),
    ]);
    assert!(table.contains("identical"), "{table}");
    assert!(std::fs::metadata(&trace).unwrap().len() > 1000);
    assert_eq!(contents(trace.parent().unwrap()).len(), 1, "no partial files");
}
