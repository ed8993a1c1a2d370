//! One lane of the neuron array.

use std::rc::Rc;

use isa::{CoreConfig, MAX_TIME_STEPS};

use super::lfsr_mask_gate::lfsr_mask_gate;
use super::shaped;
use crate::rtl::{Builder, Expr, Module, RtlError, cat, lit, mux, select, slit};
use rules::{count_rules, fire_rules, parameter_rules, sum_rules};

mod rules;

/// Bits of an operand: an int8 weight, or up to eight coincidences.
const OPERAND_BITS: u32 = 8;
/// Bits of the power of two of an operand: of its bit plane, and of its pass.
pub(crate) const POWER_BITS: u32 = 4;
/// Largest power of two: of bit plane 7 in a pass with a shift of 7.
const LARGEST_POWER: u32 = 14;
/// Bits of a shifted operand.
const ADDEND_BITS: u32 = OPERAND_BITS + LARGEST_POWER;
/// Bits of a spike count: 0..=64.
pub(super) const COUNT_BITS: u32 = (MAX_TIME_STEPS + 1).ilog2() + 1;

/// One integrate-and-fire neuron: accumulator, hand-over register, membrane, threshold, reset and mask gate.
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
