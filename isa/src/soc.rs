//! The system on a chip `mst_soc`: the core with memory of its own, reached over a serial line.
//!
//! # Serial line
//! The line speaks LiteX's uartbone: 8 data bits, no parity, one stop bit. A command is a byte (1 writes, 2 reads a burst; 3 writes,
//! 4 reads one address again and again), the number of 32-bit words (0 means 256), the address divided by 4 in four bytes, then, for a
//! write, the words; a read is answered by its words. Bytes of addresses and words are sent most significant first. Any other
//! command byte is dropped. A command that stays incomplete for 100 ms is dropped too: after that much silence both ends agree
//! again.
//!
//! The protocol has no checksum. The register `LINK_CRC` makes up for it: CRC-32 (ISO-HDLC, that of zlib) of every byte that came
//! in and every byte that a read sent, in that order, since it was last written.

use crate::config::{ConfigError, CoreConfig, LARGEST_MEMORY};
use crate::registers::{Access, registers};
use serde::{Deserialize, Serialize};

/// Identity register value: `MSTS` in ASCII, most significant byte first.
pub const IDENTITY: u32 = 0x4d53_5453;
/// Bus address of the memory: what the core's memory window starts at.
pub const MEMORY_BASE: u32 = 0x4000_0000;
/// Bus address of the core's registers ([`crate::registers`]).
pub const CORE_BASE: u32 = 0xf000_0000;
/// Bus address of the registers below.
pub const SOC_BASE: u32 = 0xf001_0000;
/// Part of a second after which an incomplete command is dropped.
pub const SILENCE_PER_SECOND: u32 = 10;

registers! {
    SOC_IDENTITY @ 0x000 ReadOnly "Constant `MSTS` in ASCII.";
    MEMORY_BYTES @ 0x004 ReadOnly "Bytes of memory on the chip.";
    CLOCK_HZ @ 0x008 ReadOnly "Frequency of the clock.";
    LINK_CRC @ 0x00c ReadWrite "CRC-32 of the bytes on the serial line since the last write to this register, whatever that wrote.";
    BUS_ERRORS @ 0x010 ReadWrite "Accesses to addresses where nothing is, since the last write to this register.";
}

/// The sizes of one generated `mst_soc`: written beside the Verilog as `mst_soc.json`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SocConfig {
    /// The core.
    pub core: CoreConfig,
    /// Bytes of memory on the chip: a multiple of 4096, up to 8 MiB.
    pub memory_bytes: u32,
    /// Frequency of the clock in Hz: 1,000..=1,000,000,000.
    pub clock_hz: u32,
    /// Bits a second on the serial line: at most a quarter of the clock, and within 2 % of a whole number of cycles a bit.
    pub baud: u32,
}

impl SocConfig {
    /// Checks every field.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.core.validate()?;
        let check = |ok: bool, field, found, allowed| {
            if ok { Ok(()) } else { Err(ConfigError { field, found, allowed }) }
        };
        check(
            self.memory_bytes.is_multiple_of(4096) && (4096..=LARGEST_MEMORY).contains(&self.memory_bytes),
            "memory_bytes",
            self.memory_bytes,
            "a multiple of 4096 in 4096..=8388608",
        )?;
        check(
            (1_000..=1_000_000_000).contains(&self.clock_hz),
            "clock_hz",
            self.clock_hz,
            "1000..=1000000000",
        )?;
        check(
            self.baud > 0 && self.baud <= self.clock_hz / 4,
            "baud",
            self.baud,
            "1 to a quarter of clock_hz",
        )?;
        let real = u64::from(self.baud) * u64::from(self.cycles_per_bit());
        check(
            real.abs_diff(u64::from(self.clock_hz)) * 50 <= u64::from(self.clock_hz),
            "baud",
            self.baud,
            "within 2 % of clock_hz divided by a whole number",
        )
    }

    /// Clock cycles of one bit on the serial line.
    pub fn cycles_per_bit(&self) -> u32 {
        (self.clock_hz + self.baud / 2) / self.baud
    }

    /// Clock cycles of silence after which an incomplete command is dropped.
    pub fn silence_cycles(&self) -> u32 {
        self.clock_hz / SILENCE_PER_SECOND
    }
}

/// The address map as `csr.csv`, which LiteX's own clients (`litex_server`, `litex_cli`, `RemoteClient`) read: registers of the system
/// as `soc_…`, those of the core as `core_…`, the memory as `main_ram`.
pub fn csr_csv(config: &SocConfig) -> String {
    let mut csv = format!(
        "csr_base,soc,0x{SOC_BASE:08x},,\ncsr_base,core,0x{CORE_BASE:08x},,\n\
         constant,config_clock_frequency,{},,\nconstant,config_csr_data_width,32,,\n\
         constant,config_bus_address_width,32,,\nmemory_region,main_ram,0x{MEMORY_BASE:08x},{},cached\n",
        config.clock_hz, config.memory_bytes
    );
    for (block, base, list) in
        [("soc", SOC_BASE, REGISTERS), ("core", CORE_BASE, crate::registers::REGISTERS)]
    {
        for register in list {
            let name = register.name.to_lowercase();
            let name = name.trim_start_matches("soc_");
            let mode = match register.access {
                Access::ReadOnly => "ro",
                Access::ReadWrite | Access::WriteOne => "rw",
            };
            csv += &format!("csr_register,{block}_{name},0x{:08x},1,{mode}\n", base + register.offset);
        }
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> SocConfig {
        let core = CoreConfig::preset("ecp5").unwrap();
        SocConfig { core, memory_bytes: 304 << 10, clock_hz: 80_000_000, baud: 1_000_000 }
    }

    #[test]
    fn sizes_that_cannot_work_name_their_field() {
        config().validate().unwrap();
        for (wrong, field) in [
            (SocConfig { memory_bytes: 4097, ..config() }, "memory_bytes"),
            (SocConfig { memory_bytes: 0, ..config() }, "memory_bytes"),
            (SocConfig { clock_hz: 0, ..config() }, "clock_hz"),
            (SocConfig { baud: 0, ..config() }, "baud"),
            (SocConfig { baud: 21_000_000, ..config() }, "baud"),
            (SocConfig { baud: 17_000_000, ..config() }, "baud"),
        ] {
            assert_eq!(wrong.validate().unwrap_err().field, field, "{wrong:?}");
        }
        let wrong = CoreConfig { lanes: 12, ..config().core };
        assert_eq!(SocConfig { core: wrong, ..config() }.validate().unwrap_err().field, "lanes");
    }

    #[test]
    fn a_bit_lasts_the_nearest_whole_number_of_cycles() {
        assert_eq!(config().cycles_per_bit(), 80);
        assert_eq!(SocConfig { baud: 115_200, ..config() }.cycles_per_bit(), 694);
        assert_eq!(config().silence_cycles(), 8_000_000);
    }
}
