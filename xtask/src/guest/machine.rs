//! A boot of the guest: the card's server, QEMU, and what both said.

use super::debian::Debian;
use crate::error::XtaskError;
use crate::steps;
use crate::workspace::{at, root};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Name of the kernel and of the archive in the folder that QEMU sees as `/guest`.
const KERNEL: &str = "kernel";
const INITRAMFS: &str = "initramfs";
const SOCKET: &str = "card.socket";
/// How long the card may take to start; it compiles the core when it was never built.
const START: Duration = Duration::from_secs(600);
/// How long a boot may take.
const BOOT: Duration = Duration::from_secs(900);
const POLL: Duration = Duration::from_millis(100);

/// The machine.
pub struct Machine {
    system: PathBuf,
    guest: PathBuf,
}

/// What a boot left behind.
pub struct Transcript {
    console: String,
    /// What the card said.
    pub card: String,
}

impl Machine {
    /// A machine with the kernel of `debian`.
    pub fn new(debian: &Debian) -> Result<Machine, XtaskError> {
        let machine = Machine { system: debian.root(), guest: debian.guest() };
        let kernel = debian.kernel()?;
        std::fs::copy(&kernel, machine.guest.join(KERNEL)).map_err(at(&kernel))?;
        Ok(machine)
    }

    /// What the next boot starts from.
    pub fn write_initramfs(&self, archive: &[u8]) -> Result<(), XtaskError> {
        let path = self.guest.join(INITRAMFS);
        std::fs::write(&path, archive).map_err(at(&path))
    }

    /// Starts a card with `options` and boots until the guest powers off; writes `NAME.log` and `NAME.card.log` into `out`.
    pub fn boot(&self, name: &str, options: &[&str], out: &Path) -> Result<Transcript, XtaskError> {
        let socket = self.guest.join(SOCKET);
        let _ = std::fs::remove_file(&socket);
        let (console, card_log) = (out.join(format!("{name}.log")), out.join(format!("{name}.card.log")));
        let mut card = Command::new(root().join("target/release/guest"));
        card.arg("--socket").arg(&socket).args(options);
        let mut card = Running::start(card, &card_log)?;
        let started = Instant::now();
        while !socket.exists() {
            card.still_runs("the card", &card_log)?;
            within(started, START, "the card did not make its socket", &card_log)?;
        }
        let spinner = steps::spinner(format!("booting a guest with a {name} card"));
        let mut qemu = Running::start(self.qemu(), &console)?;
        let started = Instant::now();
        while qemu.ended()?.is_none() {
            within(started, BOOT, "the guest did not power off", &console)?;
        }
        spinner.finish_and_clear();
        // The card ends when QEMU hangs up; it has a moment for its last words.
        let hung_up = Instant::now();
        while card.ended()?.is_none() && hung_up.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(POLL);
        }
        let text = |path: &Path| {
            std::fs::read(path)
                .map(|bytes| String::from_utf8_lossy(&bytes).replace('\r', ""))
                .map_err(at(path))
        };
        Ok(Transcript { console: text(&console)?, card: text(&card_log)? })
    }

    fn qemu(&self) -> Command {
        let device =
            format!(r#"{{"driver":"vfio-user-pci","socket":{{"type":"unix","path":"/guest/{SOCKET}"}}}}"#);
        let mut qemu = Command::new("chroot");
        qemu.arg(&self.system).args(["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "512M"]);
        qemu.args(["-machine", "q35,memory-backend=mem"]);
        qemu.args(["-object", "memory-backend-memfd,id=mem,size=512M,share=on"]);
        qemu.args(["-device", "intel-iommu,intremap=on,caching-mode=on", "-device", &device]);
        qemu.args(["-kernel", &format!("/guest/{KERNEL}"), "-initrd", &format!("/guest/{INITRAMFS}")]);
        qemu.args(["-append", "console=ttyS0 intel_iommu=on hugepages=8 panic=-1 quiet"]);
        qemu.args(["-nographic", "-no-reboot", "-vga", "none", "-net", "none"]);
        qemu
    }
}

/// Fails when `what` has lasted longer than `limit`; else lets a moment pass.
fn within(started: Instant, limit: Duration, what: &str, log: &Path) -> Result<(), XtaskError> {
    if started.elapsed() > limit {
        return Err(XtaskError::Guest { reason: format!("{what} within {limit:?}; see {}", log.display()) });
    }
    std::thread::sleep(POLL);
    Ok(())
}

/// A process that ends with this at the latest.
struct Running(Child);

impl Running {
    fn start(mut command: Command, log: &Path) -> Result<Running, XtaskError> {
        let file = File::create(log).map_err(at(log))?;
        let errors = file.try_clone().map_err(at(log))?;
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        let program = command.get_program().display().to_string();
        let remedy = "run as root; see .tools/qemu".to_owned();
        command.spawn().map(Running).map_err(|source| XtaskError::Start { program, source, remedy })
    }

    /// Its exit code, if it has ended.
    fn ended(&mut self) -> Result<Option<i32>, XtaskError> {
        let status = self.0.try_wait().map_err(at(Path::new("a process")))?;
        Ok(status.map(|status| status.code().unwrap_or(-1)))
    }

    fn still_runs(&mut self, what: &str, log: &Path) -> Result<(), XtaskError> {
        match self.ended()? {
            None => Ok(()),
            Some(code) => Err(XtaskError::Guest {
                reason: format!("{what} ended with exit code {code}; see {}", log.display()),
            }),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing to do about one that cannot be ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Transcript {
    /// What `mst` said to a command, and its exit code.
    fn answer(&self, command: &str) -> Option<(&str, &str)> {
        let begin = format!("<<< mst {command}\n");
        let rest = &self.console[self.console.find(&begin)? + begin.len()..];
        let (text, rest) = rest.split_once(">>> ")?;
        Some((text, rest.lines().next()?.trim()))
    }

    fn missing(&self, command: &str) -> XtaskError {
        let last = self.console.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing");
        XtaskError::Guest {
            reason: format!("`mst {command}` did not end in the guest; its last words: {last}"),
        }
    }

    /// Checks the exit code of a command.
    pub fn expect_code(&self, command: &str, expected: u8) -> Result<(), XtaskError> {
        let (text, code) = self.answer(command).ok_or_else(|| self.missing(command))?;
        if code == expected.to_string() {
            return Ok(());
        }
        let last = text.trim().lines().last().unwrap_or("nothing");
        let reason = format!("`mst {command}` ended with {code}, expected {expected}; it said: {last}");
        Err(XtaskError::Guest { reason })
    }

    /// Checks that a command said `expected`.
    pub fn expect_text(&self, command: &str, expected: &str) -> Result<(), XtaskError> {
        let (text, _) = self.answer(command).ok_or_else(|| self.missing(command))?;
        if text.contains(expected) {
            return Ok(());
        }
        let reason = format!("`mst {command}` did not say `{expected}`, but: {}", text.trim());
        Err(XtaskError::Guest { reason })
    }

    /// The JSON document that a command printed.
    pub fn json(&self, command: &str) -> Result<serde_json::Value, XtaskError> {
        let (text, _) = self.answer(command).ok_or_else(|| self.missing(command))?;
        let document = text.find('{').map_or("", |begin| &text[begin..]);
        serde_json::from_str(document).map_err(|error| XtaskError::Guest {
            reason: format!("`mst {command}` printed no JSON document: {error}"),
        })
    }
}
