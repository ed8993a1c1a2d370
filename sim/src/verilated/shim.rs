//! The C++ between a Verilator model and [`super::ffi`]: one call exchanges all ports and makes one clock cycle.

use super::Ports;
use super::build::Tracing;
use std::fmt::Write;

/// The text of `shim.cpp` for module `top`.
pub fn text(top: &str, clocked: bool, inputs: &Ports, outputs: &Ports, tracing: Tracing) -> String {
    let (include, member, open, dump, close) = match tracing {
        Tracing::None => ("", "", "    if (trace_path) return nullptr;\n", "", ""),
        Tracing::Fst => (
            "#include \"verilated_fst_c.h\"\n",
            "    VerilatedFstC* trace = nullptr;\n",
            "    if (trace_path) {\n        \
                 sim->context.traceEverOn(true);\n        \
                 sim->trace = new VerilatedFstC;\n        \
                 sim->top.trace(sim->trace, 99);\n        \
                 sim->trace->open(trace_path);\n        \
                 if (!sim->trace->isOpen()) { delete sim->trace; delete sim; return nullptr; }\n    }\n",
            "    if (sim->trace) sim->trace->dump(sim->context.time());\n",
            "    if (sim->trace) { sim->trace->close(); delete sim->trace; }\n",
        ),
    };
    let (low, high) = if clocked { ("    sim->top.clk = 0;\n", "    sim->top.clk = 1;\n") } else { ("", "") };
    let mut shim = format!(
        r#"// Exchanges the ports of {top} and makes clock cycles. Time advances 5 ns an edge.
#include "V{top}.h"
#include "verilated.h"
{include}
namespace {{
struct Sim {{
    VerilatedContext context;
    V{top} top;
{member}    Sim() : top(&context, "{top}") {{}}
}};

void drive(Sim* sim, const uint64_t* in) {{
"#
    );
    for (name, place) in inputs.names.iter().zip(&inputs.places) {
        for (target, word, shift, bits) in pieces(name, place.width) {
            let _ = writeln!(
                shim,
                "    {target} = (in[{}] >> {shift}) & 0x{:x}ull;",
                place.first + word,
                mask(bits)
            );
        }
    }
    shim += "    (void)in;\n}\n\nvoid sample(Sim* sim, uint64_t* out) {\n";
    for (name, place) in outputs.names.iter().zip(&outputs.places) {
        for (source, word, shift, _) in pieces(name, place.width) {
            let assign = if shift == 0 { "=" } else { "|=" };
            let _ = writeln!(
                shim,
                "    out[{}] {assign} static_cast<uint64_t>({source}) << {shift};",
                place.first + word
            );
        }
    }
    let _ = write!(
        shim,
        r#"    (void)out;
}}
}}  // namespace

extern "C" {{
void* sim_new(uint32_t seed, const char* trace_path) {{
    Sim* sim = new Sim;
    sim->context.randReset(2);
    sim->context.randSeed(static_cast<int>(seed & 0x7fffffffu));
{open}    return sim;
}}

void sim_settle(void* handle, const uint64_t* in, uint64_t* out) {{
    Sim* sim = static_cast<Sim*>(handle);
    drive(sim, in);
{low}    sim->top.eval();
    sample(sim, out);
}}

void sim_cycle(void* handle, const uint64_t* in, uint64_t* out) {{
    Sim* sim = static_cast<Sim*>(handle);
    sim_settle(handle, in, out);
{dump}    sim->context.timeInc(5000);
{high}    sim->top.eval();
{dump}    sim->context.timeInc(5000);
}}

void sim_free(void* handle) {{
    Sim* sim = static_cast<Sim*>(handle);
    sim->top.final();
{close}    delete sim;
}}
}}
"#
    );
    shim
}

/// The pieces in which a port is copied: C++ expression, word of 64 bits, shift inside it, bits.
fn pieces(name: &str, width: u32) -> Vec<(String, usize, u32, u32)> {
    let port = format!("sim->top.{name}");
    if width <= 64 {
        return vec![(port, 0, 0, width)];
    }
    let piece = |i: u32| (format!("{port}[{i}]"), i as usize / 2, i % 2 * 32, (width - 32 * i).min(32));
    (0..width.div_ceil(32)).map(piece).collect()
}

fn mask(bits: u32) -> u64 {
    u64::MAX >> (64 - bits)
}
