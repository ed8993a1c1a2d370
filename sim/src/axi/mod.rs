//! AXI4 as `mst_core` speaks it: the signals, a memory that answers, and a checker of the rules.

mod check;
mod memory;
pub(crate) mod random;

pub use check::Violation;
pub(crate) use check::stable;
pub use memory::{AxiMemory, Fault, FaultTarget, MemoryOptions, Spread, Stalls};
pub(crate) use random::Random;

/// Most bytes of one data beat.
pub const MAX_BEAT: usize = 16;

/// A response code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Response {
    /// Success.
    Okay = 0,
    /// The target reports an error.
    SlaveError = 2,
    /// There is no target at the address.
    DecodeError = 3,
}

/// Payload of a read or write address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// Transaction ID.
    pub id: u8,
    /// Byte address.
    pub address: u64,
    /// Beats less one.
    pub len: u8,
    /// Bytes of a beat, as a power of two.
    pub size: u8,
    /// Burst type: 1 is INCR.
    pub burst: u8,
}

impl Address {
    /// Beats of the burst.
    pub fn beats(&self) -> u64 {
        u64::from(self.len) + 1
    }
}

/// Payload of write data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteData {
    /// The bytes, lowest address first.
    pub data: [u8; MAX_BEAT],
    /// One bit a byte.
    pub strobe: u16,
    /// The last beat of its burst.
    pub last: bool,
}

/// Payload of a write response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteResponse {
    /// Transaction ID.
    pub id: u8,
    /// Outcome.
    pub response: Response,
}

/// Payload of read data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadData {
    /// Transaction ID.
    pub id: u8,
    /// The bytes, lowest address first.
    pub data: [u8; MAX_BEAT],
    /// Outcome.
    pub response: Response,
    /// The last beat of its burst.
    pub last: bool,
}

/// What the manager (the core) drives in a cycle. `None`: VALID is low.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ManagerSignals {
    /// AW.
    pub write_address: Option<Address>,
    /// W.
    pub write_data: Option<WriteData>,
    /// BREADY.
    pub response_ready: bool,
    /// AR.
    pub read_address: Option<Address>,
    /// RREADY.
    pub read_ready: bool,
}

/// What the subordinate (the memory) drives in a cycle. `None`: VALID is low.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubordinateSignals {
    /// AWREADY.
    pub write_address_ready: bool,
    /// WREADY.
    pub write_data_ready: bool,
    /// B.
    pub write_response: Option<WriteResponse>,
    /// ARREADY.
    pub read_address_ready: bool,
    /// R.
    pub read_data: Option<ReadData>,
}
