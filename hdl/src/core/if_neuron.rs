//! One lane of the neuron array.

use std::rc::Rc;

use isa::{CoreConfig, MAX_TIME_STEPS};

use super::lfsr_mask_gate::lfsr_mask_gate;
use super::shaped;
use crate::rtl::{Builder, Expr, Module, RtlError, cat, lit, mux, select, slit};

/// Bits of an operand: an int8 weight, or up to eight coincidences.
const OPERAND_BITS: u32 = 8;
/// Bits of the power of two of an operand: of its bit plane, and of its pass.
pub(super) const POWER_BITS: u32 = 4;
/// Largest power of two: of bit plane 7 in a pass with a shift of 7.
const LARGEST_POWER: u32 = 14;
/// Bits of a shifted operand.
const ADDEND_BITS: u32 = OPERAND_BITS + LARGEST_POWER;
/// Bits of a spike count: 0..=64.
pub(super) const COUNT_BITS: u32 = (MAX_TIME_STEPS + 1).ilog2() + 1;

/// One integrate-and-fire neuron: accumulator, hand-over register, membrane, threshold, soft reset and mask gate.
///
/// Three stages work at the same time on consecutive tokens. *Integrate*: an event's operand is chosen in one cycle, shifted and
/// accumulated in the next; the sum of a token or time step goes to `drive` in a cycle after its last event. *Fire*: in one cycle the
/// drive or the threshold is chosen, in the next `load` or `add` moves the drive into the membrane, `step` compares and subtracts the
/// threshold. *Emit*: one spike a cycle passes the mask gate and enters the spike byte in the cycle after. All enables come from
/// `neuron_control`.
pub fn if_neuron(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("if_neuron", config)?;
    let bits = config.membrane_bits;
    let gate = lfsr_mask_gate()?;
    let doc = "One integrate-and-fire neuron. Three stages work at the same time on consecutive tokens: events accumulate,\n\
               the membrane takes threshold steps with soft reset, masked spikes enter the spike byte.";
    Module::build("if_neuron", doc, |m: &mut Builder| {
        let parameters = parameters(m, bits);
        parameter_rules(m, bits, &parameters);
        let integrate = integrate(m, bits, &parameters);
        sum_rules(m, bits, &parameters, &integrate);
        let fire = fire(m, bits, &parameters, &integrate);
        fire_rules(m, bits, &parameters, &integrate, &fire);
        let emit = emit(m, &parameters, &fire);
        count_rules(m, &parameters, &fire, &emit);
        spike_byte(m, &gate, &parameters, &integrate, &emit);
    })
}

/// The lane's parameters, and what loads them.
struct Parameters {
    half: Expr,
    load_bias_low: Expr,
    load_bias_high: Expr,
    load_theta_low: Expr,
    load_theta_high: Expr,
    load_v0_low: Expr,
    load_v0_high: Expr,
    load_seed_low: Expr,
    load_seed_high: Expr,
    load_sum: Expr,
    sum: Expr,
    bias: Expr,
    theta: Expr,
    v0: Expr,
    valid: Expr,
}

