//! The sizes of one generated core.

use crate::registers::{BitField, CONFIG0, CONFIG1, CONFIG2, CONFIG3, FIELDS};
use serde::{Deserialize, Serialize};

/// Largest memory of a system or card in bytes: as much as a core with 32 address bits finds from its base on, and far more than the
/// block RAM of any device that they are made for.
pub const LARGEST_MEMORY: u32 = 8 << 20;

/// The sizes of one generated core: written beside the Verilog as `mst_core.json`, read back by the driver.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoreConfig {
    /// Neurons that work in parallel: a power of two, 8..=64, at least `bus_bits / 8`.
    pub lanes: u32,
    /// AXI4 data width: 64 or 128.
    pub bus_bits: u32,
    /// AXI4 address width: 32..=64.
    pub address_bits: u32,
    /// Signed width of accumulator and membrane: 16..=32.
    pub membrane_bits: u32,
    /// Most inputs of a pass: bytes of a gathered input row. A multiple of 64, 64..=1024. Layers with more inputs take several passes.
    pub max_fan_in: u32,
    /// Rows of one bank of the weight buffer: a power of two, `max_fan_in`..=1024.
    pub weight_rows: u32,
    /// Rows of one bank of the bias buffer: the largest number of tokens in an attention block. 16..=1024: `context` has a row of weights
    /// for each of them, and no bank has more.
    pub bias_rows: u32,
    /// Partial sums of a tile that the sum buffer holds between passes: 16..=4096. A layer of several passes is cut into strips of as many
    /// tokens (`if` neurons: tokens times time steps).
    pub sum_rows: u32,
}

/// Largest `sum_rows` of any core.
pub const LARGEST_SUM_ROWS: u32 = 4096;
/// Largest `max_fan_in` of any core.
pub const LARGEST_FAN_IN: u32 = 1024;
/// Largest `weight_rows` of any core.
pub const LARGEST_WEIGHT_ROWS: u32 = 1024;
/// Largest `bias_rows` of any core.
pub const LARGEST_BIAS_ROWS: u32 = 1024;
/// Largest `membrane_bits` of any core.
pub const LARGEST_MEMBRANE_BITS: u32 = 32;

/// What is wrong with a [`CoreConfig`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The field.
    pub field: &'static str,
    /// The value found.
    pub found: u32,
    /// The values allowed, in words.
    pub allowed: &'static str,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "core configuration: {} is {}, allowed: {}", self.field, self.found, self.allowed)
    }
}

impl std::error::Error for ConfigError {}

