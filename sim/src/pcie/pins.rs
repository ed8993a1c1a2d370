//! The Verilated card with the hard block's interface as ports.

use super::beats::Beat;
use super::config_space::ConfigSpace;
use super::error::PcieError;
use super::litepcie::Litepcie;
use crate::verilated::{Input, Model, Output, Tracing, Verilated};
use hdl::rtl::{Module, VerilogFile, emit};
use std::path::Path;
use std::rc::Rc;

/// Module around the card.
const TOP: &str = "pcie_sim";
/// Its Verilog: hard block and primitives.
const HARD_BLOCK: &str = include_str!("hard_block.v");
/// Its ports.
const INPUTS: [(&str, u32); 13] = [
    ("clk", 1),
    ("user_reset", 1),
    ("link_up", 1),
    ("tx_ready", 1),
    ("rx_valid", 1),
    ("rx_data", 128),
    ("rx_user", 22),
    ("interrupt_ready", 1),
    ("msi_enable", 1),
    ("command", 16),
    ("device_control", 16),
    ("bus_number", 8),
    ("device_number", 5),
];
const OUTPUTS: [(&str, u32); 8] = [
    ("tx_valid", 1),
    ("tx_last", 1),
    ("tx_data", 128),
    ("tx_keep", 16),
    ("rx_ready", 1),
    ("interrupt_valid", 1),
    ("busy", 1),
    ("error", 1),
];

/// Compiles a card around LitePCIe's generated core, after `edit` has changed the Verilog of either.
pub(crate) fn build(
    card: &Rc<Module>,
    litepcie: &Litepcie,
    tracing: Tracing,
    edit: impl FnOnce(&mut [VerilogFile]),
) -> Result<Verilated, PcieError> {
    build_files(emit(card).map_err(crate::verilated::BuildError::from)?, litepcie, tracing, edit)
}

/// The same for a card that `card` is the Verilog of.
pub(crate) fn build_files(
    card: Vec<VerilogFile>,
    litepcie: &Litepcie,
    tracing: Tracing,
    edit: impl FnOnce(&mut [VerilogFile]),
) -> Result<Verilated, PcieError> {
    let top = Module::foreign(TOP, "The card in simulation.", &INPUTS, &OUTPUTS);
    let mut files = vec![VerilogFile { name: "hard_block.v".to_owned(), text: HARD_BLOCK.to_owned() }];
    files.push(litepcie.source()?);
    files.extend(card);
    edit(&mut files);
    Ok(Verilated::build_foreign(&top, files, tracing)?)
}

/// What a cycle drives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Driven {
    pub(crate) reset: bool,
    pub(crate) rx: Option<Beat>,
    pub(crate) tx_ready: bool,
    pub(crate) interrupt_ready: bool,
}

/// What the card shows in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    pub(crate) rx_ready: bool,
    /// Double words, bytes that count, whether it is the packet's last.
    pub(crate) tx: Option<([u32; 4], u16, bool)>,
    pub(crate) interrupt: bool,
}

macro_rules! ports {
    (inputs: $($input:ident),*; outputs: $($output:ident),*;) => {
        pub(crate) struct Pins {
            model: Model,
            $($input: Input,)*
            $($output: Output,)*
        }

        impl Pins {
            pub(crate) fn new(verilated: &Verilated, seed: u32, trace: Option<&Path>) -> Result<Pins, PcieError> {
                let model = Model::new(verilated, seed, trace)?;
                Ok(Pins { $($input: model.input(stringify!($input))?,)* $($output: model.output(stringify!($output))?,)* model })
            }
        }
    };
}

ports! {
    inputs: user_reset, link_up, tx_ready, rx_valid, rx_data, rx_user, interrupt_ready, msi_enable, command, device_control,
        bus_number, device_number;
    outputs: tx_valid, tx_last, tx_data, tx_keep, rx_ready, interrupt_valid, busy, error;
}

impl Pins {
    /// Shows the card what configuration says.
    pub(crate) fn configure(&mut self, config: &ConfigSpace, id: u16) {
        self.model.set(self.msi_enable, u64::from(config.msi_enabled()));
        self.model.set(self.command, config.command().into());
        self.model.set(self.device_control, config.device_control().into());
        self.model.set(self.bus_number, u64::from(id >> 8));
        self.model.set(self.device_number, u64::from(id >> 3 & 0x1f));
    }

    /// One clock cycle.
    pub(crate) fn cycle(&mut self, driven: &Driven) -> Shown {
        self.model.set(self.user_reset, u64::from(driven.reset));
        self.model.set(self.link_up, u64::from(!driven.reset));
        self.model.set(self.tx_ready, u64::from(driven.tx_ready));
        self.model.set(self.interrupt_ready, u64::from(driven.interrupt_ready));
        self.model.set(self.rx_valid, u64::from(driven.rx.is_some()));
        if let Some(beat) = driven.rx {
            let [a, b, c, d] = beat.lanes.map(u64::from);
            self.model.set_wide(self.rx_data, &[b << 32 | a, d << 32 | c]);
            self.model.set(self.rx_user, beat.user.into());
        }
        self.model.cycle();
        let tx = (self.model.get(self.tx_valid) != 0 && driven.tx_ready).then(|| {
            let data = self.model.get_wide(self.tx_data);
            let lanes = [data[0] as u32, (data[0] >> 32) as u32, data[1] as u32, (data[1] >> 32) as u32];
            (lanes, self.model.get(self.tx_keep) as u16, self.model.get(self.tx_last) != 0)
        });
        Shown {
            rx_ready: self.model.get(self.rx_ready) != 0,
            tx,
            interrupt: self.model.get(self.interrupt_valid) != 0,
        }
    }

    pub(crate) fn cycles(&self) -> u64 {
        self.model.cycles()
    }

    /// The lights: a run in progress, a run failed.
    pub(crate) fn lights(&self) -> (bool, bool) {
        (self.model.get(self.busy) != 0, self.model.get(self.error) != 0)
    }
}
