//! Error codes: why the core stopped.

macro_rules! errors {
    ($($name:ident = $code:literal $text:literal;)*) => {
        /// Why the core stopped; register `ERROR` carries the code, `ERROR_DESCRIPTOR` the descriptor.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum ErrorCode {
            $(#[doc = $text] $name = $code,)*
        }

        impl ErrorCode {
            /// All codes.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$name,)*];

            /// The code that a register value names, if there is one.
            pub fn from_code(code: u32) -> Option<ErrorCode> {
                match code { $($code => Some(ErrorCode::$name),)* _ => None }
            }

            /// What went wrong, in one sentence.
            pub fn text(self) -> &'static str {
                match self { $(ErrorCode::$name => $text,)* }
            }
        }
    };
}

errors! {
    BadOp = 1 "The descriptor's operation is not one of the defined codes.";
    BadTimeSteps = 2 "The descriptor's time steps, tail steps, chunks or rotation are out of range or disagree.";
    BadShape = 3 "A count in the descriptor or a pass is zero, counts or flags disagree, or the shift is not smaller than the block.";
    TooLarge = 4 "A pass's inputs or weights, the layer's partial sums, or the bias rows exceed this core's buffers.";
    BadSegments = 5 "A pass's number of segments is not in 1..=16, not 1 for attention, or does not fit the words of its record, or these are not 8 to 24 and a multiple of the bus.";
    Unaligned = 6 "An address or stride is not a multiple of the bus width.";
    OutOfRange = 7 "An access would leave the memory window.";
    ReadError = 8 "The memory answered a read with SLVERR or DECERR.";
    WriteError = 9 "The memory answered a write with SLVERR or DECERR.";
    StartWhileBusy = 10 "Start was written while a run was in progress.";
    BadRun = 11 "The descriptor count is zero or above 4095, or the descriptor base is not aligned to 64 bytes.";
}
