//! Core and streams at one memory.

use std::rc::Rc;

use isa::PcieConfig;

use crate::rtl::{Builder, Expr, Module, RtlError, cat, lit, mux};

/// Leads the core's bursts and those of the streams to one AXI4 port, whole bursts in turn.
///
/// Read: the next address is chosen while the burst before it is answered; its ID says whose the answer is. Write: one burst at a time,
/// from its address to its response.
pub fn memory_arbiter(config: &PcieConfig) -> Result<Rc<Module>, RtlError> {
    let (bus, address_bits) = (config.core.bus_bits, config.core.address_bits);
    let doc = "Leads the bursts of the core and of the streams to one memory, in turn.";
    Module::build("memory_arbiter", doc, |m: &mut Builder| {
        m.comment("Read.");
        let (core, stream) =
            (Asked::inputs(m, "core_ar", address_bits), Asked::inputs(m, "stream_ar", address_bits));
        let core_id = m.input("core_arid", 1);
        let core_ready = m.input("core_rready", 1);
        let ready = m.input("arready", 1);
        let r_valid = m.input("rvalid", 1);
        let r_id = m.input_doc("rid", 2, "high bit: of a stream");
        let open = m.reg_reset("ar_open", 1, 0);
        m.set_if(&open, &(&open & &ready), &lit(0, 1));
        let owner = choose(m, "ar", &open, &core, &stream);
        m.output("arvalid", &open);
        m.output("araddr", &mux(&owner, &stream.address, &core.address));
        m.output("arlen", &mux(&owner, &stream.beats_less_one, &core.beats_less_one));
        m.output_doc("arid", &cat(&[owner.clone(), core_id]), "high bit: of a stream");
        m.output("core_arready", &(&open & !&owner & &ready));
        m.output("stream_arready", &(&open & &owner & &ready));
        m.output("core_rvalid", &(&r_valid & !r_id.bit(1)));
        m.output("core_rid", &r_id.bit(0));
        m.output_doc("stream_rvalid", &(&r_valid & r_id.bit(1)), "taken at once");
        m.output("rready", &(r_id.bit(1) | core_ready));

        m.comment("Write.");
        let (core, stream) =
            (Asked::inputs(m, "core_aw", address_bits), Asked::inputs(m, "stream_aw", address_bits));
        let core_id = m.input("core_awid", 1);
        let core_beat = Beat::inputs(m, "core_w", bus);
        let stream_beat = Beat::inputs(m, "stream_w", bus);
        let core_strobe = m.input("core_wstrb", bus / 8);
        let core_ready = m.input("core_bready", 1);
        let ready = m.input("awready", 1);
        let w_ready = m.input("wready", 1);
        let b_valid = m.input("bvalid", 1);
        let b_id = m.input("bid", 2);
        let busy = m.reg_reset("aw_busy", 1, 0);
        let open = m.reg_reset("aw_open", 1, 0);
        m.set_if(&open, &(&open & &ready), &lit(0, 1));
        let owner = choose(m, "aw", &busy, &core, &stream);
        m.set_if(&open, &(!&busy & (&core.valid | &stream.valid)), &lit(1, 1));
        let b_ready = m.named("b_taken", &(&owner | &core_ready));
        m.set_if(&busy, &(&b_valid & &b_ready), &lit(0, 1));
        m.output("awvalid", &open);
        m.output("awaddr", &mux(&owner, &stream.address, &core.address));
        m.output("awlen", &mux(&owner, &stream.beats_less_one, &core.beats_less_one));
        m.output("awid", &cat(&[owner.clone(), core_id]));
        m.output("core_awready", &(&open & !&owner & &ready));
        m.output("stream_awready", &(&open & &owner & &ready));
        m.output("wvalid", &(&busy & mux(&owner, &stream_beat.valid, &core_beat.valid)));
        m.output("wdata", &mux(&owner, &stream_beat.data, &core_beat.data));
        m.output("wstrb", &(owner.repeat(bus / 8) | core_strobe));
        m.output("wlast", &mux(&owner, &stream_beat.last, &core_beat.last));
        m.output("core_wready", &(&busy & !&owner & &w_ready));
        m.output("stream_wready", &(&busy & &owner & &w_ready));
        m.output("core_bvalid", &(&b_valid & !b_id.bit(1)));
        m.output("core_bid", &b_id.bit(0));
        m.output_doc("stream_bvalid", &(&b_valid & b_id.bit(1)), "taken at once");
        m.output("bready", &b_ready);
    })
}

/// The address channel of one side.
struct Asked {
    valid: Expr,
    address: Expr,
    beats_less_one: Expr,
}

impl Asked {
    fn inputs(m: &mut Builder, side: &str, address_bits: u32) -> Asked {
        Asked {
            valid: m.input(&format!("{side}valid"), 1),
            address: m.input(&format!("{side}addr"), address_bits),
            beats_less_one: m.input(&format!("{side}len"), 8),
        }
    }
}

/// The data channel of one side.
struct Beat {
    valid: Expr,
    data: Expr,
    last: Expr,
}

impl Beat {
    fn inputs(m: &mut Builder, side: &str, bus: u32) -> Beat {
        Beat {
            valid: m.input(&format!("{side}valid"), 1),
            data: m.input(&format!("{side}data"), bus),
            last: m.input(&format!("{side}last"), 1),
        }
    }
}

/// Sets `held`, and the owner that it returns (1: the stream), when one of both asks; who was served last waits if both do.
fn choose(m: &mut Builder, name: &str, held: &Expr, core: &Asked, stream: &Asked) -> Expr {
    let choose = m.named(&format!("{name}_choose"), &(!held & (&core.valid | &stream.valid)));
    let owner = m.reg_reset(&format!("{name}_owner"), 1, 0);
    m.set_if(&owner, &choose, &(&stream.valid & (!&core.valid | !&owner)));
    m.set_if(held, &choose, &lit(1, 1));
    owner
}
