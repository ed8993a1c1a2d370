//! AXI4-Lite registers.

use std::rc::Rc;

use isa::registers::{self, Access, control};
use isa::{CoreConfig, IDENTITY, VERSION};

use super::codes::okay;
use super::shaped;
use crate::rtl::{Builder, Expr, Module, RtlError, cat, lit, mux};

/// Bits of a register's byte offset.
pub(super) const ADDRESS_BITS: u32 = registers::BYTES.trailing_zeros();

/// The read-only registers that other modules drive, as input ports of the same name in lower case.
pub(super) fn status_names() -> Vec<&'static str> {
    let constant = ["IDENTITY", "VERSION", "CONFIG0", "CONFIG1", "CONFIG2", "CONFIG3"];
    let live =
        registers::REGISTERS.iter().filter(|r| r.access == Access::ReadOnly && !constant.contains(&r.name));
    live.map(|r| r.name).collect()
}

/// AXI4-Lite slave with the registers of [`isa::registers`]: one transfer at a time in each direction, byte strobes honoured,
/// undefined offsets read 0 and ignore writes, all responses OKAY.
pub fn csr(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("csr", config)?;
    let doc = "AXI4-Lite slave with the control, status and counter registers (docs/isa.md).";
    Module::build("csr", doc, |m: &mut Builder| {
        let ports = ports(m);
        let write_channel = write_channel(m, &ports);
        let values = values(m, config, &write_channel);
        let read_channel = read_channel(m, &ports, &values);
        rules(m, &write_channel, &ports, &read_channel);
        outputs(m, &write_channel, &read_channel);
    })
}

/// The slave's inputs.
struct Ports {
    aw_addr: Expr,
    aw_valid: Expr,
    w_data: Expr,
    w_strobe: Expr,
    w_valid: Expr,
    b_ready: Expr,
    ar_addr: Expr,
    ar_valid: Expr,
    r_ready: Expr,
}

fn ports(m: &mut Builder) -> Ports {
    let aw_addr = m.input("awaddr", ADDRESS_BITS);
    let aw_valid = m.input("awvalid", 1);
    let w_data = m.input("wdata", 32);
    let w_strobe = m.input("wstrb", 4);
    let w_valid = m.input("wvalid", 1);
    let b_ready = m.input("bready", 1);
    let ar_addr = m.input("araddr", ADDRESS_BITS);
    let ar_valid = m.input("arvalid", 1);
    let r_ready = m.input("rready", 1);
    m.unused(&aw_addr.slice(0, 2));
    m.unused(&ar_addr.slice(0, 2));
    Ports { aw_addr, aw_valid, w_data, w_strobe, w_valid, b_ready, ar_addr, ar_valid, r_ready }
}

/// A write: its halves as they are held, and its answer.
struct Write {
    address_held: Expr,
    data_held: Expr,
    b_valid: Expr,
    address: Expr,
    data: Expr,
    strobe: Expr,
    write: Expr,
    take_address: Expr,
    take_data: Expr,
}

/// Takes address and data, in any order, and answers.
fn write_channel(m: &mut Builder, ports: &Ports) -> Write {
    m.comment("Write: hold address and data until both are there, then answer.");
    let address_held = m.reg_reset("address_held", 1, 0);
    let data_held = m.reg_reset("data_held", 1, 0);
    let b_valid = m.reg_reset("bvalid", 1, 0);
    let address = m.reg("write_address", ADDRESS_BITS - 2);
    let data = m.reg("write_data", 32);
    let strobe = m.reg("write_strobe", 4);
    let write = m.named("write", &(&address_held & &data_held & !&b_valid));
    let take_address = m.named("take_address", &(&ports.aw_valid & !&address_held));
    let take_data = m.named("take_data", &(&ports.w_valid & !&data_held));
    m.set_if(&address_held, &write, &lit(0, 1));
    m.set_if(&address_held, &take_address, &lit(1, 1));
    m.set_if(&data_held, &write, &lit(0, 1));
    m.set_if(&data_held, &take_data, &lit(1, 1));
    m.set_if(&address, &take_address, &ports.aw_addr.slice(2, ADDRESS_BITS - 2));
    m.set_if(&data, &take_data, &ports.w_data);
    m.set_if(&strobe, &take_data, &ports.w_strobe);
    m.set_if(&b_valid, &write, &lit(1, 1));
    m.set_if(&b_valid, &ports.b_ready, &lit(0, 1));
    Write { address_held, data_held, b_valid, address, data, strobe, write, take_address, take_data }
}

