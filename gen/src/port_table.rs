//! The ports of a generated top as a Markdown table.

use hdl::rtl::{Module, Port};
use std::fmt::Write;

/// The table of the ports of `top`, in the order of the Verilog; `sizes` says which one it is of.
pub fn markdown(top: &Module, sizes: &str) -> String {
    let mut text = format!(
        "# Ports of `{}`\n\nGenerated beside the Verilog, with {sizes}. An input is read and an output changes at rising edges of its \
         clock; – stands for a clock itself, and for a port that belongs to none.\n\n\
         | port | direction | width | clock | meaning |\n|---|---|---:|---|---|\n",
        top.name()
    );
    for Port { name, direction, width, clock, doc, .. } in top.ports() {
        let clock = clock.as_ref().map_or_else(|| "–".to_owned(), |clock| format!("`{clock}`"));
        let direction = direction.verilog();
        let _ = writeln!(text, "| `{name}` | {direction} | {width} | {clock} | {doc} |");
    }
    text
}
