//! Bytes to a serial line.

use std::rc::Rc;

use crate::rtl::{Builder, Module, RtlError, cat, index_width, lit};

/// Sends 8 data bits, least significant first, without parity, with one stop bit; `cycles_per_bit` (4 or more) clock cycles each.
/// `ready` is high while the line is idle.
pub fn uart_tx(cycles_per_bit: u32) -> Result<Rc<Module>, RtlError> {
    let doc = format!("Sends bytes on a serial line: 8N1, {cycles_per_bit} clock cycles a bit.");
    Module::build("uart_tx", &doc, |m: &mut Builder| {
        let bits = index_width(cycles_per_bit);
        let valid = m.input("valid", 1);
        let data = m.input("data", 8);
        let left = m.reg_reset("bits_left", 4, 0);
        let wait = m.reg("wait_cycles", bits);
        m.comment("The lowest bit is on the line; ones fill up, so that it rests high.");
        let shifter = m.reg_reset("shifter", 9, 0x1ff);
        let idle = m.named("idle", &left.is_zero());
        let take = m.named("take", &(&idle & &valid));
        let next = m.named("next_bit", &(!&idle & wait.is_zero()));
        m.set_if(&left, &take, &lit(10, 4));
        m.set_if(&left, &next, &left.dec());
        m.set_if(&wait, &(&take | &next), &lit(u64::from(cycles_per_bit - 1), bits));
        m.set(&wait, &wait.dec());
        m.set_if(&shifter, &take, &cat(&[data.clone(), lit(0, 1)]));
        m.set_if(&shifter, &next, &cat(&[lit(1, 1), shifter.slice(1, 8)]));
        m.output_doc("ready", &idle, "a byte is taken");
        m.output_doc("tx", &shifter.bit(0), "the line, high when idle");
    })
}
