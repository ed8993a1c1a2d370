//! The program `gen`.

fn main() -> std::process::ExitCode {
    gen_cli::main()
}