/// Every register's offset and value; those that the host writes are here.
fn values(m: &mut Builder, config: &CoreConfig, write_channel: &Write) -> Vec<(u32, Expr)> {
    for (field, value) in config.register_fields() {
        m.fits(field.name, value.into(), field.width);
    }
    let mut values: Vec<(u32, Expr)> =
        vec![(registers::IDENTITY, lit(IDENTITY.into(), 32)), (registers::VERSION, lit(VERSION.into(), 32))];
    for (offset, value) in [registers::CONFIG0, registers::CONFIG1, registers::CONFIG2, registers::CONFIG3]
        .into_iter()
        .zip(config.registers())
    {
        values.push((offset, lit(value.into(), 32)));
    }
    for name in status_names() {
        let offset = registers::REGISTERS.iter().find(|r| r.name == name).map_or(0, |r| r.offset);
        values.push((offset, m.input(&name.to_lowercase(), 32)));
    }
    m.comment("Registers that the host writes.");
    let hit = |offset: u32| &write_channel.write & write_channel.address.eq_lit(u64::from(offset / 4));
    for r in registers::REGISTERS.iter().filter(|r| r.access == Access::ReadWrite) {
        let register = m.reg_reset(&r.name.to_lowercase(), 32, 0);
        let merged: Vec<Expr> = (0..4)
            .rev()
            .map(|i| {
                mux(
                    &write_channel.strobe.bit(i),
                    &write_channel.data.slice(8 * i, 8),
                    &register.slice(8 * i, 8),
                )
            })
            .collect();
        m.set_if(&register, &hit(r.offset), &cat(&merged));
        m.output_doc(&r.name.to_lowercase(), &register, "as written by the host");
        values.push((r.offset, register));
    }
    let act = m.named("act", &(hit(registers::CONTROL) & write_channel.strobe.bit(0)));
    for (name, bit) in [
        ("start", control::START),
        ("soft_reset", control::SOFT_RESET),
        ("clear_done", control::CLEAR_DONE),
        ("clear_counters", control::CLEAR_COUNTERS),
    ] {
        let pulse =
            m.delay_reset(&format!("{name}_written"), &(&act & write_channel.data.bit(bit.trailing_zeros())));
        m.output_doc(name, &pulse, "pulse, in the cycle after the write");
    }
    values
}

/// A read: the address as it is held, and its answer.
struct Read {
    read_held: Expr,
    r_valid: Expr,
    take_read: Expr,
    answer: Expr,
    r_data: Expr,
}

