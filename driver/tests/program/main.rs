//! Programs of a small network: every field of its descriptors, and what is refused.

mod fields;
mod refusals;
mod small;