fn parameters(m: &mut Builder, bits: u32) -> Parameters {
    m.comment("Parameters, one half-word at a time.");
    let half = m.input_doc("half", 16, "half-word of a parameter row");
    let load_bias_low = m.input_doc("load_bias_low", 1, "take `half`, sign-extended, as bias");
    let load_bias_high = m.input_doc("load_bias_high", 1, "take `half` as upper bits of the bias");
    let load_theta_low = m.input("load_theta_low", 1);
    let load_theta_high = m.input("load_theta_high", 1);
    let load_v0_low = m.input("load_v0_low", 1);
    let load_v0_high = m.input("load_v0_high", 1);
    let load_seed_low = m.input("load_seed_low", 1);
    let load_seed_high = m.input("load_seed_high", 1);
    let load_flags = m.input("load_flags", 1);
    let load_sum =
        m.input_doc("load_sum", 1, "take `stored_sum`, the partial sum of the passes before, as bias");
    let sum = m.input_signed("stored_sum", bits, "the lane's partial sum of a row of the sum buffer");
    let mut parameter = |name: &str, low, high| {
        let register = m.reg_signed(name, bits);
        m.set_if(&register, low, &half.sext(bits.max(16)).trunc(bits).as_signed());
        if bits > 16 {
            let upper = half.slice(0, bits - 16);
            m.set_if(&register, high, &cat(&[upper, register.as_unsigned().slice(0, 16)]).as_signed());
        } else {
            m.unused(high);
        }
        register
    };
    let bias = parameter("bias", &load_bias_low, &load_bias_high);
    let theta = parameter("theta", &load_theta_low, &load_theta_high);
    let v0 = parameter("v0", &load_v0_low, &load_v0_high);
    m.set_if(&bias, &load_sum, &sum);
    let valid = m.reg("valid", 1);
    m.set_if(&valid, &load_flags, &half.bit(0));
    Parameters {
        half,
        load_bias_low,
        load_bias_high,
        load_theta_low,
        load_theta_high,
        load_v0_low,
        load_v0_high,
        load_seed_low,
        load_seed_high,
        load_sum,
        sum,
        bias,
        theta,
        v0,
        valid,
    }
}

