//! Bytes from a serial line.

use std::rc::Rc;

use crate::rtl::{Builder, Expr, Module, RtlError, cat, index_width, lit, mux};

/// Receives 8 data bits, least significant first, without parity, with one stop bit; `cycles_per_bit` (4 or more) clock cycles each.
///
/// `valid` pulses in the middle of the stop bit. A start bit that is gone by its middle was noise; a byte without a stop bit is dropped.
/// The line may come from another clock: it passes two registers first.
pub fn uart_rx(cycles_per_bit: u32) -> Result<Rc<Module>, RtlError> {
    let doc = format!("Receives bytes from a serial line: 8N1, {cycles_per_bit} clock cycles a bit.");
    Module::build("uart_rx", &doc, |m: &mut Builder| {
        m.requires("cycles of a bit", cycles_per_bit.into(), cycles_per_bit >= 4, "4 or more");
        let cycles_per_bit = cycles_per_bit.max(4);
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
        let valid = m.delay_reset("valid", &(&sample & &stop_bit & &line));
        let data = m.reg("data", 8);
        m.set_if(&data, &(&sample & &stop_bit), &shifter);
        m.formal(|m| {
            m.comment("What the line was in the middle of each of the ten bits of the latest frame, counted from its falling edge.");
            let cycles = u64::from(cycles_per_bit);
            let middle = |bit: u32| u64::from(cycles_per_bit / 2 - 1) + cycles * u64::from(bit);
            let end = middle(9);
            let age_bits = index_width(10 * cycles_per_bit + 1);
            let age = m.reg_reset("age", age_bits, 0);
            m.set_if(&age, &begins, &lit(0, age_bits));
            m.set_if(&age, &receiving, &age.inc());
            let heard: Vec<Expr> = (0..10)
                .map(|bit| {
                    let heard = m.reg(&format!("heard_{bit}"), 1);
                    m.set_if(&heard, &(&receiving & age.eq_lit(middle(bit))), &line);
                    heard
                })
                .collect();
            let byte_heard = cat(&heard[1..9].iter().rev().cloned().collect::<Vec<_>>());
            m.assert_formal(
                "byte_of_frame",
                "A byte is given right after the middle of its stop bit: what the line was in the middle of its bits, the lowest \
                 first, after a low start bit and with a high stop bit.",
                &(!&valid | (!&heard[0] & &heard[9] & data.eq(&byte_heard) & age.eq_lit(end + 1))),
            );
            m.assert_next("given_once", "A byte is given once.", &valid, &!&valid);
            m.assert_next(
                "given_if_stopped",
                "A frame with a stop bit gives its byte.",
                &(&receiving & age.eq_lit(end) & &line),
                &valid,
            );
            m.assert_next(
                "dropped_if_not_stopped",
                "A frame without one gives none.",
                &(&receiving & age.eq_lit(end) & !&line),
                &!&valid,
            );
            m.assert_next(
                "noise_is_dropped",
                "A start bit that is gone by its middle was noise.",
                &(&receiving & age.eq_lit(middle(0)) & &line),
                &!&receiving,
            );
            m.assert_formal("frame_ends", "A frame lasts until the middle of its stop bit.", &(!&receiving | age.le_lit(end)));
            m.comment("The same for the registers: how they follow from the bits that are over.");
            // What holds before the middle of a bit.
            let mut until = |name: &str, value: &dyn Fn(u32) -> Expr| {
                let due = (0..9).rev().fold(value(9), |later, bit| mux(&age.le_lit(middle(bit)), &value(bit), &later));
                m.named(name, &due)
            };
            let left_due = until("left_due", &|bit| lit(u64::from(9 - bit), 4));
            let wait_due = until("wait_due", &|bit| (lit(middle(bit), age_bits) - &age).trunc(bits));
            let kept = until("shifter_keeps", &|over| {
                let matches = |bit: u32| shifter.bit(8 + bit - over).eq(&heard[bit as usize]);
                let started = if over == 0 { lit(1, 1) } else { !&heard[0] };
                (over.saturating_sub(8)..over).map(matches).fold(started, |all, one| all & one)
            });
            m.assert_formal(
                "counters_follow",
                "The counters say how much of the frame is left.",
                &(!&receiving | (left.eq(&left_due) & wait.eq(&wait_due))),
            );
            m.assert_formal("shifter_follows", "The shifter holds the bits that are over.", &(!&receiving | kept));
        });
        m.output_doc("valid", &valid, "one cycle a byte; there is no way to hold it back");
        m.output("data", &data);
    })
}