impl CoreConfig {
    /// The named configurations that are built and checked, smallest first.
    pub const PRESETS: [&'static str; 3] = ["tiny", "ecp5", "pcie"];

    /// A named configuration: `tiny` (8 lanes) for simulation and proofs, `ecp5` (32 lanes, 128-bit bus) for an ECP5-85 board, `pcie`
    /// (64 lanes, 128-bit bus, 64-bit addresses) for a PCIe card.
    pub fn preset(name: &str) -> Option<CoreConfig> {
        let tiny = CoreConfig {
            lanes: 8,
            bus_bits: 64,
            address_bits: 32,
            membrane_bits: 24,
            max_fan_in: 512,
            weight_rows: 512,
            bias_rows: 64,
            sum_rows: 64,
        };
        match name {
            "tiny" => Some(tiny),
            "ecp5" => Some(CoreConfig { lanes: 32, bus_bits: 128, sum_rows: 16, ..tiny }),
            "pcie" => Some(CoreConfig { lanes: 64, bus_bits: 128, address_bits: 64, sum_rows: 512, ..tiny }),
            _ => None,
        }
    }

    /// Checks every field: the shape, and that no size is larger than those that are built and tested.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (field, found, largest, allowed) in [
            ("lanes", self.lanes, 64, "8, 16, 32 or 64, and at least bus_bits / 8"),
            ("max_fan_in", self.max_fan_in, LARGEST_FAN_IN, "a multiple of 64 in 64..=1024"),
            (
                "weight_rows",
                self.weight_rows,
                LARGEST_WEIGHT_ROWS,
                "with `--weight-rows` a power of two from max_fan_in to 1024",
            ),
            ("bias_rows", self.bias_rows, LARGEST_BIAS_ROWS, "16..=1024"),
            ("sum_rows", self.sum_rows, LARGEST_SUM_ROWS, "16..=4096"),
        ] {
            if found > largest {
                return Err(ConfigError { field, found, allowed });
            }
        }
        self.check_shape()
    }

    /// Checks what the structure of the core takes for granted, whatever its size, and that registers can tell the size.
    pub fn check_shape(&self) -> Result<(), ConfigError> {
        let check = |ok: bool, field, found, allowed| {
            if ok { Ok(()) } else { Err(ConfigError { field, found, allowed }) }
        };
        for (field, found) in [
            ("lanes", self.lanes),
            ("max_fan_in", self.max_fan_in),
            ("weight_rows", self.weight_rows),
            ("bias_rows", self.bias_rows),
            ("sum_rows", self.sum_rows),
        ] {
            check(found < 1 << 16, field, found, "less than 65536")?;
        }
        check(matches!(self.bus_bits, 64 | 128), "bus_bits", self.bus_bits, "64 or 128")?;
        check(
            self.lanes.is_power_of_two() && self.lanes >= self.bus_bytes(),
            "lanes",
            self.lanes,
            "8, 16, 32 or 64, and at least bus_bits / 8",
        )?;
        check((32..=64).contains(&self.address_bits), "address_bits", self.address_bits, "32..=64")?;
        check(
            (16..=LARGEST_MEMBRANE_BITS).contains(&self.membrane_bits),
            "membrane_bits",
            self.membrane_bits,
            "16..=32",
        )?;
        check(
            self.max_fan_in.is_multiple_of(64) && self.max_fan_in > 0,
            "max_fan_in",
            self.max_fan_in,
            "a multiple of 64 in 64..=1024",
        )?;
        check(
            self.weight_rows.is_power_of_two() && self.weight_rows >= self.max_fan_in,
            "weight_rows",
            self.weight_rows,
            "with `--weight-rows` a power of two from max_fan_in to 1024",
        )?;
        check(self.bias_rows >= 16, "bias_rows", self.bias_rows, "16..=1024")?;
        check(self.sum_rows >= 16, "sum_rows", self.sum_rows, "16..=4096")
    }

    /// Bytes of one bus beat: the alignment of every row in memory.
    pub fn bus_bytes(&self) -> u32 {
        self.bus_bits / 8
    }

    /// The parts of registers `CONFIG0` to `CONFIG3`, with their values.
    pub fn register_fields(&self) -> impl Iterator<Item = (&'static BitField, u32)> {
        FIELDS.iter().filter_map(|field| {
            let value = match field.name {
                "LANES" => self.lanes,
                "BUS_BYTES" => self.bus_bytes(),
                "MEMBRANE_BITS" => self.membrane_bits,
                "MAX_FAN_IN" => self.max_fan_in,
                "WEIGHT_ROWS" => self.weight_rows,
                "BIAS_ROWS" => self.bias_rows,
                "ADDRESS_BITS" => self.address_bits,
                "SUM_ROWS" => self.sum_rows,
                _ => return None,
            };
            Some((field, value))
        })
    }

    /// The values of registers `CONFIG0` to `CONFIG3`. Bits of a value beyond its part of the register are dropped.
    pub fn registers(&self) -> [u32; 4] {
        [CONFIG0, CONFIG1, CONFIG2, CONFIG3].map(|register| {
            let parts = self.register_fields().filter(|(field, _)| field.register == register);
            parts.map(|(field, value)| (value & ((1 << field.width) - 1)) << field.lsb).sum()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_values_are_allowed_and_named_and_no_more() {
        let largest = CoreConfig {
            membrane_bits: LARGEST_MEMBRANE_BITS,
            max_fan_in: LARGEST_FAN_IN,
            weight_rows: LARGEST_WEIGHT_ROWS,
            bias_rows: LARGEST_BIAS_ROWS,
            sum_rows: LARGEST_SUM_ROWS,
            ..CoreConfig::preset("tiny").unwrap()
        };
        largest.validate().unwrap();
        for (beyond, largest) in [
            (
                CoreConfig { membrane_bits: LARGEST_MEMBRANE_BITS + 1, ..largest.clone() },
                LARGEST_MEMBRANE_BITS,
            ),
            (CoreConfig { max_fan_in: LARGEST_FAN_IN + 64, ..largest.clone() }, LARGEST_FAN_IN),
            (CoreConfig { weight_rows: 2 * LARGEST_WEIGHT_ROWS, ..largest.clone() }, LARGEST_WEIGHT_ROWS),
            (CoreConfig { bias_rows: LARGEST_BIAS_ROWS + 1, ..largest.clone() }, LARGEST_BIAS_ROWS),
            (CoreConfig { sum_rows: LARGEST_SUM_ROWS + 1, ..largest.clone() }, LARGEST_SUM_ROWS),
        ] {
            let error = beyond.validate().unwrap_err();
            assert!(error.allowed.ends_with(&largest.to_string()), "{error}");
        }
    }

    #[test]
    fn presets_are_valid_and_others_name_their_field() {
        for name in CoreConfig::PRESETS {
            CoreConfig::preset(name).unwrap().validate().unwrap();
        }
        let ecp5 = CoreConfig::preset("ecp5").unwrap();
        assert_eq!(ecp5.registers(), [32 | 16 << 16 | 24 << 24, 512 | 512 << 16, 64 | 32 << 16, 16]);
        let wrong = CoreConfig { lanes: 12, ..CoreConfig::preset("tiny").unwrap() };
        assert_eq!(wrong.validate().unwrap_err().field, "lanes");
        let wrong = CoreConfig { max_fan_in: 1024, ..CoreConfig::preset("tiny").unwrap() };
        assert_eq!(wrong.validate().unwrap_err().field, "weight_rows");
        let wrong = CoreConfig { max_fan_in: 2048, ..CoreConfig::preset("tiny").unwrap() };
        assert_eq!(wrong.validate().unwrap_err().field, "max_fan_in");
        let large = CoreConfig { lanes: 128, ..CoreConfig::preset("tiny").unwrap() };
        large.check_shape().unwrap();
        assert_eq!(large.validate().unwrap_err().field, "lanes");
    }
}
