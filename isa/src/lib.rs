//! Registers, layer descriptors and memory layouts of the accelerator: the one definition that hardware, driver and documents read.
