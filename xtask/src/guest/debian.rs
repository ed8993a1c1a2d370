//! QEMU, a kernel and BusyBox from Debian, in a folder of the tools.

use crate::error::XtaskError;
use crate::packages::{self, Package, Probe};
use crate::setup;
use crate::steps;
use crate::workspace::{at, tools};
use std::path::{Path, PathBuf};
use std::process::Command;

const MIRROR: &str = "http://deb.debian.org/debian";
const SUITE: &str = "trixie";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// What is run inside: QEMU comes from backports, for `vfio-user-pci`.
const INSTALL: &str = "mount -t proc proc /proc
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q install -y --no-install-recommends -t trixie-backports qemu-system-x86
mkdir -p /guest
cd /guest
kernel=$(apt-cache depends linux-image-amd64/trixie | grep -o 'linux-image-[0-9][^ ]*' | head -n 1)
apt-get -q download busybox-static $kernel";
/// Modules of the kernel in the order in which they are inserted.
pub const MODULES: [&str; 5] = ["irqbypass", "vfio", "vfio_iommu_type1", "vfio-pci-core", "vfio-pci"];
const NETWORK: &str = "check that deb.debian.org can be reached, then run it again";

/// What was fetched.
pub struct Debian {
    folder: PathBuf,
}

impl Debian {
    /// Fetches what is missing; about three minutes the first time.
    pub fn fetch() -> Result<Debian, XtaskError> {
        let folder = tools().join("qemu");
        let debian = Debian { folder: folder.clone() };
        let stamp = folder.join("complete");
        if stamp.exists() {
            return Ok(debian);
        }
        packages::require(&[
            Package {
                name: "debootstrap",
                purpose: "fetches QEMU and a kernel",
                probe: Probe::Program(&["debootstrap", "--version"]),
            },
            Package { name: "xz-utils", purpose: "unpacks modules", probe: Probe::Program(&["xz", "-V"]) },
        ])?;
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(at(&folder))?;
        }
        std::fs::create_dir_all(&folder).map_err(at(&folder))?;
        let spinner = steps::spinner("fetching QEMU and a kernel from Debian".to_owned());
        let mut bootstrap = Command::new("debootstrap");
        bootstrap.args(["--variant=minbase", &format!("--keyring={KEYRING}"), SUITE]);
        bootstrap.arg(debian.root()).arg(MIRROR);
        setup::run(
            &folder,
            "Debian trixie",
            bootstrap,
            "run as root; debootstrap must reach deb.debian.org",
        )?;
        let sources = debian.root().join("etc/apt/sources.list.d/backports.list");
        std::fs::write(&sources, format!("deb {MIRROR} {SUITE}-backports main\n")).map_err(at(&sources))?;
        // In a name space of its own, so that the mount ends with the command.
        let mut install = Command::new("unshare");
        install.args(["--mount", "chroot"]).arg(debian.root()).args(["sh", "-ec", INSTALL]);
        setup::run(&folder, "QEMU", install, NETWORK)?;
        for package in ["busybox-static_", "linux-image-"] {
            let file = find(&debian.guest(), package)?;
            let mut unpack = Command::new("dpkg-deb");
            unpack.arg("-x").arg(file).arg(folder.join("unpacked"));
            setup::run(&folder, package, unpack, "run it again")?;
        }
        spinner.finish_and_clear();
        std::fs::write(&stamp, "").map_err(at(&stamp))?;
        Ok(debian)
    }

    /// Root of the system that QEMU runs in.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Folder of that system that it shares with us: `/guest` inside.
    pub fn guest(&self) -> PathBuf {
        self.root().join("guest")
    }

    /// The guest's kernel.
    pub fn kernel(&self) -> Result<PathBuf, XtaskError> {
        find(&self.folder.join("unpacked/boot"), "vmlinuz-")
    }

    /// BusyBox, which needs no libraries.
    pub fn busybox(&self) -> PathBuf {
        self.folder.join("unpacked/usr/bin/busybox")
    }

    /// A module of the guest's kernel; nothing if it is built in.
    pub fn module(&self, name: &str) -> Result<Option<Vec<u8>>, XtaskError> {
        let modules = find(&self.folder.join("unpacked/usr/lib/modules"), "")?;
        let mut search = Command::new("find");
        search.arg(&modules).args(["-name", &format!("{name}.ko.xz")]);
        let found = steps::capture("find", search)?;
        let path = String::from_utf8_lossy(&found);
        if path.trim().is_empty() {
            return Ok(None);
        }
        let mut unpack = Command::new("xz");
        unpack.args(["-d", "-c", path.trim()]);
        steps::capture("xz", unpack).map(Some)
    }
}

/// The file in `folder` whose name begins with `start`.
fn find(folder: &Path, start: &str) -> Result<PathBuf, XtaskError> {
    let entries = std::fs::read_dir(folder).map_err(at(folder))?.flatten();
    let mut paths = entries.map(|entry| entry.path());
    let named =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start));
    paths.find(named).ok_or_else(|| XtaskError::Guest {
        reason: format!(
            "no {start}* in {}; remove the folder .tools/qemu and run it again",
            folder.display()
        ),
    })
}