fn parameter_rules(m: &mut Builder, bits: u32, parameters: &Parameters) {
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

/// An event's operand, the sum of a token, and the drive it becomes.
struct Integrate {
    advance: Expr,
    event: Expr,
    weight: Expr,
    own_spikes: Expr,
    plane: Expr,
    is_diagonal: Expr,
    is_attention: Expr,
    coincidences: Expr,
    operand: Expr,
    accumulate: Expr,
    first: Expr,
    capture: Expr,
    power: Expr,
    accumulator: Expr,
    drive: Expr,
}

fn integrate(m: &mut Builder, bits: u32, parameters: &Parameters) -> Integrate {
    m.comment("Integrate, first cycle: the event's operand.");
    let advance = m.input_doc("advance", 1, "the event pipeline moves");
    let event = m.input_doc("event_active", 1, "the event adds something");
    let weight = m.input_doc("weight", 8, "this lane's byte of the matrix row");
    let own_spikes = m.input_doc("own_spikes", 8, "this lane's byte of the segment (diagonal pass)");
    let plane = m.input_doc("plane", 3, "bit plane that an event of a diagonal pass stands for");
    let is_diagonal = m.input("is_diagonal", 1);
    let is_attention = m.input("is_attention", 1);
    let coincidences = m.input_doc("coincidences", 4, "operand of an attention event");
    let wanted = mux(&is_diagonal, &own_spikes.at(&plane), &lit(1, 1));
    let chosen = mux(&is_attention, &coincidences.zext(OPERAND_BITS).as_signed(), &weight.as_signed());
    let operand = m.reg_signed("operand", OPERAND_BITS);
    m.set_if(&operand, &advance, &mux(&(&event & &wanted), &chosen, &slit(0, OPERAND_BITS)));

    m.comment("Integrate, second cycle: shift and accumulate.");
    let accumulate = m.input_doc("accumulate", 1, "`operand` is an event's");
    let first = m.input_doc("first", 1, "start from the bias");
    let capture = m.input_doc("capture", 1, "the complete sum becomes the drive");
    let power = m.input_doc("power", POWER_BITS, "power of two of the event's operand, 0..=14");
    let accumulator = m.reg_signed("accumulator", bits);
    let drive = m.reg_signed("drive", bits);
    let addend = m.named("addend", &operand.sext(ADDEND_BITS).shl_by(&power));
    if bits < ADDEND_BITS {
        m.unused(&addend.as_unsigned().slice(bits, ADDEND_BITS - bits));
    }
    let sum = m.named("sum", &(mux(&first, &parameters.bias, &accumulator) + resized(&addend, bits)));
    m.set_if(&accumulator, &accumulate, &sum);
    m.set_if(&drive, &capture, &accumulator);
    Integrate {
        advance,
        event,
        weight,
        own_spikes,
        plane,
        is_diagonal,
        is_attention,
        coincidences,
        operand,
        accumulate,
        first,
        capture,
        power,
        accumulator,
        drive,
    }
}

/// The lower bits of a number, or the number in more of them.
fn resized(number: &Expr, bits: u32) -> Expr {
    number.sext(bits.max(number.width())).as_unsigned().slice(0, bits).as_signed()
}

fn sum_rules(m: &mut Builder, bits: u32, parameters: &Parameters, integrate: &Integrate) {
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

/// The membrane's steps, and how often it fired.
struct Fire {
    taken: Expr,
    load: Expr,
    step: Expr,
    preset: Expr,
    latch: Expr,
    membrane: Expr,
    add: Expr,
    hard_reset: Expr,
    fired: Expr,
    fired_now: Expr,
    starts_over: Expr,
    counted: Expr,
    spikes: Expr,
    last_fired: Expr,
}

fn fire(m: &mut Builder, bits: u32, parameters: &Parameters, integrate: &Integrate) -> Fire {
    m.comment("Fire, first cycle: what the membrane takes, and what it adds or subtracts: a load may fall on a last step.");
    let adds_drive = m.input_doc("adds_drive", 1, "in the next cycle the membrane adds the drive");
    let moves = m.delay("fire_operand", &mux(&adds_drive, &integrate.drive, &!&parameters.theta));
    let taken = m.delay("fire_drive", &integrate.drive);

    m.comment("Fire, second cycle: one adder, which adds the drive or subtracts the threshold. The extra low bit is its carry.");
    let load = m.input_doc("load", 1, "membrane takes the drive");
    let step = m.input_doc("step", 1, "threshold step");
    let preset = m.input_doc("preset", 1, "membrane takes v0");
    let latch = m.input_doc("latch", 1, "last step of a two-phase token: its spike count is complete");
    let membrane = m.reg_signed("membrane", bits);
    let add = m.delay("add", &adds_drive);
    let carry = m.delay("subtract", &!&adds_drive);
    let wide = |value: &Expr| cat(&[value.sext(bits + 1).as_unsigned(), carry.clone()]);
    let moved = m.named("moved", &(wide(&membrane) + wide(&moves)));
    m.unused(&moved.bit(0));
    let next = moved.slice(1, bits).as_signed();
    let fired = m.named("fired", &!moved.bit(bits + 1));
    m.set_if(&membrane, &load, &taken);
    m.set_if(&membrane, &preset, &parameters.v0);
    let hard_reset = m.input_doc("hard_reset", 1, "a neuron that fires starts again from 0");
    m.set_if(&membrane, &(&step & &fired & &hard_reset), &slit(0, bits));
    m.set_if(&membrane, &(&add | &(&step & &fired)), &next);
    m.comment("A step is counted in the cycle after it. A token's last step stays beside the count of those before it.");
    let fired_now = m.reg("fired_now", 1);
    m.set_if(&fired_now, &step, &fired);
    let starts_over = m.named("starts_over", &(&preset | &latch));
    let counts = m.delay("counts", &(&step & !&starts_over));
    let count = m.reg("count", COUNT_BITS);
    let counted = m.named("counted", &mux(&(&counts & &fired_now), &count.inc(), &count));
    m.set_if(&count, &starts_over, &lit(0, COUNT_BITS));
    m.set(&count, &counted);
    let spikes = m.sample("spike_count", &latch, &counted);
    let last_fired = m.sample("last_fired", &latch, &fired);
    Fire {
        taken,
        load,
        step,
        preset,
        latch,
        membrane,
        add,
        hard_reset,
        fired,
        fired_now,
        starts_over,
        counted,
        spikes,
        last_fired,
    }
}

fn fire_rules(m: &mut Builder, bits: u32, parameters: &Parameters, integrate: &Integrate, fire: &Fire) {
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

/// The spike of a slot, and what leads it into the byte.
struct Emit {
    two_phase: Expr,
    rank: Expr,
    connected: Expr,
    emit: Expr,
    place: Expr,
    ratio: Expr,
    slot_bit: Expr,
    first_bit: Expr,
    raw_byte: Expr,
    raw: Expr,
    spike: Expr,
}

fn emit(m: &mut Builder, parameters: &Parameters, fire: &Fire) -> Emit {
    m.comment("Emit: the spike of one time slot, masked, into the spike byte.");
    let two_phase = m.input("two_phase", 1);
    let rank = m.input_doc("rank", COUNT_BITS, "threshold step that fires into this slot");
    let connected = m.input_doc("connected", 1, "query and key lie in the same region");
    let emit = m.input_doc("emit", 1, "a slot is emitted: its spike passes the gate");
    let place = m.input_doc("place", 1, "the slot emitted in the cycle before enters the byte");
    let ratio = m.input_doc("mask_ratio", 8, "masked share in 1/256");
    let slot_bit = m.input_doc("slot_bit", 8, "one-hot position in the byte");
    let first_bit = m.input_doc("first_bit", 1, "clear the other bits");
    let raw_byte = m.input_doc("raw_byte", 2, "which byte of the drive is looked at (`sum`)");
    let raw = m.input_doc("raw", 1, "the byte looked at in the cycle before is kept");
    m.comment("The carry out of spike_count - rank - 1, with the last step as carry in: spike_count + last_fired > rank.");
    let compared = m.named(
        "compared",
        &(cat(&[lit(0, 1), fire.spikes.clone(), fire.last_fired.clone()])
            + cat(&[lit(0, 1), !&rank, fire.last_fired.clone()])),
    );
    m.unused(&compared.slice(0, COUNT_BITS + 1));
    let by_count = compared.bit(COUNT_BITS + 1);
    let spike =
        m.named("spike", &(mux(&two_phase, &by_count, &fire.fired_now) & &parameters.valid & &connected));
    Emit { two_phase, rank, connected, emit, place, ratio, slot_bit, first_bit, raw_byte, raw, spike }
}

fn count_rules(m: &mut Builder, parameters: &Parameters, fire: &Fire, emit: &Emit) {
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

/// The mask gate, and the byte behind it; or a byte of the drive.
fn spike_byte(
    m: &mut Builder,
    gate: &Rc<Module>,
    parameters: &Parameters,
    integrate: &Integrate,
    emit: &Emit,
) {
    let inputs = [
        ("load_low", parameters.load_seed_low.clone()),
        ("load_high", parameters.load_seed_high.clone()),
        ("half", parameters.half.clone()),
        ("draw", emit.emit.clone()),
        ("ratio", emit.ratio.clone()),
        ("spike", emit.spike.clone()),
    ];
    let gated = m.instance("mask_gate", gate, &inputs);
    let transmitted = gated.output("transmitted");
    let byte = m.reg("spike_byte", 8);
    let kept = mux(&emit.first_bit, &lit(0, 8), &byte);
    let next_byte = (kept & !&emit.slot_bit) | (transmitted.repeat(8) & &emit.slot_bit);
    let drive_bytes = integrate.drive.sext(32).as_unsigned();
    let bytes: Vec<_> = (0..4).map(|i| drive_bytes.slice(8 * i, 8)).collect();
    let drive_byte = m.delay("drive_byte", &select(&emit.raw_byte, &bytes));
    m.set_if(&byte, &emit.raw, &drive_byte);
    m.set_if(&byte, &emit.place, &next_byte);
    m.output_doc("partial_sum", &integrate.drive, "the drive, two cycles after its capture was decided");
    m.output_doc("transmitted", &transmitted, "spike of the slot emitted in the cycle before");
    m.output_doc("spikes", &byte, "spikes of up to eight slots");
}
