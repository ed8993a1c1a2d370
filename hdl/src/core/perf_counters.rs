//! Where the cycles went.

use std::rc::Rc;

use isa::CoreConfig;

use super::shaped;
use crate::rtl::{Builder, Expr, Module, RtlError, lit};

/// Counts the cycles of a run by what they were spent on; 32 bits each, wrapping, cleared by the host.
///
/// A count shows a cycle, and a clear takes effect, two cycles later; spikes show four cycles after their `emit`.
pub fn perf_counters(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("perf_counters", config)?;
    let doc = "Counts a run's cycles by what they were spent on, and its spikes.";
    Module::build("perf_counters", doc, |m: &mut Builder| {
        let clear = m.input("clear", 1);
        let clear = m.delay("clears", &clear);
        // All go up by one in each cycle in which the input of the same name is high, but spikes: each lane has its own.
        for name in isa::COUNTERS.iter().map(|counter| counter.signal()).filter(|name| name != "spikes") {
            let enable = m.input(&name, 1);
            let enable = m.delay(&format!("counts_{name}"), &enable);
            let counter = m.reg_reset(&format!("count_{name}"), 32, 0);
            m.set_if(&counter, &clear, &lit(0, 32));
            m.set_if(&counter, &enable, &counter.inc());
            m.output(&format!("count_{name}"), &counter);
        }
        m.comment("Spikes: register, count, add.");
        let emit = m.input("emit", 1);
        let transmitted = m.input("transmitted", config.lanes);
        let valid = m.delay_reset("spikes_valid", &emit);
        let held = m.delay("spikes_held", &transmitted);
        let in_parts = m.delay_reset("parts_valid", &valid);
        let counted = m.delay_reset("count_valid", &in_parts);
        let part =
            |m: &mut Builder, i: u32| m.delay(&format!("spikes_part_{i}"), &ones(&held.slice(8 * i, 8)));
        let parts = (0..config.lanes / 8).map(|i| part(m, i)).collect();
        let number = m.delay("spikes_number", &sum(parts));
        let spikes = m.reg_reset("count_spikes", 32, 0);
        m.set_if(&spikes, &clear, &lit(0, 32));
        m.set_if(&spikes, &counted, &(&spikes + number.zext(32)));
        m.output("count_spikes", &spikes);
    })
}

/// Number of set bits.
fn ones(bits: &Expr) -> Expr {
    sum((0..bits.width()).map(|i| bits.bit(i)).collect())
}

/// The sum, as a balanced tree.
fn sum(mut sums: Vec<Expr>) -> Expr {
    while sums.len() > 1 {
        sums =
            sums.chunks(2)
                .map(|pair| {
                    if pair.len() == 2 {
                        pair[0].add_wide(&pair[1])
                    } else {
                        pair[0].zext(pair[0].width() + 1)
                    }
                })
                .collect();
    }
    sums[0].clone()
}
