//! Where an access of the host goes.

use std::rc::Rc;

use isa::SocConfig;
use isa::soc;

use super::offered;
use crate::rtl::{Builder, Expr, Module, RtlError, cat, index_width, lit, mux};

/// Leads the host's accesses to the memory, to the core's AXI4-Lite port or to the registers of [`isa::soc`].
///
/// One access at a time, held until `done`, which is registered. Where nothing is, reads give 0 and writes are lost, and `BUS_ERRORS` counts.
pub fn host_bus(config: &SocConfig) -> Result<Rc<Module>, RtlError> {
    let doc = "Leads the host's accesses to the memory, the core's registers or those of the system.";
    let memory_bits = index_width(config.memory_bytes / 4);
    Module::build("host_bus", doc, |m: &mut Builder| {
        let ports = ports(m);
        let places = places(m, config, &ports);
        let core_access = core_access(m, &ports, &places);
        let own_registers = own_registers(m, config, &ports, &places, &core_access);
        let memory_access = memory_access(m, memory_bits, &ports, &places);
        let answer = answer(m, &ports, &places, &core_access, &own_registers.own);
        m.formal(|m| {
            let belongs = place_rules(m, config, memory_bits, &ports, &places, &memory_access, &answer);
            core_rules(m, &ports, &places, &core_access, &answer, &belongs);
            register_rules(m, config, &ports, &core_access, &own_registers, &answer, &belongs);
        });
        outputs(m, &ports, &core_access, &own_registers, &memory_access, &answer);
    })
}

/// What the host asks, and what the memory answers.
struct Ports {
    valid: Expr,
    write: Expr,
    address: Expr,
    write_data: Expr,
    crc: Expr,
    memory_done: Expr,
    memory_data: Expr,
}

fn ports(m: &mut Builder) -> Ports {
    let valid = m.input_doc("valid", 1, "until done");
    let write = m.input("write", 1);
    let address = m.input_doc("address", 30, "byte address divided by 4");
    let write_data = m.input("wdata", 32);
    let crc = m.input("crc", 32);
    let memory_done = m.input("memory_done", 1);
    let memory_data = m.input("memory_rdata", 32);
    Ports { valid, write, address, write_data, crc, memory_done, memory_data }
}

/// Where the access goes, once that is decided.
struct Places {
    decided: Expr,
    to_memory: Expr,
    to_core: Expr,
    to_soc: Expr,
    to_nothing: Expr,
}

fn places(m: &mut Builder, config: &SocConfig, ports: &Ports) -> Places {
    let words = u64::from(config.memory_bytes / 4);
    let page = |base: u32| ports.address.slice(10, 20).eq_lit(u64::from(base >> 12));
    let in_memory = m.named(
        "in_memory",
        &(ports.address.slice(22, 8).eq_lit(u64::from(soc::MEMORY_BASE >> 24))
            & ports.address.slice(0, 22).lt_lit(words)),
    );
    let in_core = m.named("in_core", &page(soc::CORE_BASE));
    let in_soc = m.named("in_soc", &page(soc::SOC_BASE));
    m.comment("One cycle to decide where an access goes.");
    let decided = m.reg_reset("decided", 1, 0);
    let decide = |m: &mut Builder, name: &str, hit: &Expr| {
        let register = m.delay(name, hit);
        m.named(&format!("{name}_now"), &(&decided & register))
    };
    let to_memory = decide(m, "to_memory", &in_memory);
    let to_core = decide(m, "to_core", &in_core);
    let to_soc = decide(m, "to_soc", &in_soc);
    let to_nothing = decide(m, "to_nothing", &!(&in_memory | &in_core | &in_soc));
    Places { decided, to_memory, to_core, to_soc, to_nothing }
}

/// The core's AXI4-Lite port.
struct CoreAccess {
    aw_ready: Expr,
    w_ready: Expr,
    b_valid: Expr,
    b_resp: Expr,
    ar_ready: Expr,
    r_valid: Expr,
    r_data: Expr,
    r_resp: Expr,
    begun: Expr,
    core_done: Expr,
    aw_valid: Expr,
    w_valid: Expr,
    ar_valid: Expr,
}

fn core_access(m: &mut Builder, ports: &Ports, places: &Places) -> CoreAccess {
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
    let begins = m.named("begins", &(&places.to_core & !&begun));
    let core_done = m.named("core_done", &(&begun & (&b_valid | &r_valid)));
    m.set_if(&begun, &core_done, &lit(0, 1));
    m.set_if(&begun, &begins, &lit(1, 1));
    let aw_valid = offered(m, "m_axil_awvalid", &(&begins & &ports.write), &aw_ready);
    let w_valid = offered(m, "m_axil_wvalid", &(&begins & &ports.write), &w_ready);
    let ar_valid = offered(m, "m_axil_arvalid", &(&begins & !&ports.write), &ar_ready);
    CoreAccess {
        aw_ready,
        w_ready,
        b_valid,
        b_resp,
        ar_ready,
        r_valid,
        r_data,
        r_resp,
        begun,
        core_done,
        aw_valid,
        w_valid,
        ar_valid,
    }
}

