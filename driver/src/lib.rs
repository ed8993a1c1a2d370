//! Reaches an accelerator through a Link, loads networks into it and runs inference.
