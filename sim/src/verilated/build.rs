//! Compiles a module with Verilator into a shared library, once for each distinct source.

use super::{Input, ModelError, Ports, shim, tools};
use hdl::rtl::{Module, RtlError, VerilogFile};
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

/// Options of every Verilator run: all warnings are errors.
const VERILATOR: [&str; 7] = ["--cc", "-O3", "--x-assign", "fast", "-Wall", "--output-split", "4000"];
/// What follows them for a netlist: who wrote it cares neither for widths nor for names, so only errors count.
const LENIENT: [&str; 3] = ["-Wno-lint", "-Wno-style", "-Wno-fatal"];
/// For a design with modules that are not ours: connected ports that a model lacks pass, too.
const FOREIGN: [&str; 4] = [LENIENT[0], LENIENT[1], LENIENT[2], "-Wno-PINNOTFOUND"];
/// Optimisation of the C++: what runs every cycle, what runs at the start, the runtime.
const MAKE: [&str; 3] = ["OPT_FAST=-O2", "OPT_SLOW=-O0", "OPT_GLOBAL=-O2"];
/// What the name of a build's folder ends with until the build is done.
const PARTIAL: &str = ".partial";
/// Lines of a tool's output that an error repeats.
const OUTPUT_LINES: usize = 60;

/// Whether a model can write waves. Tracing makes a model larger and slower, so it is a build of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tracing {
    /// No waves.
    #[default]
    None,
    /// Waves in an FST file.
    Fst,
}

/// Why a module could not be compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The module cannot be written as Verilog.
    #[error(transparent)]
    Rtl(#[from] RtlError),
    /// Verilator is not installed.
    #[error("no verilator-venv with Verilator in {}; run `cargo xtask setup`, or set MST_TOOLS to the tools' folder", looked_in.display())]
    NoVerilator {
        /// The folder searched.
        looked_in: PathBuf,
    },
    /// Make cannot work with a folder's name.
    #[error(
        "{what} {} has a character that make cannot have in a path (a space, `$` or `#`); set {variable} to a folder without one",
        path.display()
    )]
    Unmakeable {
        /// Which folder.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// The environment variable that names another.
        variable: &'static str,
    },
    /// A tool could not be started.
    #[error("`{program}` cannot be started: {source}; Verilator needs perl, make and g++")]
    Start {
        /// The program.
        program: String,
        /// What the system reported.
        source: std::io::Error,
    },
    /// A tool reported an error.
    #[error("module `{module}`: `{program}` failed in {}:\n{output}", folder.display())]
    Tool {
        /// The module.
        module: String,
        /// The program.
        program: String,
        /// The folder with sources and intermediate files, kept to look at.
        folder: PathBuf,
        /// The end of what it wrote.
        output: String,
    },
    /// A file of the cache could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system reported.
        source: std::io::Error,
    },
}

pub(crate) fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> BuildError {
    let path = path.to_owned();
    move |source| BuildError::File { path, source }
}

/// Waits for the lock file at `path`, which is held until the file is closed.
pub(crate) fn lock(path: &Path) -> Result<File, BuildError> {
    let file = File::create(path).map_err(file_error(path))?;
    file.lock().map_err(file_error(path))?;
    Ok(file)
}

/// Refuses a folder that make cannot build in or include from.
fn makeable(what: &'static str, path: &Path, variable: &'static str) -> Result<(), BuildError> {
    let foreign = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'$' | b'#');
    match path.as_os_str().as_bytes().iter().any(foreign) {
        true => Err(BuildError::Unmakeable { what, path: path.to_owned(), variable }),
        false => Ok(()),
    }
}

fn remove_folder(folder: &Path) -> Result<(), BuildError> {
    if folder.exists() { std::fs::remove_dir_all(folder).map_err(file_error(folder)) } else { Ok(()) }
}