/// The system's registers.
struct OwnRegisters {
    /// The value at the address, for a read.
    own: Expr,
    crc_clear: Expr,
    errors: Expr,
}

fn own_registers(
    m: &mut Builder,
    config: &SocConfig,
    ports: &Ports,
    places: &Places,
    core_access: &CoreAccess,
) -> OwnRegisters {
    m.comment("The system's own registers.");
    let writes = |register: u32| {
        &places.to_soc & &ports.write & ports.address.slice(0, 10).eq_lit(u64::from(register / 4))
    };
    let crc_clear = m.named("clears_crc", &writes(soc::LINK_CRC));
    let errors = m.reg_reset("bus_errors", 32, 0);
    let refused = m.named(
        "refused",
        &(&core_access.core_done
            & ((&core_access.b_valid & core_access.b_resp.bit(1))
                | (&core_access.r_valid & core_access.r_resp.bit(1)))),
    );
    m.unused(&core_access.b_resp.bit(0));
    m.unused(&core_access.r_resp.bit(0));
    m.set_if(&errors, &writes(soc::BUS_ERRORS), &lit(0, 32));
    m.set_if(&errors, &(&places.to_nothing | &refused), &errors.inc());
    let own = m.reg("own_value", 32);
    for (offset, value) in [
        (soc::SOC_IDENTITY, word(soc::IDENTITY)),
        (soc::MEMORY_BYTES, word(config.memory_bytes)),
        (soc::CLOCK_HZ, word(config.clock_hz)),
        (soc::LINK_CRC, ports.crc.clone()),
        (soc::BUS_ERRORS, errors.clone()),
    ] {
        m.set_if(&own, &ports.address.slice(0, 10).eq_lit(u64::from(offset / 4)), &value);
    }
    m.set(&own, &lit(0, 32));
    OwnRegisters { crc_clear, errors, own }
}

/// What the memory is asked.
struct MemoryAccess {
    memory_valid: Expr,
    memory_write: Expr,
    memory_address: Expr,
    memory_write_data: Expr,
}

fn memory_access(m: &mut Builder, memory_bits: u32, ports: &Ports, places: &Places) -> MemoryAccess {
    m.comment("Towards the memory everything is registered: its banks are all over the chip.");
    let memory_valid = m.delay_reset("memory_asked", &(&places.to_memory & !&ports.memory_done));
    let memory_write = m.delay("memory_writes", &ports.write);
    let memory_address = m.delay("memory_word", &ports.address.slice(0, memory_bits));
    let memory_write_data = m.delay("memory_written", &ports.write_data);
    MemoryAccess { memory_valid, memory_write, memory_address, memory_write_data }
}

/// The end of an access.
struct Answer {
    done: Expr,
    answered: Expr,
    read_value: Expr,
}

fn answer(m: &mut Builder, ports: &Ports, places: &Places, core_access: &CoreAccess, own: &Expr) -> Answer {
    let done = m.named(
        "over",
        &(&places.to_soc
            | &places.to_nothing
            | &core_access.core_done
            | (&places.to_memory & &ports.memory_done)),
    );
    m.comment(
        "The answer is registered. The access that it ends is still there with it, and is not a new one.",
    );
    let answered = m.delay_reset("answered", &done);
    m.set_if(&places.decided, &(&done | &answered), &lit(0, 1));
    m.set(&places.decided, &ports.valid);

    let read_value = {
        let gated = |from: &Expr, value: &Expr| from.repeat(32) & value;
        let sum = gated(&places.to_memory, &ports.memory_data)
            | gated(&places.to_core, &core_access.r_data)
            | gated(&places.to_soc, own);
        m.delay("read_value", &sum)
    };
    Answer { done, answered, read_value }
}

/// Where an access belongs, by its byte address.
struct Belongs {
    byte_address: Expr,
    of_memory: Expr,
    of_core: Expr,
    of_nothing: Expr,
}

