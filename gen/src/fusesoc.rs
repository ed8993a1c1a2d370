//! The generated core as a FuseSoC package.

use std::fmt::Write;

/// The package description (CAPI 2) of the design `top` made of these Verilog files, children first, with these register descriptions.
///
/// Its targets: `lint` runs Verilator without a waiver, `synth` Yosys for ECP5. A system that depends on the package gets its files
/// from `default`.
pub fn package(top: &str, files: &[String], registers: &[String]) -> String {
    let mut text = format!(
        "CAPI=2:\n\
         # Generated beside the Verilog.\n\
         name: mst:accelerator:{top}:{}\n\
         description: Accelerator for Masked Spiking Transformers\n\
         \n\
         filesets:\n  \
           rtl:\n    \
             file_type: verilogSource\n    \
             files:\n",
        env!("CARGO_PKG_VERSION")
    );
    for file in files {
        let _ = writeln!(text, "      - {file}");
    }
    text += "  registers:\n    file_type: user\n    files:\n";
    for file in registers {
        let _ = writeln!(text, "      - {file}");
    }
    let targets = "\n\
            targets:\n  \
              default: &default\n    \
                filesets: [rtl, registers]\n    \
                toplevel: TOP\n  \
              lint:\n    \
                <<: *default\n    \
                description: Verilator, all warnings, no waiver\n    \
                flow: lint\n    \
                flow_options:\n      \
                  tool: verilator\n      \
                  verilator_options: [-Wall]\n  \
              synth:\n    \
                <<: *default\n    \
                description: Yosys, for ECP5 (needs a Yosys with Tcl)\n    \
                flow: generic\n    \
                flow_options:\n      \
                  tool: yosys\n      \
                  arch: ecp5\n      \
                  output_format: json\n";
    text + &targets.replace("TOP", top)
}
