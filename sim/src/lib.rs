//! The Verilated accelerator as a Link, behind an AXI memory model with random stalls and injected errors.
