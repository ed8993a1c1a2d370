//! The neuron's rules, in exact integers.

use super::{ADDEND_BITS, COUNT_BITS, Emit, Fire, Integrate, OPERAND_BITS, Parameters};
use crate::rtl::{Builder, Expr, cat, lit, mux, slit};

pub(super) fn parameter_rules(m: &mut Builder, bits: u32, parameters: &Parameters) {
    m.formal(|m| {
        m.comment("Parameters are the numbers that were loaded.");
        let loaded = m.delay("half_loaded", &parameters.half);
        for (name, register, low, high) in [
            ("bias", &parameters.bias, &parameters.load_bias_low, &parameters.load_bias_high),
            ("theta", &parameters.theta, &parameters.load_theta_low, &parameters.load_theta_high),
            ("v0", &parameters.v0, &parameters.load_v0_low, &parameters.load_v0_high),
        ] {
            let before = m.delay(&format!("{name}_before"), register);
            m.assert_next(
                &format!("{name}_low"),
                "A lower half-word is a number of its own.",
                low,
                &register.sext(32).eq(&loaded.as_signed().sext(32)),
            );
            let kept = before.eq(register);
            let others = if name == "bias" { parameters.load_sum.clone() } else { lit(0, 1) };
            m.assert_next(&format!("{name}_stays"), "Else it stays.", &!(low | high | others), &kept);
            if bits > 16 {
                let word = m.named(
                    &format!("{name}_word"),
                    &cat(&[loaded.clone(), before.as_unsigned().slice(0, 16)]).as_signed(),
                );
                let upper = word.as_unsigned().slice(bits - 1, 33 - bits);
                m.assert_next(
                    &format!("{name}_high"),
                    "With its upper half-word it is the whole word, if that fits.",
                    &(high & !low),
                    &(!(upper.is_zero() | upper.all()) | register.sext(32).eq(&word)),
                );
            }
        }
        let sum_before = m.delay("sum_before", &parameters.sum);
        m.assert_next(
            "sum_is_taken",
            "A pass after the first starts from the partial sum.",
            &(&parameters.load_sum & !(&parameters.load_bias_low | &parameters.load_bias_high)),
            &parameters.bias.eq(&sum_before),
        );
    });
}

pub(super) fn sum_rules(m: &mut Builder, bits: u32, parameters: &Parameters, integrate: &Integrate) {
    m.formal(|m| {
        m.comment("The sum in exact integers. `sum_exact` holds from a first event until a sum does not fit.");
        let wanted = mux(&integrate.is_diagonal, &integrate.own_spikes.at(&integrate.plane), &lit(1, 1));
        let chosen =
            mux(&integrate.is_attention, &integrate.coincidences.zext(OPERAND_BITS).as_signed(), &integrate.weight.as_signed());
        let wanted = mux(&(&integrate.event & &wanted), &chosen, &slit(0, OPERAND_BITS));
        let wanted = m.delay("operand_wanted", &wanted);
        m.assert_next(
            "operand_is_the_events",
            "An event adds its weight (diagonal pass: if the lane's own channel spikes) or its coincidences, else nothing.",
            &integrate.advance,
            &integrate.operand.eq(&wanted),
        );
        let wide_bits = bits.max(ADDEND_BITS) + 2;
        let total = m.reg_signed("total", wide_bits);
        let exact = m.reg_reset("sum_exact", 1, 0);
        let start = mux(&integrate.first, &parameters.bias.sext(wide_bits), &total);
        let next = m.named("total_now", &(start + integrate.operand.sext(wide_bits).shl_by(&integrate.power)));
        let top = next.as_unsigned().slice(bits - 1, wide_bits - bits + 1);
        m.set_if(&total, &integrate.accumulate, &next);
        m.set_if(&exact, &integrate.accumulate, &((&integrate.first | &exact) & (top.is_zero() | top.all())));
        m.assert_formal(
            "accumulates",
            "The bias, and each event's operand times its power of two.",
            &(!&exact | integrate.accumulator.sext(wide_bits).eq(&total)),
        );
        let complete = m.delay("accumulator_before", &integrate.accumulator);
        m.assert_next("hands_over", "The drive is the complete sum.", &integrate.capture, &integrate.drive.eq(&complete));
        let (low, high) = (slit(-(1 << (bits - 1)), bits), slit((1 << (bits - 1)) - 1, bits));
        let added = m.named("added_exactly", &(&exact & integrate.operand.as_unsigned().any()));
        m.cover_formal("highest_sum", "A sum is the greatest that fits.", &(&added & integrate.accumulator.eq(&high)));
        m.cover_formal("lowest_sum", "A sum is the least that fits.", &(&added & integrate.accumulator.eq(&low)));
    });
}

