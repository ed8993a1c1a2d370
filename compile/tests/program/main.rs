//! Programs of a small network: every field of its records, its passes and strips, what is refused, and their files.

mod fields;
mod files;
mod refusals;
mod small;
mod strips;
