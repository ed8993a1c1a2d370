//! Turns input rows into a stream of events.

use std::rc::Rc;

use isa::CoreConfig;

use super::fields::{bits, pass_bits};
use super::shaped;
use super::spike_buffer::{ROW_BITS, row_words};
use crate::rtl::{Builder, Expr, Module, RtlError, index_width, lit, mux};
use words::{Bits, Pick, Walk, event, lowest, two_or_more, without_lowest};

mod words;

/// Visits the active entries of each row, one a cycle, without a bubble between words, planes or rows.
///
/// A row is walked in *passes* of its own (not those of the layer), one for each bit plane that has any bit set: time steps of an `if` layer (all of them, since each
/// is a step of the neuron), powers of two of spike counts or inputs otherwise. A pass visits its active words, a word its active bytes. So an inactive spike
/// costs nothing; a row (or, of an `if` layer, a time step) without any is one null event.
///
/// Stages: *pass* (its bitmap) → *spare* (only if the next is not free) → *look* (its lowest word) → *walk* (next word of the bitmap, reads it) → *read* → *landing* → *pick*
/// (its bytes of the plane) → *bits* (next byte of them) → *event* (registered output; reads the matrix row). Words are read ahead while there is room for them to
/// land; after that a stage moves when the next one takes, and `advance` is the array's consent.
pub fn spike_scanner(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("spike_scanner", config)?;
    let doc = "Visits the active entries of input rows, one event a cycle, without a bubble between words, planes or rows.";
    Module::build("spike_scanner", doc, |m: &mut Builder| build(m, config))
}

/// The flags of a pass, which travel with it from stage to stage.
const FLAGS: [&str; 5] = ["hand_over", "row_end", "row_token_end", "row_job_end", "row"];

/// Their values, in that order.
#[derive(Clone)]
struct Flags([Expr; 5]);

impl Flags {
    /// What `of` makes of each, with its name.
    fn map(&self, mut of: impl FnMut(&str, &Expr) -> Expr) -> Flags {
        let mut names = FLAGS.iter();
        Flags(self.0.each_ref().map(|value| of(names.next().expect("as many names as flags"), value)))
    }

    /// Registers of the stage `name` that take them with `take`.
    fn stage(&self, m: &mut Builder, name: &str, take: &Expr) -> Flags {
        self.map(|flag, value| m.sample(&format!("{name}_{flag}"), take, value))
    }

    /// The sum is complete with the pass's last event.
    fn hand_over(&self) -> &Expr {
        &self.0[0]
    }

    /// The pass is the last of its row, which is the last of its token, or of its job.
    fn row_end(&self) -> &Expr {
        &self.0[1]
    }

    fn token_end(&self) -> &Expr {
        &self.0[2]
    }

    fn job_end(&self) -> &Expr {
        &self.0[3]
    }

    fn row(&self) -> &Expr {
        &self.0[4]
    }
}

/// What the layer is, and what the array and the buffer say.
struct Ports {
    step_mode: Expr,
    step_events: Expr,
    whole_bytes: Expr,
    wide: Expr,
    one_sum: Expr,
    is_attention: Expr,
    is_scores: Expr,
    tail_steps: Expr,
    segment_words: Expr,
    job_start: Expr,
    advance: Expr,
    full: [Expr; 2],
    active: [Expr; 2],
    token_end: [Expr; 2],
    job_end: [Expr; 2],
    bitmap: Expr,
    word_data: Expr,
}

