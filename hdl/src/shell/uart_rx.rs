//! Bytes from a serial line.

use std::rc::Rc;

use crate::rtl::{Builder, Module, RtlError, cat, index_width, lit};

/// Receives 8 data bits, least significant first, without parity, with one stop bit; `cycles_per_bit` (4 or more) clock cycles each.
///
/// `valid` pulses in the middle of the stop bit. A start bit that is gone by its middle was noise; a byte without a stop bit is dropped.
/// The line may come from another clock: it passes two registers first.
pub fn uart_rx(cycles_per_bit: u32) -> Result<Rc<Module>, RtlError> {
    let doc = format!("Receives bytes from a serial line: 8N1, {cycles_per_bit} clock cycles a bit.");
    Module::build("uart_rx", &doc, |m: &mut Builder| {
        let bits = index_width(cycles_per_bit);
        let pin = m.input_doc("rx", 1, "the line, high when idle; any clock");
        m.comment("Two registers against metastability; the line rests high.");
        let settling = m.reg_reset("settling", 1, 1);
        m.set(&settling, &pin);
        let line = m.reg_reset("line", 1, 1);
        m.set(&line, &settling);

        let receiving = m.reg_reset("receiving", 1, 0);
        let wait = m.reg("wait_cycles", bits);
        let left = m.reg("bits_left", 4);
        let shifter = m.reg("shifter", 8);
        let begins = m.named("begins", &(!&receiving & !&line));
        let sample = m.named("sample", &(&receiving & wait.is_zero()));
        let start_bit = m.named("start_bit", &left.eq_lit(9));
        let stop_bit = m.named("stop_bit", &left.is_zero());
        m.set_if(&receiving, &begins, &lit(1, 1));
        m.set_if(&receiving, &(&sample & (&stop_bit | (&start_bit & &line))), &lit(0, 1));
        m.set_if(&wait, &begins, &lit(u64::from(cycles_per_bit / 2 - 1), bits));
        m.set_if(&wait, &sample, &lit(u64::from(cycles_per_bit - 1), bits));
        m.set(&wait, &wait.dec());
        m.set_if(&left, &begins, &lit(9, 4));
        m.set_if(&left, &sample, &left.dec());
        m.set_if(&shifter, &sample, &cat(&[line.clone(), shifter.slice(1, 7)]));
        let valid = m.reg_reset("valid", 1, 0);
        m.set(&valid, &(&sample & &stop_bit & &line));
        let data = m.reg("data", 8);
        m.set_if(&data, &(&sample & &stop_bit), &shifter);
        m.output_doc("valid", &valid, "one cycle a byte; there is no way to hold it back");
        m.output("data", &data);
    })
}
