//! The hardware construction layer and the accelerator's components.

pub mod core;
pub mod formal;
pub mod rtl;
pub mod shell;
