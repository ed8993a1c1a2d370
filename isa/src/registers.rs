//! The AXI4-Lite register map of `mst_core`. Every register is 32 bits wide; offsets are in bytes.

/// Bytes of address space that the registers take.
pub const BYTES: u32 = 0x1000;

/// How the host may use a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Constant or status; writes are ignored.
    ReadOnly,
    /// Holds what was written.
    ReadWrite,
    /// Writing 1 to a bit acts once; reads as 0.
    WriteOne,
}

/// One register.
#[derive(Clone, Copy, Debug)]
pub struct Register {
    /// Name in upper case, as the documents and the driver call it.
    pub name: &'static str,
    /// Byte offset.
    pub offset: u32,
    /// How the host may use it.
    pub access: Access,
    /// Meaning.
    pub doc: &'static str,
}

macro_rules! registers {
    ($($name:ident @ $offset:literal $access:ident $doc:literal;)*) => {
        $(#[doc = $doc] pub const $name: u32 = $offset;)*
        /// Every register, by offset.
        pub const REGISTERS: &[$crate::registers::Register] = &[
            $($crate::registers::Register { name: stringify!($name), offset: $offset, access: $crate::registers::Access::$access, doc: $doc },)*
        ];
    };
}
pub(crate) use registers;

macro_rules! core_registers {
    ($($counter:ident @ $register:ident $offset:literal $doc:literal;)*) => {
        registers! {
            IDENTITY @ 0x000 ReadOnly "Constant `MST1` in ASCII.";
            VERSION @ 0x004 ReadOnly "Interface version, major in bits 31:16, minor in bits 15:0.";
            CONFIG0 @ 0x008 ReadOnly "Lanes in bits 15:0, bus bytes in bits 23:16, membrane bits in bits 31:24.";
            CONFIG1 @ 0x00c ReadOnly "Inputs of a pass in bits 15:0, weight rows a bank in bits 31:16.";
            CONFIG2 @ 0x010 ReadOnly "Bias rows a bank in bits 15:0, address bits in bits 23:16.";
            CONFIG3 @ 0x014 ReadOnly "Partial sums of a layer of several passes in bits 15:0.";
            CONTROL @ 0x020 WriteOne "Bit 0 starts a run, bit 1 is the soft reset (also clears an error), bit 2 clears the done flag, bit 3 clears the counters.";
            STATUS @ 0x024 ReadOnly "Bit 0 busy, bit 1 done, bit 2 error, bit 3 soft reset in progress (memory traffic is draining).";
            ERROR @ 0x028 ReadOnly "Error code in bits 7:0, 0 if none. Sticky until a soft reset.";
            ERROR_DESCRIPTOR @ 0x02c ReadOnly "Index of the descriptor that the error belongs to.";
            ERROR_ADDRESS @ 0x030 ReadOnly "Byte offset of the access that failed (codes 7, 8 and 9: of the latest access of that kind).";
            INTERRUPT_ENABLE @ 0x034 ReadWrite "Bit 0: raise `irq` while done is set; bit 1: raise it while error is set.";
            MEMORY_BASE_LOW @ 0x040 ReadWrite "Bus address of the memory window, bits 31:0; a multiple of 4096 (bits 11:0 count as 0).";
            MEMORY_BASE_HIGH @ 0x044 ReadWrite "Bus address of the memory window, bits 63:32.";
            MEMORY_SIZE @ 0x048 ReadWrite "Bytes in the memory window. The core accesses nothing outside it.";
            DESCRIPTOR_BASE @ 0x04c ReadWrite "Byte offset of the first descriptor; a multiple of 64.";
            DESCRIPTOR_COUNT @ 0x050 ReadWrite "Descriptors in the run, 1..=4095.";
            SCRATCH @ 0x054 ReadWrite "Free for the host.";
            LAYERS_COMPLETED @ 0x058 ReadOnly "Descriptors of this run whose outputs are in memory.";
            $($register @ $offset ReadOnly $doc;)*
        }
    };
}
crate::counters::with_counters!(core_registers);

/// A part of a register with a meaning of its own.
#[derive(Clone, Copy, Debug)]
pub struct BitField {
    /// Offset of the register.
    pub register: u32,
    /// Name in upper case.
    pub name: &'static str,
    /// Least significant bit.
    pub lsb: u32,
    /// Width in bits.
    pub width: u32,
    /// Meaning.
    pub doc: &'static str,
}

const fn part(register: u32, name: &'static str, lsb: u32, width: u32, doc: &'static str) -> BitField {
    BitField { register, name, lsb, width, doc }
}

const fn flag(register: u32, name: &'static str, mask: u32, doc: &'static str) -> BitField {
    part(register, name, mask.trailing_zeros(), 1, doc)
}

/// The parts of those registers that have any; the others are one number. By register, lowest bits first.
pub const FIELDS: &[BitField] = &[
    part(VERSION, "MINOR", 0, 16, "Minor version: additions."),
    part(VERSION, "MAJOR", 16, 16, "Major version: what the driver must know."),
    part(CONFIG0, "LANES", 0, 16, "Lanes."),
    part(CONFIG0, "BUS_BYTES", 16, 8, "Bytes of a bus beat."),
    part(CONFIG0, "MEMBRANE_BITS", 24, 8, "Bits of a membrane."),
    part(CONFIG1, "MAX_FAN_IN", 0, 16, "Most inputs of a pass: bytes of a gathered input row."),
    part(CONFIG1, "WEIGHT_ROWS", 16, 16, "Rows of one bank of the weight buffer."),
    part(CONFIG2, "BIAS_ROWS", 0, 16, "Rows of one bank of the bias buffer."),
    part(CONFIG2, "ADDRESS_BITS", 16, 8, "Bits of a bus address."),
    part(
        CONFIG3,
        "SUM_ROWS",
        0,
        16,
        "Partial sums of a tile that the sum buffer holds: tokens, or (each step) tokens times time steps.",
    ),
    flag(CONTROL, "START", control::START, "Starts a run."),
    flag(
        CONTROL,
        "SOFT_RESET",
        control::SOFT_RESET,
        "Stops whatever runs, drains the bus, clears the error.",
    ),
    flag(CONTROL, "CLEAR_DONE", control::CLEAR_DONE, "Clears the done flag."),
    flag(CONTROL, "CLEAR_COUNTERS", control::CLEAR_COUNTERS, "Clears the performance counters."),
    flag(STATUS, "BUSY", status::BUSY, "A run is in progress."),
    flag(STATUS, "DONE", status::DONE, "A run has ended with every layer complete."),
    flag(STATUS, "ERROR", status::ERROR, "A run has stopped with an error."),
    flag(STATUS, "RESETTING", status::RESETTING, "A soft reset is waiting for the bus to drain."),
    part(ERROR, "CODE", 0, 8, "Error code, 0 if none."),
    flag(INTERRUPT_ENABLE, "DONE", 1, "Raises `irq` while done is set."),
    flag(INTERRUPT_ENABLE, "ERROR", 2, "Raises `irq` while error is set."),
];

/// Bits of `CONTROL`.
pub mod control {
    /// Starts a run.
    pub const START: u32 = 1;
    /// Stops whatever runs, drains the bus, clears the error.
    pub const SOFT_RESET: u32 = 1 << 1;
    /// Clears the done flag.
    pub const CLEAR_DONE: u32 = 1 << 2;
    /// Clears the performance counters.
    pub const CLEAR_COUNTERS: u32 = 1 << 3;
}

/// Bits of `STATUS`.
pub mod status {
    /// A run is in progress.
    pub const BUSY: u32 = 1;
    /// A run has ended with every layer complete.
    pub const DONE: u32 = 1 << 1;
    /// A run has stopped with an error.
    pub const ERROR: u32 = 1 << 2;
    /// A soft reset is waiting for the bus to drain.
    pub const RESETTING: u32 = 1 << 3;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_aligned_unique_and_ascending() {
        for pair in REGISTERS.windows(2) {
            assert!(pair[0].offset < pair[1].offset, "{} and {}", pair[0].name, pair[1].name);
        }
        assert!(REGISTERS.iter().all(|r| r.offset % 4 == 0));
    }

    #[test]
    fn fields_lie_in_their_registers_side_by_side() {
        for field in FIELDS {
            assert!(REGISTERS.iter().any(|r| r.offset == field.register), "{}", field.name);
            assert!(field.width > 0 && field.lsb + field.width <= 32, "{}", field.name);
        }
        for pair in FIELDS.windows(2) {
            let (first, second) = (pair[0], pair[1]);
            let follows = first.register == second.register && first.lsb + first.width <= second.lsb;
            assert!(first.register < second.register || follows, "{} and {}", first.name, second.name);
        }
    }

    #[test]
    fn texts_say_the_largest_count() {
        let count = REGISTERS.iter().find(|register| register.name == "DESCRIPTOR_COUNT").unwrap();
        assert!(count.doc.contains(&format!("1..={}", crate::MAX_COUNT)), "{}", count.doc);
        let error = crate::ErrorCode::BadRun.text();
        assert!(error.contains(&format!("above {}", crate::MAX_COUNT)), "{error}");
        let tokens = crate::descriptor::FIELDS.iter().find(|field| field.name == "inner_x").unwrap();
        assert_eq!((1 << tokens.width) - 1, crate::MAX_COUNT);
    }
}
