//! Where an access of the host goes: to one place, once, answered by that place.

use std::rc::Rc;

use super::{Method, Planted, Proof, instance, system};
use crate::rtl::{Module, RtlError, lit};
use crate::shell::host_bus::host_bus;

const FILE: &str = "host_bus.v";

pub(super) const PROOFS: [Proof; 1] = [Proof {
    name: "host_bus_proof",
    rule: "each access goes once to the one place that its address belongs to, and is done once, with that place's answer; \
           AXI4-Lite: VALID and what it carries stay; errors counted",
    method: Method::Induction,
    depth: 3,
    cover_depth: 12,
    build: top,
    planted: &[
        Planted {
            file: FILE,
            text: "end else if (m_axil_wready) begin",
            changed: "end else if (m_axil_wready | m_axil_awready) begin",
        },
        Planted {
            file: FILE,
            text: "begins = to_core_now & ~begun;",
            changed: "begins = to_core_now & ~m_axil_awvalid;",
        },
        Planted { file: FILE, text: "(address[21:0] < 22'hc00);", changed: "(address[21:0] <= 22'hc00);" },
        Planted {
            file: FILE,
            text: "core_done = begun & (m_axil_bvalid | m_axil_rvalid);",
            changed: "core_done = begun & (m_axil_bvalid | m_axil_rvalid | m_axil_wready);",
        },
        Planted { file: FILE, text: "to_nothing_now | refused", changed: "to_nothing_now" },
    ],
}];

fn top(name: &str) -> Result<Rc<Module>, RtlError> {
    let bus = host_bus(&system())?;
    Module::build(name, "The host's bus between any accesses, a memory and a core.", |m| {
        let write = m.input("write", 1);
        let bus = instance(m, "bus", &bus, &[("write", write.clone())]);
        m.assume_reset_first();
        let done = bus.output("done");
        let core_asked = m.reg_reset("core_asked", 1, 0);
        m.set_if(&core_asked, &(bus.output("m_axil_wvalid") | bus.output("m_axil_arvalid")), &lit(1, 1));
        let done_before = m.reg_reset("done_before", 2, 0);
        m.set_if(&done_before, &(&done & !done_before.all()), &done_before.inc());
        m.cover_formal(
            "memory_then_core",
            "An access of the core is done after another one.",
            &(&done & &core_asked & done_before.any()),
        );
        let in_memory = m.delay("in_memory", &bus.output("memory_valid"));
        m.cover_formal("memory", "An access of the memory is done.", &(&done & &in_memory));
        m.cover_formal("clears", "The checksum starts anew.", &bus.output("crc_clear"));
        m.cover_formal(
            "reads_own",
            "A register of the system is read.",
            &(&done & !&write & !&core_asked & bus.output("rdata").eq_lit(isa::soc::IDENTITY.into())),
        );
        m.output("any", &lit(0, 1));
    })
}