/// Takes an address and answers with its register.
fn read_channel(m: &mut Builder, ports: &Ports, values: &[(u32, Expr)]) -> Read {
    m.comment("Read: hold the address, find its register, answer.");
    let read_held = m.reg_reset("read_held", 1, 0);
    let r_valid = m.reg_reset("rvalid", 1, 0);
    let read_address = m.reg("read_address", ADDRESS_BITS - 2);
    let take_read = m.named("take_read", &(&ports.ar_valid & !&read_held));
    let found = m.reg_reset("read_found", 1, 0);
    let answer = m.named("answer", &(&read_held & &found & !&r_valid));
    m.set(&found, &(&read_held & !&answer));
    m.set_if(&read_held, &answer, &lit(0, 1));
    m.set_if(&read_held, &take_read, &lit(1, 1));
    m.set_if(&read_address, &take_read, &ports.ar_addr.slice(2, ADDRESS_BITS - 2));
    m.set_if(&r_valid, &answer, &lit(1, 1));
    m.set_if(&r_valid, &ports.r_ready, &lit(0, 1));
    let r_data = m.reg("rdata", 32);
    let chosen = values.iter().map(|(offset, value)| {
        let here = m.delay(&format!("reads_{offset:03x}"), &read_address.eq_lit(u64::from(offset / 4)));
        here.repeat(32) & value
    });
    let chosen = chosen.reduce(|all, one| all | one).unwrap_or(lit(0, 32));
    m.set_if(&r_data, &answer, &chosen);
    Read { read_held, r_valid, take_read, answer, r_data }
}

fn rules(m: &mut Builder, write_channel: &Write, ports: &Ports, read_channel: &Read) {
    m.formal(|m| {
        m.comment("AXI4-Lite (IHI 0022 B1, A3): what is offered stays, and every request has one answer.");
        m.assert_stable(
            "b_stays",
            "A3.2.1: BVALID stays until BREADY.",
            &(&write_channel.b_valid & !&ports.b_ready),
            &[&write_channel.b_valid],
        );
        m.assert_stable(
            "r_stays",
            "A3.2.1: RVALID and its data stay until RREADY.",
            &(&read_channel.r_valid & !&ports.r_ready),
            &[&read_channel.r_valid, &read_channel.r_data],
        );
        // Requests taken and not answered.
        let mut open = |name: &str, taken: &Expr, answered: Expr| {
            let count = m.reg_reset(name, 2, 0);
            m.set(&count, &(&count + taken.zext(2) - answered.zext(2)));
            count
        };
        let addresses =
            open("open_addresses", &write_channel.take_address, &write_channel.b_valid & &ports.b_ready);
        let datas = open("open_datas", &write_channel.take_data, &write_channel.b_valid & &ports.b_ready);
        let reads = open("open_reads", &read_channel.take_read, &read_channel.r_valid & &ports.r_ready);
        let sum = |held: &Expr, valid: &Expr| held.zext(2) + valid.zext(2);
        m.assert_formal(
            "one_answer_a_write",
            "A3.3.1: a write is answered once, after its address and its data.",
            &(addresses.eq(&sum(&write_channel.address_held, &write_channel.b_valid))
                & datas.eq(&sum(&write_channel.data_held, &write_channel.b_valid))),
        );
        m.assert_formal(
            "one_answer_a_read",
            "A3.3.1: a read is answered once, after its address.",
            &reads.eq(&sum(&read_channel.read_held, &read_channel.r_valid)),
        );
        m.assert_next(
            "write_answers",
            "A write is answered in the next cycle.",
            &write_channel.write,
            &write_channel.b_valid,
        );
        m.assert_next(
            "read_answers",
            "A read is answered in the next cycle.",
            &read_channel.answer,
            &read_channel.r_valid,
        );
        m.cover_formal(
            "write_behind_write",
            "A write waits behind an answer.",
            &(&write_channel.b_valid & &write_channel.address_held & &write_channel.data_held),
        );
        m.cover_formal(
            "read_behind_read",
            "A read waits behind an answer.",
            &(&read_channel.r_valid & &read_channel.read_held),
        );
    });
}

fn outputs(m: &mut Builder, write_channel: &Write, read_channel: &Read) {
    m.output("awready", &!&write_channel.address_held);
    m.output("wready", &!&write_channel.data_held);
    m.output("bvalid", &write_channel.b_valid);
    m.output("bresp", &okay());
    m.output("arready", &!&read_channel.read_held);
    m.output("rvalid", &read_channel.r_valid);
    m.output("rdata", &read_channel.r_data);
    m.output("rresp", &okay());
}