impl Ports {
    fn inputs(m: &mut Builder, words: u32) -> Ports {
        let of_slots = |m: &mut Builder, name: &str, width: u32, doc: &str| {
            [0, 1].map(|slot| m.input_doc(&format!("{name}_{slot}"), width, doc))
        };
        Ports {
            step_mode: m.input_doc("step_mode", 1, "each time step is handed over"),
            step_events: m.input_doc("step_events", 1, "planes are time steps"),
            whole_bytes: m.input_doc("whole_bytes", 1, "an event is a whole spike byte"),
            wide: m.input_doc("wide", 1, "an event is a segment (diagonal pass)"),
            one_sum: m.input_doc("one_sum", 1, "hand over once a job (readout)"),
            is_attention: m.input_doc("is_attention", 1, "the layer is `scores` or `context`"),
            is_scores: m.input_doc("is_scores", 1, "the layer is `scores`"),
            tail_steps: m.input_doc("tail_steps", bits("tail_steps"), "descriptor field"),
            segment_words: m.input_doc(
                "segment_words",
                pass_bits("segment_words"),
                "field of the pass record (attention)",
            ),
            job_start: m.input_doc("job_start", 1, "the next job's rows may be scanned"),
            advance: m.input_doc("advance", 1, "the array takes the event"),
            full: of_slots(m, "full", 1, "the slot's row is complete"),
            active: of_slots(m, "active_planes", 8, "planes with any bit set"),
            token_end: of_slots(m, "token_end", 1, "the slot's row is the last of its token"),
            job_end: of_slots(m, "job_end", 1, "the slot's token is the last of its job"),
            bitmap: m.input_doc("bitmap", words, "active words of the queried plane"),
            word_data: m.input_doc("word_data", 64, "the word, one cycle after `read_word`"),
        }
    }
}

/// Whether a stage takes from the one before it. Readiness runs from the last stage to the first.
struct Takes {
    bits: Expr,
    pick: Expr,
    walk: Expr,
    look: Expr,
    pass: Expr,
}

fn build(m: &mut Builder, config: &CoreConfig) {
    let words = row_words(config);
    let ports = Ports::inputs(m, words);
    let takes = Takes {
        bits: m.wire("bits_take", 1),
        pick: m.wire("pick_take", 1),
        walk: m.wire("walk_take", 1),
        look: m.wire("look_take", 1),
        pass: m.wire("pass_take", 1),
    };
    let row = Row::build(m, &ports, &takes.pass);
    let pass = Pass::build(m, &ports, &row, &takes);
    let walk = Walk::build(m, pass, &takes, index_width(words));
    let pick = Pick::build(m, &ports, walk, &takes);
    let bits = Bits::build(m, &ports, &pick, &takes, index_width(config.weight_rows));
    event(m, config, &ports, &bits);
    m.output_doc("query_slot", &row.row.bit(0), "slot whose bitmap is looked up");
    m.output_doc("query_plane", &row.plane, "plane whose bitmap is looked up");
    m.output_doc("slot_release", &row.done, "the bitmaps of `query_slot` are used up");
}

/// The row being scanned, plane by plane.
struct Row {
    row: Expr,
    scanning: Expr,
    plane: Expr,
    some_pending: Expr,
    flags: Flags,
    /// Its last pass is taken.
    done: Expr,
}

impl Row {
    fn build(m: &mut Builder, ports: &Ports, pass_take: &Expr) -> Row {
        m.comment("Pass: the next plane of the row being scanned.");
        let job_open = m.reg_reset("job_open", 1, 0);
        let row = m.reg_reset("row", ROW_BITS, 0);
        let scanning = m.reg_reset("scanning", 1, 0);
        m.comment("The plane that the buffer looks up, whether there is any, whether it ends the row, and those after it.");
        let plane = m.reg("plane", 3);
        let some_pending = m.reg("some_pending", 1);
        let last_pass = m.reg("last_pass", 1);
        let rest = m.reg("rest", 8);
        let token_end = m.reg("row_token_end", 1);
        let job_end = m.reg("row_job_end", 1);
        let moves_on = m.named("moves_on", &(&scanning & pass_take));
        let done = m.named("row_done", &(&moves_on & &last_pass));
        let [(low, low_first), (high, high_first)] = slots(m, ports, &row, &done);
        m.comment("Which row is next, and whether it starts.");
        let next_row = m.named("next_row", &(&row + scanning.zext(ROW_BITS)));
        let of_next = |high: &Expr, low: &Expr| mux(&next_row.bit(0), high, low);
        let [available, next_token_end, next_job_end] = [0, 1, 2].map(|i| of_next(&high[i], &low[i]));
        let start = m.named("start", &(&available & &job_open & (!&scanning | &done)));
        m.set_if(&scanning, &start, &lit(1, 1));
        m.set_if(&scanning, &done, &lit(0, 1));
        m.set_if(&row, &(&start | &done), &next_row);
        let later = plane_walk(&rest);
        for (i, register) in [&plane, &some_pending, &last_pass, &rest].into_iter().enumerate() {
            m.set_if(register, &start, &of_next(&high_first[i], &low_first[i]));
            m.set_if(register, &moves_on, &later[i]);
        }
        m.set_if(&token_end, &start, &next_token_end);
        m.set_if(&job_end, &start, &next_job_end);
        m.set_if(&job_open, &ports.job_start, &lit(1, 1));
        m.set_if(&job_open, &(&start & &next_job_end), &lit(0, 1));
        let completes = &last_pass & &token_end & (!&ports.one_sum | &job_end);
        let hand_over = &ports.step_mode | &completes;
        let flags = Flags([hand_over, last_pass, token_end, job_end, row.clone()]);
        Row { row, scanning, plane, some_pending, flags, done }
    }
}

