//! Shared stimuli of the tests that cross crates.
