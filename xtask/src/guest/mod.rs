//! `cargo xtask guest`: the unmodified `mst` in a virtual machine, with a PCIe card that Rust simulates.
//!
//! QEMU emulates the machine, its IOMMU and interrupts; the card is a vfio-user device. Two boots: one with a card that works, one with a card
//! that misses its addresses, which the IOMMU must refuse and the driver report.

mod debian;
mod initramfs;
mod machine;

use crate::error::XtaskError;
use crate::setup::{self, LITEX, VERILATOR};
use crate::steps::step;
use crate::workspace::{at, cargo, root};
use clap::{Args, ValueEnum};
use debian::{Debian, MODULES};
use initramfs::Initramfs;
use machine::{Machine, Transcript};
use std::path::Path;

/// Where transcripts go.
const OUT: &str = "out/guest";
/// Images that the guest classifies.
const IMAGES: u64 = 10;
/// Where the statically linked program is built.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// What the guest brings along of the repository.
const FILES: [&str; 1] = ["models/fashion-mnist/net.mst"];
const DATA: &str = "models/data/fashion-mnist";
/// The guest is emulated and the core simulated: an answer takes its time.
const PATIENCE: &str = "--timeout 60 --deadline 300";

/// Options of `cargo xtask guest`.
#[derive(Args, Debug)]
pub struct GuestArgs {
    /// Which card.
    #[arg(long, value_enum, default_value_t = Card::Packets)]
    card: Card,
}

/// A simulated card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Card {
    /// The whole card in Verilator, with the core that LitePCIe generates: registers, DMA and MSI are PCIe packets.
    Packets,
    /// The core in Verilator behind a model of the card's registers; MSI-X.
    Registers,
}

impl Card {
    /// What the card's program calls it.
    fn name(self) -> &'static str {
        match self {
            Card::Packets => "packets",
            Card::Registers => "registers",
        }
    }

    /// The kind of its interrupts.
    fn interrupt(self) -> &'static str {
        match self {
            Card::Packets => "MSI",
            Card::Registers => "MSI-X",
        }
    }
}

/// Builds, boots, checks.
pub fn guest(args: &GuestArgs) -> Result<(), XtaskError> {
    match args.card {
        Card::Packets => setup::setup(&[&VERILATOR, &LITEX])?,
        Card::Registers => setup::setup(&[&VERILATOR])?,
    }
    let card = ["--card", args.card.name()];
    let debian = Debian::fetch()?;
    build()?;
    let out = root().join(OUT);
    std::fs::create_dir_all(&out).map_err(at(&out))?;
    let machine = Machine::new(&debian)?;

    let commands = [
        "list".to_owned(),
        format!("--link $LINK {PATIENCE} info"),
        format!("--link $LINK {PATIENCE} selftest --images 1"),
        format!("--link $LINK {PATIENCE} load"),
        format!("--link $LINK {PATIENCE} --json infer 0..{IMAGES}"),
        format!("--link $LINK {PATIENCE} bench --images 3"),
        format!("--link $LINK {PATIENCE} reset"),
        format!("--link $LINK {PATIENCE} --huge-pages info"),
        format!("--link $LINK {PATIENCE} --huge-pages infer 0"),
        format!("--link $LINK {PATIENCE} --vfio iommufd info"),
    ];
    machine.write_initramfs(&files(&debian, &init(&commands))?)?;
    let sound = machine.boot("sound", &card, &out)?;
    let (without_iommufd, others) = commands.split_last().expect("not empty");
    for command in others {
        sound.expect_code(command, 0)?;
    }
    // Debian builds its kernels without it.
    sound.expect_code(without_iommufd, 2)?;
    sound.expect_text(without_iommufd, "CONFIG_VFIO_DEVICE_CDEV")?;
    sound.expect_text(&commands[1], &format!("interrupts by {},", args.card.interrupt()))?;
    sound.expect_text(&commands[7], "pages of 2 MiB")?;
    if sound.card.contains("broken") {
        return Err(XtaskError::Guest {
            reason: "the card broke a rule of PCI Express; see out/guest/sound.card.log".to_owned(),
        });
    }
    let infer = sound.json(&commands[4])?;
    let number = |value: &serde_json::Value| value.as_u64().unwrap_or(0);
    let (images, differ) = (number(&infer["images"]), number(&infer["differ"]));
    let traffic = &infer["traffic"];
    let bytes = number(&traffic["to_card_bytes"]) + number(&traffic["to_host_bytes"]);
    let interrupts = number(&traffic["interrupts"]);
    if images != IMAGES || differ != 0 || bytes == 0 || interrupts == 0 {
        let reason = format!(
            "{images} images, {differ} differ, {bytes} bytes by DMA, {interrupts} interrupts; expected {IMAGES}, 0, some, some"
        );
        return Err(XtaskError::Guest { reason });
    }

    let load = ["--link $LINK --timeout 2 load".to_owned()];
    machine.write_initramfs(&files(&debian, &init(&load))?)?;
    let stray = machine.boot("stray", &[&card[..], &["--stray-from", "0"]].concat(), &out)?;
    stray.expect_code(&load[0], 2)?;
    stray.expect_text(&load[0], "refused by the IOMMU")?;
    expect_refusals(&stray)?;

    println!(
        "guest: {images} images, {} equal to the reference, {bytes} bytes by DMA, {interrupts} interrupts taken ({}); a stray access \
         was refused and reported; transcripts in {OUT}",
        images - differ,
        args.card.interrupt()
    );
    Ok(())
}

