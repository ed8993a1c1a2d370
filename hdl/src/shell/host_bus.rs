//! Where an access of the host goes.

use std::rc::Rc;

use isa::SocConfig;
use isa::soc;

use crate::rtl::{Builder, Expr, Module, RtlError, cat, index_width, lit};

/// Leads the host's accesses to the memory, to the core's AXI4-Lite port or to the registers of [`isa::soc`].
///
/// One access at a time, held until `done`. Where nothing is, reads give 0 and writes are lost, and `BUS_ERRORS` counts.
pub fn host_bus(config: &SocConfig) -> Result<Rc<Module>, RtlError> {
    let doc = "Leads the host's accesses to the memory, the core's registers or those of the system.";
    Module::build("host_bus", doc, |m: &mut Builder| {
        let valid = m.input_doc("valid", 1, "until done");
        let write = m.input("write", 1);
        let address = m.input_doc("address", 30, "byte address divided by 4");
        let write_data = m.input("wdata", 32);
        let crc = m.input("crc", 32);
        let memory_done = m.input("memory_done", 1);
        let memory_data = m.input("memory_rdata", 32);

        let words = u64::from(config.memory_bytes / 4);
        let memory_bits = index_width(config.memory_bytes / 4);
        let page = |base: u32| address.slice(10, 20).eq_lit(u64::from(base >> 12));
        let in_memory = m.named(
            "in_memory",
            &(address.slice(22, 8).eq_lit(u64::from(soc::MEMORY_BASE >> 24))
                & address.slice(0, 22).lt_lit(words)),
        );
        let in_core = m.named("in_core", &page(soc::CORE_BASE));
        let in_soc = m.named("in_soc", &page(soc::SOC_BASE));
        m.comment("One cycle to decide where an access goes.");
        let decided = m.reg_reset("decided", 1, 0);
        let decide = |m: &mut Builder, name: &str, hit: &Expr| {
            let register = m.reg(name, 1);
            m.set(&register, hit);
            m.named(&format!("{name}_now"), &(&decided & register))
        };
        let to_memory = decide(m, "to_memory", &in_memory);
        let to_core = decide(m, "to_core", &in_core);
        let to_soc = decide(m, "to_soc", &in_soc);
        let to_nothing = decide(m, "to_nothing", &!(&in_memory | &in_core | &in_soc));

        m.comment("The core's registers: each channel once, until the answer.");
        let mut core_input = |name: &str, width: u32| m.input(&format!("m_axil_{name}"), width);
        let aw_ready = core_input("awready", 1);
        let w_ready = core_input("wready", 1);
        let b_valid = core_input("bvalid", 1);
        let b_resp = core_input("bresp", 2);
        let ar_ready = core_input("arready", 1);
        let r_valid = core_input("rvalid", 1);
        let r_data = core_input("rdata", 32);
        let r_resp = core_input("rresp", 2);
        let begun = m.reg_reset("begun", 1, 0);
        let begins = m.named("begins", &(&to_core & !&begun));
        let core_done = m.named("core_done", &(&begun & (&b_valid | &r_valid)));
        m.set_if(&begun, &core_done, &lit(0, 1));
        m.set_if(&begun, &begins, &lit(1, 1));
        let mut channel = |name: &str, starts: &Expr, ready: &Expr| {
            let register = m.reg_reset(name, 1, 0);
            m.set_if(&register, starts, &lit(1, 1));
            m.set_if(&register, ready, &lit(0, 1));
            register
        };
        let aw_valid = channel("m_axil_awvalid", &(&begins & &write), &aw_ready);
        let w_valid = channel("m_axil_wvalid", &(&begins & &write), &w_ready);
        let ar_valid = channel("m_axil_arvalid", &(&begins & !&write), &ar_ready);

        m.comment("The system's own registers.");
        let writes = |register: u32| &to_soc & &write & address.slice(0, 10).eq_lit(u64::from(register / 4));
        let crc_clear = m.named("clears_crc", &writes(soc::LINK_CRC));
        let errors = m.reg_reset("bus_errors", 32, 0);
        let refused =
            m.named("refused", &(&core_done & ((&b_valid & b_resp.bit(1)) | (&r_valid & r_resp.bit(1)))));
        m.unused(&b_resp.bit(0));
        m.unused(&r_resp.bit(0));
        m.set_if(&errors, &writes(soc::BUS_ERRORS), &lit(0, 32));
        m.set_if(&errors, &(&to_nothing | &refused), &errors.inc());
        let constant = |value: u32| lit(value.into(), 32);
        let own = m.reg("own_value", 32);
        for (offset, value) in [
            (soc::SOC_IDENTITY, constant(soc::IDENTITY)),
            (soc::MEMORY_BYTES, constant(config.memory_bytes)),
            (soc::CLOCK_HZ, constant(config.clock_hz)),
            (soc::LINK_CRC, crc),
            (soc::BUS_ERRORS, errors.clone()),
        ] {
            m.set_if(&own, &address.slice(0, 10).eq_lit(u64::from(offset / 4)), &value);
        }
        m.set(&own, &lit(0, 32));

        let done = m.named("over", &(&to_soc | &to_nothing | &core_done | (&to_memory & &memory_done)));
        m.set_if(&decided, &done, &lit(0, 1));
        m.set(&decided, &valid);

        m.output("done", &done);
        let gated = |from: &Expr, value: &Expr| from.repeat(32) & value;
        m.output_doc(
            "rdata",
            &(gated(&to_memory, &memory_data) | gated(&to_core, &r_data) | gated(&to_soc, &own)),
            "with done, for a read",
        );
        m.output_doc("crc_clear", &crc_clear, "pulse");
        m.output_doc("memory_valid", &to_memory, "until memory_done");
        m.output("memory_write", &write);
        m.output_doc("memory_address", &address.slice(0, memory_bits), "word of 32 bits");
        m.output("memory_wdata", &write_data);
        let offset = cat(&[address.slice(0, 10), lit(0, 2)]);
        m.output("m_axil_awvalid", &aw_valid);
        m.output("m_axil_awaddr", &offset);
        m.output("m_axil_wvalid", &w_valid);
        m.output("m_axil_wdata", &write_data);
        m.output("m_axil_bready", &lit(1, 1));
        m.output("m_axil_arvalid", &ar_valid);
        m.output("m_axil_araddr", &offset);
        m.output("m_axil_rready", &lit(1, 1));
    })
}
