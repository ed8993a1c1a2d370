//! What can be wrong with a design, said with the names of the signals involved.

/// A design was refused: which module, at which place in it, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("module `{module}`, {place}: {fault}")]
pub struct RtlError {
    /// The module that was being built.
    pub module: String,
    /// The signal, port, instance or memory where the fault was noticed.
    pub place: String,
    /// What is wrong there.
    pub fault: Box<Fault>,
}

/// The kinds of mistake that the construction layer notices.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Two operands must have the same width and do not.
    #[error(
        "{operation}: `{left}` has {left_width} bits, `{right}` has {right_width}; equal widths expected"
    )]
    WidthMismatch {
        /// The operator or function.
        operation: &'static str,
        /// The left operand, in brief.
        left: String,
        /// Width of the left operand.
        left_width: u32,
        /// The right operand, in brief.
        right: String,
        /// Width of the right operand.
        right_width: u32,
    },
    /// Two operands must have the same signedness and do not.
    #[error("{operation}: `{signed}` is signed, `{unsigned}` is unsigned; equal signedness expected")]
    SignMismatch {
        /// The operator or function.
        operation: &'static str,
        /// The signed operand, in brief.
        signed: String,
        /// The unsigned operand, in brief.
        unsigned: String,
    },
    /// A signed value where only a natural number makes sense.
    #[error("{role}: `{value}` is signed; an unsigned value expected")]
    NotUnsigned {
        /// What the value is used as.
        role: String,
        /// The value, in brief.
        value: String,
    },
    /// A value must have one certain width.
    #[error("{role}: `{value}` has {found} bits; {expected} expected")]
    WrongWidth {
        /// What the value is used as.
        role: String,
        /// The value, in brief.
        value: String,
        /// Its width.
        found: u32,
        /// The width that fits.
        expected: u32,
    },
    /// Logic and proofs are mixed: one side drives or reads what belongs to the other.
    #[error("`{signal}` belongs to proofs or to logic, and is used on the other side")]
    FormalOnly {
        /// The signal, or what else is out of place.
        signal: String,
    },
    /// A literal needs more bits than it was given.
    #[error("literal {value} does not fit in {width} bits")]
    LiteralTooLarge {
        /// The number asked for.
        value: i128,
        /// The width it was given.
        width: u32,
    },
    /// A signal is too narrow for what it has to carry in this configuration.
    #[error("`{signal}` has to carry {largest}, which needs {needed} bits; {available} are available")]
    TooNarrow {
        /// The signal.
        signal: String,
        /// The largest value that it has to carry.
        largest: u64,
        /// Bits that the value needs.
        needed: u32,
        /// Bits of the signal.
        available: u32,
    },
    /// A slice reaches outside its operand, or is empty.
    #[error("slice of {length} bits from bit {lsb} is outside `{value}`, which has {width} bits")]
    SliceOutOfRange {
        /// The operand, in brief.
        value: String,
        /// Its width.
        width: u32,
        /// Lowest bit asked for.
        lsb: u32,
        /// Number of bits asked for.
        length: u32,
    },
    /// An extension that would shorten, or a truncation that would lengthen.
    #[error("{operation} of `{value}` from {found} to {asked} bits goes the wrong way")]
    WrongDirection {
        /// `zext`, `sext` or `trunc`.
        operation: &'static str,
        /// The operand, in brief.
        value: String,
        /// Its width.
        found: u32,
        /// The width asked for.
        asked: u32,
    },
    /// A dynamic index that could point far beyond the end.
    #[error("index `{index}` has {found} bits; at most {most} are needed to reach all of `{value}`")]
    IndexTooWide {
        /// The index, in brief.
        index: String,
        /// Its width.
        found: u32,
        /// The greatest useful width.
        most: u32,
        /// What is indexed, in brief.
        value: String,
    },
    /// A wire that nothing drives.
    #[error("wire `{signal}` is never assigned")]
    Undriven {
        /// The wire.
        signal: String,
    },
    /// A register that no branch sets.
    #[error("register `{signal}` is never set")]
    NeverSet {
        /// The register.
        signal: String,
    },
    /// A memory without a write port.
    #[error("memory `{memory}` is never written")]
    NeverWritten {
        /// The memory.
        memory: String,
    },
    /// A second driver.
    #[error("`{signal}` is driven twice")]
    DoublyDriven {
        /// The wire, register, output or memory.
        signal: String,
    },
    /// A target of the wrong kind, for instance `set` on an input.
    #[error("`{signal}` is not {expected}")]
    WrongKind {
        /// The expression given.
        signal: String,
        /// What it should have been.
        expected: &'static str,
    },
    /// An instance input without a connection.
    #[error("input `{port}` of module `{module}` is not connected")]
    UnconnectedPort {
        /// The module instantiated.
        module: String,
        /// Its input.
        port: String,
    },
    /// A connection to, or a look at, a port that does not exist.
    #[error("module `{module}` has no {direction} `{port}`")]
    UnknownPort {
        /// The module instantiated.
        module: String,
        /// `input` or `output`.
        direction: &'static str,
        /// The name asked for.
        port: String,
    },
    /// A name used twice in one module.
    #[error("the name `{name}` is already used")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A name that Verilog or its tools would refuse.
    #[error("`{name}` cannot be a name: {reason}")]
    IllegalName {
        /// The name.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// Signals that depend on themselves without a register between.
    #[error("combinational loop: {}", .path.join(" -> "))]
    CombinationalLoop {
        /// The signals around the loop; the last is the first again.
        path: Vec<String>,
    },
    /// A signal of another module.
    #[error("`{value}` belongs to another module")]
    ForeignSignal {
        /// The expression, in brief.
        value: String,
    },
    /// Two modules that differ share one name.
    #[error("two different modules are named `{name}`")]
    ModuleNameClash {
        /// The name.
        name: String,
    },
    /// Any other wrong number.
    #[error("{what} is {found}; {expected} expected")]
    BadSize {
        /// The quantity.
        what: String,
        /// Its value.
        found: u64,
        /// What would be right.
        expected: String,
    },
}
