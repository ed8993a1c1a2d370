//! A small hardware construction layer that emits Verilog-2005.
//!
//! A module is built by a Rust closure that declares ports, wires, registers, memories and instances on a [`Builder`].
//! Values are [`Expr`]s; each knows its width and signedness, and nothing is ever extended or cut silently. Mistakes
//! are reported by [`Module::build`] with the names of the signals involved, before any text exists. [`emit`] then
//! writes one file a module.
//!
//! ```
//! use hdl::rtl::{Module, emit};
//!
//! let counter = Module::build("counter", "Counts the cycles with `enable`.", |m| {
//!     let enable = m.input_doc("enable", 1, "count in this cycle");
//!     let count = m.reg_reset("count", 8, 0);
//!     m.set_if(&count, &enable, &count.inc());
//!     m.output("count", &count);
//! })?;
//! assert_eq!(emit(&counter)?[0].name, "counter.v");
//! # Ok::<(), hdl::rtl::RtlError>(())
//! ```

mod always;
mod bits;
mod builder;
mod check;
mod diagram;
mod error;
mod expr;
mod fold;
mod formal;
mod instance;
mod links;
mod lower;
mod memory;
mod module;
mod names;
mod nets;
mod ops;
mod ports;
mod print;
mod render;
mod unread;

pub use builder::Builder;
pub use diagram::mermaid;
pub use error::{Fault, RtlError};
pub use expr::Expr;
pub use instance::Instance;
pub use memory::Memory;
pub use module::{Module, VerilogFile, emit};
pub use nets::Nets;
pub use ops::{cat, constant, index_width, lit, mux, select, slit};
pub use ports::{Port, PortDirection};
