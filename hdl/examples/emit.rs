//! Writes the Verilog of a preset: `cargo run -p hdl --example emit -- tiny DIR`.
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let config = isa::CoreConfig::preset(&args[1]).expect("a preset");
    let top = hdl::core::mst_core(&config).unwrap_or_else(|e| panic!("{e}"));
    std::fs::create_dir_all(&args[2]).unwrap();
    for file in hdl::rtl::emit(&top).unwrap_or_else(|e| panic!("{e}")) {
        std::fs::write(format!("{}/{}", args[2], file.name), file.text).unwrap();
    }
}
