//! Bytes to a serial line.

use std::rc::Rc;

use crate::rtl::{Builder, Expr, Module, RtlError, cat, index_width, lit, mux};

/// Sends 8 data bits, least significant first, without parity, with one stop bit; `cycles_per_bit` (4 or more) clock cycles each.
/// `ready` is high while the line is idle.
pub fn uart_tx(cycles_per_bit: u32) -> Result<Rc<Module>, RtlError> {
    let doc = format!("Sends bytes on a serial line: 8N1, {cycles_per_bit} clock cycles a bit.");
    Module::build("uart_tx", &doc, |m: &mut Builder| {
        m.requires("cycles of a bit", cycles_per_bit.into(), cycles_per_bit >= 2, "2 or more");
        let bits = index_width(cycles_per_bit);
        let valid = m.input("valid", 1);
        let data = m.input("data", 8);
        let left = m.reg_reset("bits_left", 4, 0);
        let wait = m.reg("wait_cycles", bits);
        m.comment("The lowest bit is on the line; ones fill up, so that it rests high.");
        let shifter = m.reg_reset("shifter", 9, 0x1ff);
        let idle = m.reg_reset("idle", 1, 1);
        let take = m.named("take", &(&idle & &valid));
        let next = m.named("next_bit", &(!&idle & wait.is_zero()));
        m.set_if(&idle, &take, &lit(0, 1));
        m.set_if(&idle, &(&next & left.eq_lit(1)), &lit(1, 1));
        m.set_if(&left, &take, &lit(10, 4));
        m.set_if(&left, &next, &left.dec());
        m.set_if(&wait, &(&take | &next), &lit(u64::from(cycles_per_bit - 1), bits));
        m.set(&wait, &wait.dec());
        m.set_if(&shifter, &take, &cat(&[data.clone(), lit(0, 1)]));
        m.set_if(&shifter, &next, &cat(&[lit(1, 1), shifter.slice(1, 8)]));
        m.formal(|m| {
            m.comment("The latest byte in its frame: start bit, eight data bits, stop bit; and the cycles since it was taken.");
            let cycles = u64::from(cycles_per_bit);
            let byte = m.reg("byte_taken", 8);
            m.set_if(&byte, &take, &data);
            let frame = m.named("frame", &cat(&[lit(1, 1), byte, lit(0, 1)]));
            let sending = m.reg_reset("sending", 1, 0);
            let age_bits = index_width(10 * cycles_per_bit + 1);
            let age = m.reg_reset("age", age_bits, 0);
            m.set_if(&sending, &take, &lit(1, 1));
            m.set_if(&sending, &age.eq_lit(10 * cycles - 1), &lit(0, 1));
            m.set_if(&age, &take, &lit(0, age_bits));
            m.set_if(&age, &sending, &age.inc());
            // What holds of the bit that is due at this age.
            let mut of_bit = |name: &str, value: &dyn Fn(u32) -> Expr| {
                let due = (0..9).rev().fold(value(9), |later, bit| {
                    mux(&age.lt_lit(cycles * u64::from(bit + 1)), &value(bit), &later)
                });
                m.named(name, &due)
            };
            let bit_due = of_bit("bit_due", &|bit| frame.bit(bit));
            let rest = of_bit("rest_of_frame", &|bit| cat(&[lit(0x1ff, 9), frame.clone()]).slice(bit, 9));
            let left_due = of_bit("left_due", &|bit| lit(u64::from(10 - bit), 4));
            let wait_due = of_bit("wait_due", &|bit| {
                (lit(cycles * u64::from(bit + 1) - 1, age_bits) - &age).trunc(bits)
            });
            m.assert_formal(
                "framed",
                "Start bit, data bits from the lowest up, stop bit: each as long as a bit lasts.",
                &(!&sending | shifter.bit(0).eq(&bit_due)),
            );
            m.assert_formal("rests_high", "Between frames the line is high.", &(&sending | shifter.bit(0)));
            m.assert_formal(
                "ready_between_frames",
                "The next byte is taken when the stop bit is over, no sooner and no later.",
                &idle.eq(&!&sending),
            );
            m.assert_formal("frame_ends", "A frame lasts ten bits.", &(!&sending | age.lt_lit(10 * cycles)));
            m.assert_formal(
                "counters_follow",
                "The counters say how much of the frame is left.",
                &mux(&sending, &(left.eq(&left_due) & wait.eq(&wait_due)), &left.is_zero()),
            );
            m.assert_formal(
                "shifter_follows",
                "The shifter holds what is left of the frame, and ones behind it.",
                &mux(&sending, &shifter.eq(&rest), &shifter.all()),
            );
        });
        m.output_doc("ready", &idle, "a byte is taken");
        m.output_doc("tx", &shifter.bit(0), "the line, high when idle");
    })
}
