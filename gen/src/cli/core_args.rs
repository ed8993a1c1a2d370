//! Sizes of the core, as options.

use crate::error::GenError;
use clap::{Args, ValueEnum};
use isa::CoreConfig;
use isa::config::LARGEST_WEIGHT_ROWS;

/// Sizes of the core.
#[derive(Args, Debug)]
#[command(next_help_heading = "Core")]
pub struct CoreArgs {
    /// The configuration to start from: 8, 32 or 64 lanes.
    #[arg(long, value_enum, default_value_t = Preset::Ecp5)]
    preset: Preset,
    /// Neurons that work in parallel: 8, 16, 32 or 64, and at least bus bits / 8.
    #[arg(long, value_name = "N")]
    lanes: Option<u32>,
    /// Width of the memory bus: 64 or 128.
    #[arg(long, value_name = "N")]
    bus_bits: Option<u32>,
    /// Width of bus addresses: 32 to 64.
    #[arg(long, value_name = "N")]
    address_bits: Option<u32>,
    /// Signed width of accumulator and membrane: 16 to 32.
    #[arg(long, value_name = "N")]
    membrane_bits: Option<u32>,
    /// Most inputs of a pass, a multiple of 64 up to 1024: layers with more take several passes.
    #[arg(long, value_name = "N")]
    max_fan_in: Option<u32>,
    /// Rows of one bank of the weight buffer: a power of two, 64 to 1024.
    #[arg(long, value_name = "N")]
    weight_rows: Option<u32>,
    /// Most tokens of an attention window: 16 to 1024.
    #[arg(long, value_name = "N")]
    bias_rows: Option<u32>,
    /// Sums that wait between passes, 16 to 4096: layers of several passes with more tokens (`if` neurons: tokens times T) are cut into
    /// strips.
    #[arg(long, value_name = "N")]
    sum_rows: Option<u32>,
}

impl CoreArgs {
    /// Name of the configuration that the others start from.
    pub fn preset(&self) -> &'static str {
        self.preset.name()
    }

    /// The configuration, checked.
    pub fn config(&self) -> Result<CoreConfig, GenError> {
        let preset = CoreConfig::preset(self.preset.name()).expect("every value is the name of a preset");
        let config = CoreConfig {
            lanes: self.lanes.unwrap_or(preset.lanes),
            bus_bits: self.bus_bits.unwrap_or(preset.bus_bits),
            address_bits: self.address_bits.unwrap_or(preset.address_bits),
            membrane_bits: self.membrane_bits.unwrap_or(preset.membrane_bits),
            max_fan_in: self.max_fan_in.unwrap_or(preset.max_fan_in),
            weight_rows: self.weight_rows.unwrap_or(preset.weight_rows),
            bias_rows: self.bias_rows.unwrap_or(preset.bias_rows),
            sum_rows: self.sum_rows.unwrap_or(preset.sum_rows),
        };
        config.validate().map_err(|error| match error.field {
            "weight_rows" => GenError::Option {
                option: "--weight-rows",
                found: config.weight_rows.to_string(),
                allowed: format!(
                    "a power of two from the inputs of a pass ({}, `--max-fan-in`) to {LARGEST_WEIGHT_ROWS}; raise `--weight-rows`, or \
                     lower `--max-fan-in`",
                    config.max_fan_in
                ),
            },
            _ => error.into(),
        })?;
        Ok(config)
    }
}

/// The named configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// 8 lanes, for simulation and proofs.
    Tiny,
    /// 32 lanes, for an ECP5-85 board.
    Ecp5,
    /// 64 lanes and 64-bit addresses, for a PCIe card.
    Pcie,
}

impl Preset {
    /// As [`CoreConfig::preset`] calls it.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Tiny => "tiny",
            Preset::Ecp5 => "ecp5",
            Preset::Pcie => "pcie",
        }
    }
}
