//! `cargo xtask bench peers`: the reference beside SpikingJelly.

use crate::error::XtaskError;
use crate::packages::{self, PYTHON};
use crate::setup::run;
use crate::steps::{capture, spinner, step};
use crate::workspace::{at, cargo, root, tools};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The environment, in the folder of tools.
const ENVIRONMENT: &str = "peers-venv";
/// The environment of training, whose PyTorch is used if it is there.
const TRAINING: &str = "train-venv";
/// What to compare with, and what that needs.
const REQUIREMENTS: [&str; 2] = ["train/peers-requirements.txt", "train/requirements.txt"];
const REMEDY: &str = "check that pip reaches its package index (pip config list), then run it again";

/// Measures and prints.
pub fn peers(as_json: bool) -> Result<(), XtaskError> {
    let python = environment()?;
    let mut build = cargo();
    build.args(["build", "--release", "--package", "gen"]);
    step("build", build)?;
    let model = root().join("models/fashion-mnist");
    let mut measure = Command::new(python);
    measure.arg(root().join("train/peers.py"));
    measure.arg(model.join("checkpoint.safetensors")).arg(model.join("net.mst"));
    measure.arg("--gen").arg(target().join("release/gen"));
    measure.arg("--data").arg(root().join("models/data/fashion-mnist"));
    let said = capture("reference and SpikingJelly, round by round", measure)?;
    let report: Value = serde_json::from_slice(&said).unwrap_or_default();
    if as_json {
        println!("{report:#}");
        return Ok(());
    }
    let number = |path: &str| {
        let value = report.pointer(path).and_then(Value::as_f64);
        value.ok_or_else(|| XtaskError::Report { program: "train/peers.py", field: path.to_owned() })
    };
    println!("on {}, T = {}:", report["cpu"].as_str().unwrap_or("?"), number("/time_steps")?);
    println!("reference, two_phase {:>10.1} images/s", number("/ours_images_per_s")?);
    println!("reference, if        {:>10.1} images/s", number("/ours_if_images_per_s")?);
    println!("SpikingJelly, if     {:>10.1} images/s", number("/spikingjelly_images_per_s")?);
    println!(
        "ratio                {:>10.1}, {:.1} by processor time",
        number("/ratio")?,
        number("/ratio_by_processor_time")?
    );
    println!(
        "ratio, same neuron   {:>10.1}, {:.1} by processor time",
        number("/ratio_same_neuron")?,
        number("/ratio_same_neuron_by_processor_time")?
    );
    Ok(())
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Python of the environment, which is made if it is not there in the right version.
fn environment() -> Result<PathBuf, XtaskError> {
    let folder = tools().join(ENVIRONMENT);
    let (python, stamp) = (folder.join("bin/python"), folder.join("requirements.stamp"));
    let [peers, training] = REQUIREMENTS.map(|file| root().join(file));
    let wanted = std::fs::read_to_string(&peers).map_err(at(&peers))?;
    if std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) && python.exists() {
        return Ok(python);
    }
    packages::require(&[PYTHON])?;
    let spinner = spinner(format!("installing {}", peers.display()));
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(at(&folder))?;
    }
    let trained = tools().join(TRAINING);
    let base = trained.join("bin/python");
    let from = if base.exists() { base } else { PathBuf::from("python3") };
    let mut venv = Command::new(from);
    venv.args(["-m", "venv"]).arg(&folder);
    run(&folder, "the environment of peers", venv, "install a Python of 3.11 or newer with venv")?;
    if trained.exists() {
        borrow(&trained, &folder)?;
    } else {
        let mut pip = pip(&python);
        pip.arg("-r").arg(&training);
        run(&folder, "PyTorch", pip, REMEDY)?;
    }
    let mut pip = pip(&python);
    pip.args(["--no-deps", "-r"]).arg(&peers);
    run(&folder, "SpikingJelly", pip, REMEDY)?;
    spinner.finish_and_clear();
    std::fs::write(&stamp, wanted).map_err(at(&stamp))?;
    Ok(python)
}

fn pip(python: &Path) -> Command {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input"]);
    pip
}

/// Lets the environment see the packages of training's: PyTorch takes gigabytes.
fn borrow(from: &Path, to: &Path) -> Result<(), XtaskError> {
    let libraries = from.join("lib");
    let versions = std::fs::read_dir(&libraries).map_err(at(&libraries))?.flatten();
    for version in versions {
        let site = version.path().join("site-packages");
        let own = to.join("lib").join(version.file_name()).join("site-packages");
        if site.exists() && own.exists() {
            let path = own.join("train-venv.pth");
            std::fs::write(&path, format!("{}\n", site.display())).map_err(at(&path))?;
        }
    }
    Ok(())
}