/// Removes the folders of builds that were killed: those whose lock nobody holds.
fn remove_abandoned(cache: &Path) {
    let entries = std::fs::read_dir(cache).into_iter().flatten().flatten();
    for work in entries.map(|entry| entry.path()) {
        let Some(key) = work.file_name().and_then(OsStr::to_str).and_then(|name| name.strip_suffix(PARTIAL))
        else {
            continue;
        };
        // A build that is under way holds its lock, this one's own among them. The lock is held until the folder has gone.
        let Ok(lock) = File::create(cache.join(format!("{key}.lock"))) else { continue };
        if lock.try_lock().is_ok() {
            // What cannot be removed is in nobody's way.
            let _ = std::fs::remove_dir_all(&work);
        }
    }
}

/// A hash that is the same in every process: FNV-1a with 128 bits.
struct Key(u128);

impl Key {
    fn new() -> Key {
        Key(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    /// Adds a text; its length separates it from its neighbours.
    fn add(&mut self, text: &str) {
        for &byte in (text.len() as u64).to_le_bytes().iter().chain(text.as_bytes()) {
            self.0 = (self.0 ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }

    fn text(&self) -> String {
        format!("{:032x}", self.0)
    }
}

/// A compiled module: a shared library and its ports.
#[derive(Clone, Debug)]
pub struct Verilated {
    pub(super) library: PathBuf,
    pub(super) inputs: Ports,
    pub(super) outputs: Ports,
    pub(super) tracing: Tracing,
    pub(super) straps: Vec<(Input, u64)>,
}

impl Verilated {
    /// Compiles `module`, or finds it in the cache (`mst-sim` in the target folder). Processes that need the same model at the same
    /// time build it once: the others wait.
    ///
    /// # Errors
    /// If Verilator is missing, the design has a warning, or the C++ compiler fails; the message has the tool's output.
    pub fn build(module: &Rc<Module>, tracing: Tracing) -> Result<Verilated, BuildError> {
        Verilated::build_edited(module, tracing, |_| ())
    }

    /// Compiles `module` like [`build`](Verilated::build), after `edit` has changed its Verilog: to plant errors that tests must find.
    /// The ports have to stay as they are.
    ///
    /// # Errors
    /// Those of `build`; the tools see the changed text.
    pub fn build_edited(
        module: &Rc<Module>,
        tracing: Tracing,
        edit: impl FnOnce(&mut [VerilogFile]),
    ) -> Result<Verilated, BuildError> {
        let mut files = hdl::rtl::emit(module)?;
        edit(&mut files);
        Verilated::build_files(module, files, &[], tracing, &[])
    }

    /// Compiles what a synthesis tool has made of `module`: its ports, and `straps` (name and width), further inputs that
    /// [`strapped`](Verilated::strapped) sets.
    ///
    /// # Errors
    /// Those of `build`, except that warnings pass.
    pub fn build_netlist(
        module: &Rc<Module>,
        files: Vec<VerilogFile>,
        straps: &[(&str, u32)],
    ) -> Result<Verilated, BuildError> {
        Verilated::build_files(module, files, straps, Tracing::None, &LENIENT)
    }

    /// Compiles `files` in which not everything is ours; `top` only declares the ports of the one at the top.
    ///
    /// # Errors
    /// Those of `build`, except that warnings pass.
    pub fn build_foreign(
        top: &Rc<Module>,
        files: Vec<VerilogFile>,
        tracing: Tracing,
    ) -> Result<Verilated, BuildError> {
        Verilated::build_files(top, files, &[], tracing, &FOREIGN)
    }

    fn build_files(
        module: &Rc<Module>,
        files: Vec<VerilogFile>,
        straps: &[(&str, u32)],
        tracing: Tracing,
        lint: &'static [&'static str],
    ) -> Result<Verilated, BuildError> {
        let (mut inputs, mut outputs) = (Ports::default(), Ports::default());
        if module.uses_reset() {
            inputs.push("rst", 1);
        }
        for port in module.inputs() {
            inputs.push(&port.name, port.width);
        }
        for (name, width) in straps {
            inputs.push(name, *width);
        }
        for port in module.outputs() {
            outputs.push(&port.name, port.width);
        }
        let recipe = Recipe {
            top: module.name().to_owned(),
            shim: shim::text(module.name(), module.uses_clock(), &inputs, &outputs, tracing),
            verilator: tools::verilator()?,
            files,
            tracing,
            lint,
        };
        let library = recipe.library()?;
        Ok(Verilated { library, inputs, outputs, tracing, straps: Vec::new() })
    }

    /// The same model with the input `name` at `value` from power-up on, until it is set.
    ///
    /// # Errors
    /// [`ModelError::NoPort`].
    pub fn strapped(mut self, name: &str, value: u64) -> Result<Verilated, ModelError> {
        self.straps.push((Input(self.inputs.find("input", name)?), value));
        Ok(self)
    }

    /// The shared library; the Verilog that it was made from lies beside it.
    pub fn library(&self) -> &Path {
        &self.library
    }
}

/// Everything that a library is made from.
struct Recipe {
    top: String,
    files: Vec<VerilogFile>,
    shim: String,
    verilator: PathBuf,
    tracing: Tracing,
    lint: &'static [&'static str],
}

impl Recipe {
    /// A name for everything that decides what the library does.
    fn key(&self) -> String {
        let mut key = Key::new();
        VERILATOR.iter().chain(self.lint).chain(&MAKE).for_each(|option| key.add(option));
        self.files.iter().flat_map(|f| [&f.name, &f.text]).for_each(|text| key.add(text));
        key.add(&self.shim);
        key.add(&self.verilator.to_string_lossy());
        format!("{}-{}", self.top, key.text())
    }

    fn library(&self) -> Result<PathBuf, BuildError> {
        let cache = tools::cache();
        makeable("the target folder", &cache, "CARGO_TARGET_DIR")?;
        makeable("Verilator", &self.verilator, "MST_TOOLS")?;
        std::fs::create_dir_all(&cache).map_err(file_error(&cache))?;
        let key = self.key();
        let folder = cache.join(&key);
        let library = folder.join("model.so");
        if library.is_file() {
            return Ok(library);
        }
        let _lock = lock(&cache.join(format!("{key}.lock")))?;
        // Another process may have built it while this one waited for the lock.
        if !library.is_file() {
            self.build(&cache, &key, &folder)?;
        }
        Ok(library)
    }

    /// Builds in a folder of its own, which the lock of `key` protects, and moves the result to its place in one step.
    fn build(&self, cache: &Path, key: &str, folder: &Path) -> Result<(), BuildError> {
        remove_abandoned(cache);
        let work = cache.join(format!("{key}{PARTIAL}"));
        remove_folder(&work)?;
        match self.build_in(&work) {
            Ok(()) => {
                // Left behind by a build that was cut short.
                remove_folder(folder)?;
                std::fs::rename(&work, folder).map_err(file_error(folder))
            }
            Err(error) => Err(self.keep_failed(error, &work, &cache.join(format!("{key}.failed")))),
        }
    }

    /// Puts a build that a tool refused where it can be looked at until the same is built again.
    fn keep_failed(&self, error: BuildError, work: &Path, kept: &Path) -> BuildError {
        let BuildError::Tool { module, program, output, .. } = error else { return error };
        let moved = remove_folder(kept).is_ok() && std::fs::rename(work, kept).is_ok();
        let folder = if moved { kept } else { work }.to_owned();
        BuildError::Tool { module, program, folder, output }
    }

    fn build_in(&self, work: &Path) -> Result<(), BuildError> {
        let objects = work.join("objects");
        std::fs::create_dir_all(&objects).map_err(file_error(&objects))?;
        let write = |name: &str, text: &str| {
            let path = work.join(name);
            std::fs::write(&path, text).map_err(file_error(&path))
        };
        for file in &self.files {
            write(&file.name, &file.text)?;
        }
        write("shim.cpp", &self.shim)?;
        self.verilate(work)?;
        self.compile(work)?;
        std::fs::remove_dir_all(&objects).map_err(file_error(&objects))
    }

    fn verilate(&self, work: &Path) -> Result<(), BuildError> {
        let mut command = Command::new(&self.verilator);
        command.args(VERILATOR).args(self.lint).args([
            "--Mdir",
            "objects",
            "--top-module",
            &self.top,
            "-CFLAGS",
            "-fPIC",
        ]);
        if self.tracing == Tracing::Fst {
            command.args(["--trace-fst"]);
        }
        command.args(self.files.iter().map(|file| &file.name)).arg("shim.cpp");
        self.run(command, "verilator", work)
    }

    fn compile(&self, work: &Path) -> Result<(), BuildError> {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let makefile = format!("V{}.mk", self.top);
        let make = |target: &str| {
            let mut make = Command::new("make");
            make.args(["-C", "objects", "-f", &makefile, &format!("-j{jobs}"), target]).args(MAKE);
            self.run(make, "make", work)
        };
        let model = format!("libV{}.a", self.top);
        make(&model)?;
        let runtime = self.runtime(work, || make("libverilated.a"))?;

        let mut link = Command::new("g++");
        link.args(["-shared", "-o", "model.so", "-Wl,--whole-archive"]).arg(format!("objects/{model}"));
        link.arg("-Wl,--no-whole-archive").arg(runtime).arg("-pthread");
        if self.tracing == Tracing::Fst {
            link.args(["-lz", "-llz4"]);
        }
        self.run(link, "g++", work)
    }

    /// Verilator's runtime, the same for all models: `make` compiles it in `work` if it is not in the cache.
    fn runtime(
        &self,
        work: &Path,
        make: impl FnOnce() -> Result<(), BuildError>,
    ) -> Result<PathBuf, BuildError> {
        let mut key = Key::new();
        VERILATOR.iter().chain(&MAKE).for_each(|option| key.add(option));
        key.add(&self.verilator.to_string_lossy());
        let name = format!("runtime-{:?}-{}", self.tracing, key.text()).to_lowercase();
        let cache = tools::cache();
        let archive = cache.join(format!("{name}.a"));
        if archive.is_file() {
            return Ok(archive);
        }
        let _lock = lock(&cache.join(format!("{name}.lock")))?;
        if !archive.is_file() {
            make()?;
            let built = work.join("objects/libverilated.a");
            std::fs::rename(&built, &archive).map_err(file_error(&archive))?;
        }
        Ok(archive)
    }

    fn run(&self, mut command: Command, program: &str, work: &Path) -> Result<(), BuildError> {
        // Verilator finds its own root; one from elsewhere would mix two versions.
        command.current_dir(work).env_remove("VERILATOR_ROOT").env_remove("MAKEFLAGS");
        let output =
            command.output().map_err(|source| BuildError::Start { program: program.to_owned(), source })?;
        if output.status.success() {
            return Ok(());
        }
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let shown = &lines[lines.len().saturating_sub(OUTPUT_LINES)..];
        Err(BuildError::Tool {
            module: self.top.clone(),
            program: program.to_owned(),
            folder: work.to_owned(),
            output: shown.join("\n"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_killed_builds_go_and_others_stay() {
        let cache = tempfile::tempdir().unwrap();
        let at = |name: &str| cache.path().join(name);
        for folder in ["killed.partial", "unlocked.partial", "running.partial", "done", "refused.failed"] {
            std::fs::create_dir(at(folder)).unwrap();
            std::fs::write(at(folder).join("objects"), "x").unwrap();
        }
        std::fs::write(at("killed.lock"), "").unwrap();
        let running = lock(&at("running.lock")).unwrap();
        remove_abandoned(cache.path());
        let there = |name: &str| at(name).exists();
        assert!(!there("killed.partial") && !there("unlocked.partial"));
        assert!(there("running.partial") && there("done") && there("refused.failed"));
        drop(running);
        remove_abandoned(cache.path());
        assert!(!there("running.partial"));
    }

    #[test]
    fn paths_that_make_cannot_use_are_refused_with_the_variable() {
        for path in ["/a b/target", "/a$b", "/a#b", "/a\tb"] {
            let error =
                makeable("the target folder", Path::new(path), "CARGO_TARGET_DIR").unwrap_err().to_string();
            assert!(error.contains(path) && error.contains("set CARGO_TARGET_DIR"), "{error}");
        }
        makeable("the target folder", Path::new("/a-b/c_d.e/\u{e9}"), "CARGO_TARGET_DIR").unwrap();
    }
}