/// Of where an access goes, and when it is done.
fn place_rules(
    m: &mut Builder,
    config: &SocConfig,
    memory_bits: u32,
    ports: &Ports,
    places: &Places,
    memory_access: &MemoryAccess,
    answer: &Answer,
) -> Belongs {
    m.comment("The host's side: proved of the module that asks.");
    m.assume_stable(
        "access_stays",
        "An access stays as it is until it is done.",
        &(&ports.valid & !&answer.done),
        &[&ports.valid, &ports.write, &ports.address, &ports.write_data],
    );
    m.comment("Where an access belongs, by its byte address.");
    let byte_address = m.named("byte_address", &cat(&[ports.address.clone(), lit(0, 2)]));
    let mut within = |name: &str, base: u32, bytes: u32| {
        let hit = byte_address.ge_lit(base.into()) & byte_address.le_lit(u64::from(base + (bytes - 1)));
        m.named(name, &hit)
    };
    let of_memory = within("of_memory", soc::MEMORY_BASE, config.memory_bytes);
    let of_core = within("of_core", soc::CORE_BASE, 4096);
    let of_soc = within("of_soc", soc::SOC_BASE, 4096);
    let of_nothing = m.named("of_nothing", &!(&of_memory | &of_core | &of_soc));
    let pairs = [
        (&places.to_memory, &of_memory),
        (&places.to_core, &of_core),
        (&places.to_soc, &of_soc),
        (&places.to_nothing, &of_nothing),
    ];
    let right = pairs.iter().map(|(to, of)| to.eq(of)).fold(lit(1, 1), |all, one| all & one);
    m.assert_formal(
        "goes_where_it_belongs",
        "An access goes to the one place that its address belongs to.",
        &(!&places.decided | (&ports.valid & right)),
    );
    m.assert_formal(
        "done_of_an_access",
        "Only an access is done.",
        &(!&answer.done | (&ports.valid & &places.decided)),
    );
    m.assert_formal(
        "answer_is_no_access",
        "With the answer of an access none is decided.",
        &!(&answer.answered & &places.decided),
    );
    m.assert_next(
        "done_once",
        "An access is done once: the next one is decided anew.",
        &answer.done,
        &!&answer.done,
    );
    m.assert_formal(
        "never_hangs_on_itself",
        "What waits neither for the memory nor for the core is done as soon as it is decided.",
        &(!(&places.decided & (&of_soc | &of_nothing)) | &answer.done),
    );
    m.assert_stable(
        "memory_access_stays",
        "An access of the memory stays as it is until it is done.",
        &(&memory_access.memory_valid & !&ports.memory_done),
        &[
            &memory_access.memory_valid,
            &memory_access.memory_write,
            &memory_access.memory_address,
            &memory_access.memory_write_data,
        ],
    );
    m.assume_formal(
        "memory_answers_what_it_was_asked",
        "Proved of the memory.",
        &(!&ports.memory_done | &memory_access.memory_valid),
    );
    m.assert_formal(
        "memory_access_is_the_hosts",
        "What the memory is asked is the access that the host makes.",
        &(!&memory_access.memory_valid
            | (&places.to_memory
                & memory_access.memory_write.eq(&ports.write)
                & memory_access.memory_address.eq(&ports.address.slice(0, memory_bits))
                & memory_access.memory_write_data.eq(&ports.write_data))),
    );
    Belongs { byte_address, of_memory, of_core, of_nothing }
}

/// Of the core's port.
fn core_rules(
    m: &mut Builder,
    ports: &Ports,
    places: &Places,
    core_access: &CoreAccess,
    answer: &Answer,
    belongs: &Belongs,
) {
    m.comment("AXI4-Lite (IHI 0022 B1, A3): what is offered stays, each channel carries an access once.");
    for (name, valid, ready, payload) in [
        ("aw", &core_access.aw_valid, &core_access.aw_ready, &ports.address),
        ("w", &core_access.w_valid, &core_access.w_ready, &ports.write_data),
        ("ar", &core_access.ar_valid, &core_access.ar_ready, &ports.address),
    ] {
        m.assert_stable(
            &format!("{name}_stays"),
            "A3.2.1: VALID and what it carries stay until READY.",
            &(valid & !ready),
            &[valid, payload],
        );
    }
    let mut moved = |name: &str, valid: &Expr, ready: &Expr| {
        let count = m.reg_reset(name, 2, 0);
        m.set_if(&count, &answer.done, &lit(0, 2));
        m.set(&count, &(&count + (valid & ready).zext(2)));
        count
    };
    let aw_moved = moved("aw_moved", &core_access.aw_valid, &core_access.aw_ready);
    let w_moved = moved("w_moved", &core_access.w_valid, &core_access.w_ready);
    let ar_moved = moved("ar_moved", &core_access.ar_valid, &core_access.ar_ready);
    m.assume_formal(
        "answers_are_due",
        "A3.3.1: the core answers what it took, once: a write after its address and its data, a read after its address.",
        &((!&core_access.b_valid | (aw_moved.any() & w_moved.any())) & (!&core_access.r_valid | ar_moved.any())),
    );
    let once = |valid: &Expr, moved: &Expr, of: &Expr| {
        moved.le_lit(1) & (valid.zext(2) + moved).eq(&(&core_access.begun & of).zext(2))
    };
    let read = !&ports.write;
    m.assert_formal(
        "one_request_an_access",
        "An access of the core's registers moves once over each of its channels, over no other; nothing else does.",
        &(once(&core_access.aw_valid, &aw_moved, &ports.write)
            & once(&core_access.w_valid, &w_moved, &ports.write)
            & once(&core_access.ar_valid, &ar_moved, &read)
            & (!&core_access.begun | &places.to_core)),
    );
    m.assert_formal(
        "answers_are_taken",
        "BREADY and RREADY may be constant: an answer ends the access that it belongs to.",
        &((!&core_access.b_valid | (&answer.done & &belongs.of_core & &ports.write))
            & (!&core_access.r_valid | (&answer.done & &belongs.of_core & &read))),
    );
    m.assert_formal(
        "core_done_by_answer",
        "An access of the core's registers, or of the memory, is done when it is answered, not before.",
        &(!(&answer.done & (&belongs.of_core | &belongs.of_memory))
            | mux(
                &belongs.of_memory,
                &ports.memory_done,
                &mux(&ports.write, &core_access.b_valid, &core_access.r_valid),
            )),
    );
}