/// For each slot whether its row may start, ends its token, its job; and the first step through its planes.
fn slots(m: &mut Builder, ports: &Ports, row: &Expr, row_done: &Expr) -> [([Expr; 3], [Expr; 4]); 2] {
    m.comment("The state of each slot, registered: known a cycle after its row is complete.");
    let tail = m.delay("tail_planes", &(lit(1, 9).shl_by(&ports.tail_steps) - lit(1, 9)).trunc(8));
    [0, 1].map(|slot: usize| {
        let of_slot = |name: &str| format!("{name}_of_{slot}");
        let released = row_done & row.bit(0).eq_lit(slot as u64);
        let ready = m.delay_reset(&of_slot("ready"), &(&ports.full[slot] & !released));
        let all_steps = mux(&ports.token_end[slot], &tail, &lit(0xff, 8));
        let planes = mux(&ports.step_mode, &all_steps, &ports.active[slot]);
        let planes = m.named(&of_slot("planes"), &planes);
        let mut state = |name: &str, value: &Expr| m.delay(&of_slot(name), value);
        let token_end = state("token_end", &ports.token_end[slot]);
        let job_end = state("job_end", &ports.job_end[slot]);
        let [plane, some, last, rest] = plane_walk(&planes);
        let first =
            [state("plane", &plane), state("some", &some), state("last", &last), state("rest", &rest)];
        ([ready, token_end, job_end], first)
    })
}

/// A pass: its bitmap, its plane and its flags.
struct Pass {
    valid: Expr,
    look_valid: Expr,
    bitmap: Expr,
    plane: Expr,
    flags: Flags,
}

impl Pass {
    fn build(m: &mut Builder, ports: &Ports, row: &Row, takes: &Takes) -> Pass {
        let valid = m.reg_reset("pass_valid", 1, 0);
        let spare_valid = m.reg_reset("spare_valid", 1, 0);
        m.assign(&takes.pass, &!(&valid & &spare_valid));
        m.set_if(&valid, &takes.pass, &row.scanning);
        let none = ports.bitmap.like(0);
        let bitmap = m.sample("pass_bitmap", &takes.pass, &mux(&row.some_pending, &ports.bitmap, &none));
        let plane = m.sample("pass_plane", &takes.pass, &row.plane);
        let flags = row.flags.stage(m, "pass", &takes.pass);
        m.comment("Spare: a pass for which there is no place to look at, so that what takes rows depends on registers alone.");
        let look_valid = m.reg_reset("look_valid", 1, 0);
        m.assign(&takes.look, &(!&look_valid | &takes.walk));
        let passes = m.named("passes", &(&spare_valid | &valid));
        m.set(&spare_valid, &(&passes & !&takes.look));
        let mut or_spare = |name: &str, value: &Expr| {
            let spare = m.sample(&format!("spare_{name}"), &!&spare_valid, value);
            m.named(&format!("passing_{name}"), &mux(&spare_valid, &spare, value))
        };
        let (bitmap, plane) = (or_spare("bitmap", &bitmap), or_spare("plane", &plane));
        Pass { valid: passes, look_valid, bitmap, plane, flags: flags.map(or_spare) }
    }
}

/// A step through `planes`, the lowest first: the plane, whether there is any, whether it is the last, and those after it.
fn plane_walk(planes: &Expr) -> [Expr; 4] {
    [lowest(planes, 3), planes.any(), !two_or_more(planes), without_lowest(planes)]
}
