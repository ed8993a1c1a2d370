//! What must come from the system: a compiler, Python, and two libraries for waves.

use crate::error::XtaskError;
use crate::steps;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

/// Something that a Debian package provides.
pub struct Package {
    /// Name of the package.
    pub name: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// How its presence is seen.
    pub probe: Probe,
}

/// How a package's presence is seen.
pub enum Probe {
    /// The program starts with these arguments.
    Program(&'static [&'static str]),
    /// The C++ compiler finds the header.
    Header(&'static str),
}

/// What compiled simulations need.
pub const SIMULATION: [Package; 4] = [
    Package { name: "g++", purpose: "compiles simulations", probe: Probe::Program(&["g++", "--version"]) },
    Package { name: "make", purpose: "compiles simulations", probe: Probe::Program(&["make", "--version"]) },
    Package {
        name: "perl",
        purpose: "Verilator is started by it",
        probe: Probe::Program(&["perl", "-e", "1"]),
    },
    PYTHON,
];

/// What fetches tools.
pub const PYTHON: Package = Package {
    name: "python3-venv",
    purpose: "fetches tools",
    probe: Probe::Program(&["python3", "-c", "import venv, ensurepip"]),
};

/// What cocotb needs, a simulation that runs Python inside, and what the packaging script for Vivado is checked with.
pub const OTHER_PROJECTS: [Package; 3] = [
    PYTHON,
    Package {
        name: "libpython3-dev",
        purpose: "Python inside simulations",
        probe: Probe::Program(&["python3", "-c", FIND_LIBPYTHON]),
    },
    Package {
        name: "tcl",
        purpose: "checks the packaging script for Vivado",
        probe: Probe::Program(&["sh", "-c", "echo exit | tclsh"]),
    },
];

/// Fails unless Python's shared library can be loaded from where it was installed or where the system looks.
const FIND_LIBPYTHON: &str = "import ctypes, os, sysconfig
folder, name = sysconfig.get_config_vars('LIBDIR', 'INSTSONAME')
path = os.path.join(folder, name)
ctypes.CDLL(path if os.path.exists(path) else name)";

/// A second opinion on the Verilog.
pub const SECOND_OPINION: [Package; 1] = [Package {
    name: "iverilog",
    purpose: "a second lint and simulator beside Verilator",
    probe: Probe::Program(&["iverilog", "-V"]),
}];

/// What waves need in addition.
pub const WAVES: [Package; 2] = [
    Package { name: "zlib1g-dev", purpose: "waves (FST)", probe: Probe::Header("zlib.h") },
    Package { name: "liblz4-dev", purpose: "waves (FST)", probe: Probe::Header("lz4.h") },
];

/// Makes sure that the packages are there, installing them if this runs as root on Debian.
pub fn require(packages: &[Package]) -> Result<(), XtaskError> {
    let absent = missing(packages);
    if absent.is_empty() {
        return Ok(());
    }
    let installed = root_on_debian() && install(&absent)?;
    let absent = if installed { missing(packages) } else { absent };
    if absent.is_empty() {
        return Ok(());
    }
    let list = |text: fn(&Package) -> String| absent.iter().map(|&p| text(p)).collect::<Vec<_>>();
    Err(XtaskError::Packages {
        missing: list(|p| format!("{} ({})", p.name, p.purpose)).join(", "),
        command: format!("apt-get install {}", list(|p| p.name.to_owned()).join(" ")),
    })
}

fn missing(packages: &[Package]) -> Vec<&Package> {
    packages.iter().filter(|package| !present(&package.probe)).collect()
}

fn present(probe: &Probe) -> bool {
    match probe {
        Probe::Program([program, arguments @ ..]) => {
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        }
        Probe::Program([]) => true,
        Probe::Header(header) => finds_header(header).unwrap_or(false),
    }
}

fn finds_header(header: &str) -> std::io::Result<bool> {
    let mut command = Command::new("g++");
    command.args(["-fsyntax-only", "-x", "c++", "-"]);
    let mut compiler = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    if let Some(mut source) = compiler.stdin.take() {
        writeln!(source, "#include <{header}>")?;
    }
    Ok(compiler.wait()?.success())
}

fn root_on_debian() -> bool {
    let root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    root && present(&Probe::Program(&["apt-get", "--version"]))
}

/// Whether the package manager installed them.
fn install(packages: &[&Package]) -> Result<bool, XtaskError> {
    let names: Vec<&str> = packages.iter().map(|package| package.name).collect();
    let spinner = steps::spinner(format!("installing {}", names.join(" ")));
    let mut ok = true;
    for arguments in [vec!["update"], [&["install", "-y", "--no-install-recommends"], &names[..]].concat()] {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-q").args(arguments);
        // An outdated list may still name a version that can be had.
        ok = steps::quiet(command)?.status.success();
    }
    spinner.finish_and_clear();
    Ok(ok)
}
