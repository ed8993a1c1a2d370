//! Programs of a small network: every field of its descriptors, what is refused, and their files.

mod fields;
mod files;
mod refusals;
mod small;
