//! The `mst` program on a pseudo-terminal, with the pins of a Verilated `mst_soc` at its other end.

use compile::ProgramOptions;
use isa::program::Planes;
use isa::{CoreConfig, SocConfig};
use model::{Network, RunOptions};
use rustix::fs::OFlags;
use rustix::pty::{self, OpenptFlags};
use rustix::termios::{self, OptionalActions};
use sim::SocPins;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

fn config() -> SocConfig {
    let core = CoreConfig::preset("tiny").unwrap();
    SocConfig { core, memory_bytes: 304 << 10, clock_hz: 1_000_000, baud: 250_000 }
}

/// A simulated board: its serial port and the thread that moves its pins.
struct Board {
    path: String,
    /// Held open, or the other end would find the line hung up between two programs.
    port: File,
    stop: Arc<AtomicBool>,
    pins: Option<JoinHandle<()>>,
}

/// Both ends of a pseudo-terminal: the chip's, the name of the host's, and the host's held open. Neither is inherited by the programs
/// that other tests start meanwhile.
fn terminal() -> (File, String, File) {
    let chip_end = pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    pty::grantpt(&chip_end).unwrap();
    pty::unlockpt(&chip_end).unwrap();
    let path = pty::ptsname(&chip_end, Vec::new()).unwrap().into_string().unwrap();
    let held = File::options().read(true).write(true).open(&path).unwrap();
    let mut settings = termios::tcgetattr(&held).unwrap();
    settings.make_raw();
    termios::tcsetattr(&held, OptionalActions::Now, &settings).unwrap();
    rustix::fs::fcntl_setfl(&chip_end, OFlags::NONBLOCK).unwrap();
    (File::from(chip_end), path, held)
}

impl Board {
    /// The smallest core, with memory for the shipped network and four clock cycles a bit.
    fn new() -> Board {
        let config = config();
        let (mut chip_end, path, port) = terminal();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let pins = std::thread::spawn(move || {
            let soc = hdl::shell::mst_soc(&config).unwrap();
            let mut pins = SocPins::new(&soc, &config, None).unwrap();
            pins.serve(&mut chip_end, &stopped).unwrap();
        });
        Board { path, port, stop, pins: Some(pins) }
    }

    fn mst(&self, arguments: &[&str]) -> Output {
        let link = format!("serial:{}@250000", self.path);
        // The simulation is slower than a board; the machine may be busy.
        let patience = ["--timeout", "60", "--deadline", "300"];
        mst(&[&["--link", &link], &patience[..], arguments].concat())
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let pins = self.pins.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            pins.unwrap().unwrap();
        }
    }
}

fn mst(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mst"));
    command.env_remove("MST_LINK").current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    command.args(arguments).output().unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn slow_real_images_are_classified_through_the_pins() {
    let mut board = Board::new();
    let info = json(&board.mst(&["--json", "info"]));
    assert_eq!((&info["core"]["lanes"], &info["memory_bytes"]), (&8.into(), &(304 << 10).into()));

    // What another program left on the line: half a command and noise.
    board.port.write_all(&[1, 200, 0x10, 0, 0, 0, 1, 2, 3]).unwrap();
    let report = json(&board.mst(&["--json", "infer", "0", "7"]));
    assert_eq!((&report["images"], &report["differ"]), (&2.into(), &0.into()), "{report}");
    for answer in report["answers"].as_array().unwrap() {
        assert_eq!((&answer["identical"], &answer["label"]), (&true.into(), &answer["class"]));
    }

    board.port.write_all(&[0xff; 40]).unwrap();
    let report = json(&board.mst(&["--json", "selftest", "--images", "1"]));
    assert_eq!((&report["memory_bytes"], &report["images"]), (&(304 << 10).into(), &1.into()));
}

#[test]
fn slow_litex_own_client_reads_and_writes_registers_and_memory() {
    let board = Board::new();
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("csr.csv");
    std::fs::write(&csv, isa::soc::csr_csv(&config())).unwrap();
    let python = sim::verilated::tools().join("litex-venv/bin/python");
    let mut client = Command::new(&python);
    client
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/litex_client.py"))
        .args([&board.path, "250000"])
        .arg(&csv);
    let output = client
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask setup litex`", python.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "MSTS, MST1, 311296 bytes\n");
}

#[test]
fn a_port_that_nothing_answers_on_is_an_error_that_says_what_to_check() {
    let (_silent, path, _held) = terminal();
    let link = format!("serial:{path}");
    let output = mst(&["--link", &link, "--timeout", "0.05", "info"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in [path.as_str(), "0 of 4 bytes", "baud rate 1000000"] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}

#[test]
fn a_port_that_is_none_and_a_missing_link_are_refused() {
    for (arguments, part) in [
        (&["--link", "serial:/nowhere/tty", "info"][..], "/nowhere/tty"),
        (&["info"][..], "--link serial:PATH"),
        (&["--link", "sim:huge", "info"][..], "tiny, ecp5, pcie"),
    ] {
        let output = mst(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}

#[test]
fn a_program_is_loaded_as_it_was_compiled_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (path, damaged) = (folder.path().join("net.mstp"), folder.path().join("damaged.mstp"));
    let network = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/fashion-mnist/net.mst");
    let network = Network::load(Path::new(network)).unwrap().configure(&RunOptions::new(8)).unwrap();
    let options = ProgramOptions { memory_size: config().memory_bytes.into(), planes: Planes::Reuse };
    let mut bytes = compile::compile(&network, &config().core, &options).unwrap().to_bytes().unwrap();
    std::fs::write(&path, &bytes).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&damaged, &bytes).unwrap();
    for (arguments, part) in [
        (vec!["load", path.to_str().unwrap(), "--time-steps", "4"], "leave `--time-steps` out"),
        (vec!["load", damaged.to_str().unwrap()], "damaged"),
        // Whole, so only the link is missing.
        (vec!["load", path.to_str().unwrap()], "--link"),
    ] {
        let output = mst(&arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}
