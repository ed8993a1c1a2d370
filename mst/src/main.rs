//! The program `mst`.

fn main() -> std::process::ExitCode {
    mst::main()
}
