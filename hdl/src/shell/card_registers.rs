//! The card's registers, and the way to those of the core.

use std::rc::Rc;

use isa::PcieConfig;
use isa::pcie::{self, card_control};

use super::offered;
use crate::core::codes::okay;
use crate::rtl::{Builder, Expr, Module, RtlError, cat, lit, mux};

/// AXI4-Lite subordinate behind LitePCIe: leads an access to the core or to the registers of [`isa::pcie`].
///
/// One access at a time. Every answer is OKAY: LitePCIe would make of another one what nobody asked for. Where nothing is, and what the
/// core refuses, reads as all ones; writes there are lost.
pub fn card_registers(config: &PcieConfig) -> Result<Rc<Module>, RtlError> {
    let doc = "Leads an access of the host to the core's registers or to those of the card.";
    Module::build("card_registers", doc, |m: &mut Builder| {
        let access = access(m);
        let core_access = core_access(m, &access);
        let own_registers = own_registers(m, config, &access);
        let answer = answer(m, &access, &core_access, &own_registers);
        outputs(m, &access, &core_access, &own_registers, &answer);
    })
}

/// The access under way.
struct Access {
    ports: HostPorts,
    active: Expr,
    take_write: Expr,
    take_read: Expr,
    take: Expr,
    write: Expr,
    address: Expr,
    data: Expr,
    first: Expr,
    to_core: Expr,
    to_card: Expr,
}

fn access(m: &mut Builder) -> Access {
    let ports = HostPorts::inputs(m);
    m.comment("One access at a time.");
    let active = m.reg_reset("active", 1, 0);
    let take_write = m.named("take_write", &(!&active & &ports.aw_valid & &ports.w_valid));
    let take_read = m.named("take_read", &(!&active & &ports.ar_valid & !&take_write));
    let take = m.named("take", &(&take_write | &take_read));
    let write = m.sample("is_write", &take, &take_write);
    let address = m.sample("address", &take, &mux(&take_write, &ports.aw_address, &ports.ar_address));
    let data = m.sample("write_data", &take, &ports.w_data);
    m.unused(&address.slice(0, 2));
    let first = m.delay_reset("first", &take);
    let page = |base: u32| address.slice(12, 20).eq_lit(u64::from(base >> 12));
    let to_core = m.named("to_core", &page(pcie::CORE_BASE));
    let to_card = m.named("to_card", &page(pcie::CARD_BASE));
    Access { ports, active, take_write, take_read, take, write, address, data, first, to_core, to_card }
}

/// The core's AXI4-Lite port.
struct CoreAccess {
    b_valid: Expr,
    r_valid: Expr,
    r_data: Expr,
    r_resp: Expr,
    aw_out: Expr,
    w_out: Expr,
    ar_out: Expr,
}

fn core_access(m: &mut Builder, access: &Access) -> CoreAccess {
    m.comment("The core's registers: each channel once, until the answer.");
    let mut core_input = |name: &str, width: u32| m.input(&format!("m_axil_{name}"), width);
    let aw_ready = core_input("awready", 1);
    let w_ready = core_input("wready", 1);
    let b_valid = core_input("bvalid", 1);
    let ar_ready = core_input("arready", 1);
    let r_valid = core_input("rvalid", 1);
    let r_data = core_input("rdata", 32);
    let r_resp = core_input("rresp", 2);
    m.unused(&r_resp.bit(0));
    let starts = |of: &Expr| &access.first & &access.to_core & of;
    let aw_out = offered(m, "m_axil_awvalid", &starts(&access.write), &aw_ready);
    let w_out = offered(m, "m_axil_wvalid", &starts(&access.write), &w_ready);
    let ar_out = offered(m, "m_axil_arvalid", &starts(&!&access.write), &ar_ready);
    CoreAccess { b_valid, r_valid, r_data, r_resp, aw_out, w_out, ar_out }
}