fn expect_refusals(stray: &Transcript) -> Result<(), XtaskError> {
    if stray.card.contains("IOMMU refuses") {
        return Ok(());
    }
    Err(XtaskError::Guest {
        reason: "the stray card was refused nothing; see out/guest/stray.card.log".to_owned(),
    })
}

fn build() -> Result<(), XtaskError> {
    let mut card = cargo();
    card.args(["build", "--release", "--package", "guest"]);
    step("build the card", card)?;
    let mut mst = cargo();
    mst.args(["build", "--release", "--package", "mst", "--target", TARGET]);
    // The guest has no libraries.
    mst.env("RUSTFLAGS", "-C target-feature=+crt-static");
    step("build mst for the guest", mst)
}

/// What the guest's first process does (errors go through a file, for on a terminal `mst` would draw its progress): finds the card, binds it as `docs/pcie-card.md` says, runs `mst` with each of `commands`.
fn init(commands: &[String]) -> String {
    let mut script = format!(
        "#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox --install -s /bin
export PATH=/bin
dmesg -n 1
for module in {}; do [ -e /modules/$module.ko ] && insmod /modules/$module.ko; done
for device in /sys/bus/pci/devices/*; do
  [ \"$(cat $device/vendor) $(cat $device/device)\" = '0x{:04x} 0x{:04x}' ] && card=${{device##*/}}
done
echo vfio-pci > /sys/bus/pci/devices/$card/driver_override
echo $card > /sys/bus/pci/drivers_probe
LINK=pcie:$card
cd /
",
        MODULES.join(" "),
        isa::pcie::VENDOR_ID,
        isa::pcie::DEVICE_ID,
    );
    for command in commands {
        script += &format!(
            "echo '<<< mst {command}'\nmst {command} 2>/tmp/errors\ncode=$?\ncat /tmp/errors\necho \">>> $code\"\n"
        );
    }
    script + "poweroff -f\n"
}

fn files(debian: &Debian, init: &str) -> Result<Vec<u8>, XtaskError> {
    let read = |path: &Path| std::fs::read(path).map_err(at(path));
    let mut archive = Initramfs::default();
    archive.file("init", init.as_bytes());
    archive.file("bin/busybox", &read(&debian.busybox())?);
    archive.file("bin/mst", &read(&root().join("target").join(TARGET).join("release/mst"))?);
    for name in MODULES {
        if let Some(module) = debian.module(name)? {
            archive.file(&format!("modules/{name}.ko"), &module);
        }
    }
    for file in FILES {
        archive.file(file, &read(&root().join(file))?);
    }
    let data = root().join(DATA);
    for entry in std::fs::read_dir(&data).map_err(at(&data))?.flatten() {
        archive.file(&format!("{DATA}/{}", entry.file_name().display()), &read(&entry.path())?);
    }
    Ok(archive.finish())
}