pub(super) fn fire_rules(
    m: &mut Builder,
    bits: u32,
    parameters: &Parameters,
    integrate: &Integrate,
    fire: &Fire,
) {
    m.formal(|m| {
        m.comment("The neuron's equations in exact integers. `exact` holds until a sum does not fit the membrane, which the converter rules out.");
        let wide_bits = bits + 2;
        let to_wide = |value: &Expr| value.sext(wide_bits);
        let compared = m.delay("theta_d1", &parameters.theta);
        let drive_before = m.delay("drive_before", &integrate.drive);
        let always = lit(1, 1);
        m.assert_next("takes_the_drive", "What the membrane takes is the drive.", &always, &fire.taken.eq(&drive_before));
        let v = m.reg_signed("v", wide_bits);
        let exact = m.reg_reset("exact", 1, 0);
        let u = m.named("u", &(&v + to_wide(&fire.taken)));
        let s = m.named("s", &v.ge(&to_wide(&compared)));
        let after = m.named("v_after", &(&v - to_wide(&compared)));
        let fits = |value: &Expr| {
            let top = value.as_unsigned().slice(bits - 1, 3);
            top.is_zero() | top.all()
        };
        m.set_if(&v, &fire.load, &to_wide(&fire.taken));
        m.set_if(&v, &fire.preset, &to_wide(&parameters.v0));
        m.set_if(&v, &fire.add, &u);
        m.set_if(&v, &(&fire.step & &s & &fire.hard_reset), &slit(0, wide_bits));
        m.set_if(&v, &(&fire.step & &s), &after);
        m.set_if(&exact, &(&fire.load | &fire.preset), &lit(1, 1));
        m.set_if(&exact, &fire.add, &(&exact & fits(&u)));
        m.set_if(&exact, &(&fire.step & &s), &(&exact & fits(&after)));
        m.assert_formal(
            "soft_reset",
            "With drive and theta of the cycle before: u = v + drive; s = (u >= theta); v = u - s * theta, or 0 where a hard reset fires.",
            &(!&exact | to_wide(&fire.membrane).eq(&v)),
        );
        let positive = m.named("positive_theta", &compared.gt(&slit(0, bits)));
        let stepping = m.named("stepping", &(&fire.step & !&fire.add));
        let fires_right = !(&exact & &stepping) | fire.fired.eq(&s);
        m.assert_next("fires", "It fires at the threshold.", &always, &fires_right);
        m.assert_next(
            "no_wrap",
            "A threshold step never leaves the range of the membrane.",
            &always,
            &(!(&stepping & &positive & &fire.fired & !&fire.hard_reset) | (fire.membrane.ge(&compared) & fits(&(to_wide(&fire.membrane) - to_wide(&compared))))),
        );
    });
}

pub(super) fn count_rules(m: &mut Builder, parameters: &Parameters, fire: &Fire, emit: &Emit) {
    m.formal(|m| {
        m.comment("How often the token fired, counted in the step's own cycle. It is known once a count has started over.");
        let known = m.reg_reset("count_known", 1, 0);
        m.set_if(&known, &fire.starts_over, &lit(1, 1));
        let times = m.reg("times_fired", COUNT_BITS);
        let times_now = m.named("times_fired_now", &mux(&fire.fired, &times.inc(), &times));
        m.set_if(&times, &fire.starts_over, &lit(0, COUNT_BITS));
        m.set_if(&times, &fire.step, &times_now);
        let of_token = m.sample("fired_by_token", &fire.latch, &times_now);
        let latched = m.reg_reset("count_latched", 1, 0);
        m.set_if(&latched, &(&fire.latch & &known), &lit(1, 1));
        m.assert_formal(
            "a_step_is_counted_after_it",
            "The count lags behind by the step of the cycle before.",
            &(!&known | fire.counted.eq(&times)),
        );
        m.assert_formal("known_before_latched", "A count is handed over once it is known.", &(!&latched | &known));
        m.assert_formal(
            "count_is_latched",
            "The last threshold step hands over the count that includes it.",
            &(!&latched | (&fire.spikes + fire.last_fired.zext(COUNT_BITS)).eq(&of_token)),
        );
        m.assert_formal(
            "two_phase_spikes",
            "Two-phase: slot k of a token spikes if the token fired more than k times, up to 127; a token has 64 steps.",
            &(!(&emit.two_phase & &latched & !(fire.spikes.all() & &fire.last_fired)) | emit.spike.eq(&(&parameters.valid & &emit.connected & of_token.gt(&emit.rank)))),
        );
        m.assert_formal(
            "if_spikes",
            "IF: a slot spikes if its own threshold step fired.",
            &(&emit.two_phase | emit.spike.eq(&(&parameters.valid & &emit.connected & &fire.fired_now))),
        );
        let stepped = m.delay("fired_before", &fire.fired);
        m.assert_next(
            "step_is_kept",
            "A threshold step's spike is kept.",
            &fire.step,
            &fire.fired_now.eq(&stepped),
        );
    });
}