fn register_rules(
    m: &mut Builder,
    config: &SocConfig,
    ports: &Ports,
    core_access: &CoreAccess,
    own_registers: &OwnRegisters,
    answer: &Answer,
    belongs: &Belongs,
) {
    let read = !&ports.write;
    m.comment("The system's own registers.");
    let hits = |register: u32| belongs.byte_address.eq_lit(u64::from(soc::SOC_BASE + register));
    let count = m.reg_reset("errors_counted", 32, 0);
    let refusal = mux(&ports.write, &core_access.b_resp, &core_access.r_resp).bit(1);
    m.set_if(&count, &(&answer.done & &ports.write & hits(soc::BUS_ERRORS)), &lit(0, 32));
    m.set_if(&count, &(&answer.done & (&belongs.of_nothing | (&belongs.of_core & refusal))), &count.inc());
    m.assert_formal(
        "errors_are_counted",
        "BUS_ERRORS counts accesses to nothing, and those that the core refuses, since it was last written.",
        &own_registers.errors.eq(&count),
    );
    m.assert_formal(
        "crc_starts_anew",
        "A write to LINK_CRC starts the checksum anew; nothing else does.",
        &own_registers.crc_clear.eq(&(&answer.done & &ports.write & hits(soc::LINK_CRC))),
    );
    let crc_before = m.delay("crc_before", &ports.crc);
    let own_due = [
        (soc::SOC_IDENTITY, word(soc::IDENTITY)),
        (soc::MEMORY_BYTES, word(config.memory_bytes)),
        (soc::CLOCK_HZ, word(config.clock_hz)),
        (soc::LINK_CRC, crc_before),
        (soc::BUS_ERRORS, count),
    ]
    .into_iter()
    .fold(lit(0, 32), |other, (register, value)| mux(&hits(register), &value, &other));
    let due =
        mux(&belongs.of_memory, &ports.memory_data, &mux(&belongs.of_core, &core_access.r_data, &own_due));
    let due = m.delay("due_before", &due);
    m.assert_next(
        "reads_what_is_there",
        "A read returns what the memory or the core says, or the register; nothing is 0.",
        &(&answer.done & &read),
        &answer.read_value.eq(&due),
    );
}

fn outputs(
    m: &mut Builder,
    ports: &Ports,
    core_access: &CoreAccess,
    own_registers: &OwnRegisters,
    memory_access: &MemoryAccess,
    answer: &Answer,
) {
    m.output("done", &answer.answered);
    m.output_doc("rdata", &answer.read_value, "with done, for a read");
    m.output_doc("crc_clear", &own_registers.crc_clear, "pulse");
    m.output_doc("memory_valid", &memory_access.memory_valid, "until memory_done");
    m.output("memory_write", &memory_access.memory_write);
    m.output_doc("memory_address", &memory_access.memory_address, "word of 32 bits");
    m.output("memory_wdata", &memory_access.memory_write_data);
    let offset = cat(&[ports.address.slice(0, 10), lit(0, 2)]);
    m.output("m_axil_awvalid", &core_access.aw_valid);
    m.output("m_axil_awaddr", &offset);
    m.output("m_axil_wvalid", &core_access.w_valid);
    m.output("m_axil_wdata", &ports.write_data);
    m.output("m_axil_bready", &lit(1, 1));
    m.output("m_axil_arvalid", &core_access.ar_valid);
    m.output("m_axil_araddr", &offset);
    m.output("m_axil_rready", &lit(1, 1));
}

fn word(value: u32) -> Expr {
    lit(value.into(), 32)
}