/// The card's registers.
struct OwnRegisters {
    offset: Expr,
    stop: Expr,
    reset_core: Expr,
    values: Vec<(u32, Expr)>,
    begins: Vec<(&'static str, Expr)>,
    own: Expr,
}

fn own_registers(m: &mut Builder, config: &PcieConfig, access: &Access) -> OwnRegisters {
    m.comment("The card's registers.");
    let offset = access.address.slice(2, 10);
    let hits = |register: u32| offset.eq_lit(u64::from(register / 4));
    let writes = m.named("writes_card", &(&access.first & &access.to_card & &access.write));
    let control = m.named("controls", &(&writes & hits(pcie::CARD_CONTROL)));
    let stop =
        m.delay_reset("stop", &(&control & access.data.bit(card_control::STREAM_RESET.trailing_zeros())));
    let core_bit = access.data.bit(card_control::CORE_RESET.trailing_zeros());
    let reset_core = m.delay_reset("reset_core", &(&control & core_bit));
    let constant = |value: u32| lit(value.into(), 32);
    let mut values = vec![
        (pcie::CARD_IDENTITY, constant(pcie::IDENTITY)),
        (pcie::MEMORY_BYTES, constant(config.memory_bytes)),
        (pcie::CLOCK_HZ, constant(config.clock_hz)),
        (pcie::CARD_CONTROL, constant(0)),
    ];
    let mut begins = Vec::new();
    let mut states = Vec::new();
    for (name, registers) in [
        ("to_card", [pcie::TO_CARD_OFFSET, pcie::TO_CARD_LENGTH, pcie::TO_CARD_DONE, pcie::TO_CARD_CRC]),
        ("to_host", [pcie::TO_HOST_OFFSET, pcie::TO_HOST_LENGTH, pcie::TO_HOST_DONE, pcie::TO_HOST_CRC]),
    ] {
        let [at, length, done, crc] = registers;
        let sets = |register: u32| &writes & hits(register);
        let place = m.reg_reset(&format!("{name}_offset"), 32, 0);
        m.set_if(&place, &sets(at), &access.data);
        let count = m.reg_reset(&format!("{name}_length"), 32, 0);
        m.set_if(&count, &sets(length), &access.data);
        let begin = m.delay_reset(&format!("{name}_start"), &sets(length));
        let mut input = |what: &str, width: u32| m.input(&format!("{name}_{what}"), width);
        states.push((input("busy", 1), input("refused", 1)));
        values.extend([(at, place), (length, count), (done, input("done", 32)), (crc, input("crc", 32))]);
        begins.push((name, begin));
    }
    let [(in_busy, in_refused), (out_busy, out_refused)] = [&states[0], &states[1]];
    let status = cat(&[out_refused.clone(), in_refused.clone(), out_busy.clone(), in_busy.clone()]);
    values.push((pcie::CARD_STATUS, status.zext(32)));
    let own = m.reg("own_value", 32);
    for (register, value) in &values {
        m.set_if(&own, &(&access.to_card & hits(*register)), value);
    }
    m.set(&own, &lit(u32::MAX.into(), 32));
    OwnRegisters { offset, stop, reset_core, values, begins, own }
}

/// The answer.
struct Answer {
    answered: Expr,
    answer_data: Expr,
}

fn answer(
    m: &mut Builder,
    access: &Access,
    core_access: &CoreAccess,
    own_registers: &OwnRegisters,
) -> Answer {
    m.comment("The answer, which stays until it is taken.");
    let second = m.delay_reset("second", &access.first);
    let core_answers = m.named("core_answers", &(&core_access.b_valid | &core_access.r_valid));
    let done = m.named("done", &((&second & !&access.to_core) | (&access.active & &core_answers)));
    let answered = m.reg_reset("answered", 1, 0);
    let taken =
        m.named("taken", &(&answered & mux(&access.write, &access.ports.b_ready, &access.ports.r_ready)));
    m.set_if(&answered, &taken, &lit(0, 1));
    m.set_if(&answered, &done, &lit(1, 1));
    let refused = core_access.r_resp.bit(1).repeat(32);
    let answer_data = m.sample(
        "answer",
        &done,
        &mux(&access.to_core, &(&core_access.r_data | refused), &own_registers.own),
    );
    m.set_if(&access.active, &access.take, &lit(1, 1));
    m.set_if(&access.active, &taken, &lit(0, 1));
    Answer { answered, answer_data }
}

fn outputs(
    m: &mut Builder,
    access: &Access,
    core_access: &CoreAccess,
    own_registers: &OwnRegisters,
    answer: &Answer,
) {
    m.output("s_axil_awready", &access.take_write);
    m.output("s_axil_wready", &access.take_write);
    m.output("s_axil_bvalid", &(&answer.answered & &access.write));
    m.output("s_axil_bresp", &okay());
    m.output("s_axil_arready", &access.take_read);
    m.output("s_axil_rvalid", &(&answer.answered & !&access.write));
    m.output("s_axil_rdata", &answer.answer_data);
    m.output("s_axil_rresp", &okay());
    let to_offset = cat(&[own_registers.offset.clone(), lit(0, 2)]);
    m.output("m_axil_awvalid", &core_access.aw_out);
    m.output("m_axil_awaddr", &to_offset);
    m.output("m_axil_wvalid", &core_access.w_out);
    m.output("m_axil_wdata", &access.data);
    m.output("m_axil_bready", &lit(1, 1));
    m.output("m_axil_arvalid", &core_access.ar_out);
    m.output("m_axil_araddr", &to_offset);
    m.output("m_axil_rready", &lit(1, 1));
    m.output_doc("stop", &own_registers.stop, "pulse: both streams end");
    m.output_doc("reset_core", &own_registers.reset_core, "pulse");
    for (name, begin) in &own_registers.begins {
        m.output_doc(&format!("{name}_start"), begin, "pulse; offset and length stay");
    }
    for (name, register) in [
        ("to_card_offset", pcie::TO_CARD_OFFSET),
        ("to_card_length", pcie::TO_CARD_LENGTH),
        ("to_host_offset", pcie::TO_HOST_OFFSET),
        ("to_host_length", pcie::TO_HOST_LENGTH),
    ] {
        let (_, value) = own_registers.values.iter().find(|(at, _)| *at == register).expect("listed above");
        m.output(name, value);
    }
}

/// What LitePCIe drives.
struct HostPorts {
    aw_valid: Expr,
    aw_address: Expr,
    w_valid: Expr,
    w_data: Expr,
    b_ready: Expr,
    ar_valid: Expr,
    ar_address: Expr,
    r_ready: Expr,
}

impl HostPorts {
    fn inputs(m: &mut Builder) -> HostPorts {
        let mut input = |name: &str, width: u32| m.input(&format!("s_axil_{name}"), width);
        HostPorts {
            aw_valid: input("awvalid", 1),
            aw_address: input("awaddr", 32),
            w_valid: input("wvalid", 1),
            w_data: input("wdata", 32),
            b_ready: input("bready", 1),
            ar_valid: input("arvalid", 1),
            ar_address: input("araddr", 32),
            r_ready: input("rready", 1),
        }
    }
}
