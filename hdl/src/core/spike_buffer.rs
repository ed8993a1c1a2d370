//! Two input rows and what is active in them.

use std::rc::Rc;

use isa::{CoreConfig, MAX_SEGMENTS};

use super::read_back::{Ports, reads_return_what_was_written};
use super::shaped;
use super::sparse_attention::popcount;
use super::terminal_count::terminal_count;
use super::weight_buffer::enables;
use crate::rtl::{Builder, Expr, Memory, Module, RtlError, cat, index_width, lit, mux};
use slots::{Slots, busy_slots, mark, rules, slots};

mod slots;

/// Words that a row has room for: a power of two, since words lie under row number and index, and no less than the segments
/// that a bitmap may stand for.
pub(super) fn row_words(config: &CoreConfig) -> u32 {
    (config.max_fan_in / 8).checked_next_power_of_two().unwrap_or(1 << 31).max(MAX_SEGMENTS)
}

/// Bits of the words of a segment, which are no more than a row has, or a tile's lanes need.
pub(super) fn segment_word_bits(config: &CoreConfig) -> u32 {
    index_width((config.max_fan_in / 8).max(config.lanes / 8) + 1)
}

/// Bits of a row number: more rows than can be on their way at once, two in the slots and one in each place of the scanner, whose
/// last stage reads segments.
pub(super) const ROW_BITS: u32 = 4;
/// Bits of the row number that words are stored under. The scanner reads them in its third stage.
pub(super) const WORD_ROW_BITS: u32 = 3;

/// Two slots of bitmaps for input rows: one is scanned while the other is loaded, a beat a cycle. Words outlive their bitmaps: they lie
/// in block RAM under their row's number modulo 8 (segments: 16), since the scanner's stages still read them when the next row is loaded.
/// A row is what one pass gathers for one chunk of a token.
///
/// A word holds eight channels of one byte: spikes of eight time steps, or an 8-bit input. For merged events the byte becomes the *number*
/// of its spikes (`count_spikes`), so that its bits are powers of two. For each slot and each of the eight bit planes the
/// buffer keeps a bitmap of the words in which the plane has any bit set, so that the scanner never visits an
/// inactive word. With `whole_bytes` (merged attention) plane 0 stands for "the byte is not zero". In a diagonal pass the bitmap is of
/// segments, and a segment can be read whole: one byte a lane.
///
/// Each segment is announced by an entry of the segment queue: how many words it has, whether it was requested, whether its pass is diagonal,
/// and whether the row, the token, the job end with it. A segment that was not requested lies outside its source: it leaves its words' place in
/// the row inactive, takes one cycle and no beat.
pub fn spike_buffer(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("spike_buffer", config)?;
    let doc = "Two slots for input rows: one is scanned while the other is loaded. Keeps for each bit plane a bitmap of the\n\
               words (diagonal pass: segments) in which it has any bit set.";
    Module::build("spike_buffer", doc, |m: &mut Builder| {
        let sizes = sizes(config);
        let inputs = inputs(m, config);
        let loading = loading(m, &inputs);
        let take = take(m, &sizes, &inputs, &loading);
        let store = store(m, config, &sizes, &loading, &take);
        let mark = mark(m, &sizes, &inputs, &store);
        let slots = slots(m, &sizes, &inputs, &mark);
        rules(m, &take, &store, &mark, &slots);
        busy_slots(m, &inputs, &take);
        read_ports(m, &sizes, &inputs, &loading, &take, &store, &slots);
    })
}

/// Sizes that several sections need.
struct Sizes {
    words: u32,
    beat_words: u32,
    lane_beats: u32,
    word_bits: u32,
    segment_bits: u32,
    beat_shift: u32,
    beat_bits: u32,
}

fn sizes(config: &CoreConfig) -> Sizes {
    let words = row_words(config);
    let beat_words = config.bus_bits / 64;
    let lane_beats = 8 * config.lanes / config.bus_bits;
    let word_bits = index_width(words);
    let segment_bits = index_width(MAX_SEGMENTS);
    let beat_shift = beat_words.trailing_zeros();
    let beat_bits = word_bits - beat_shift;
    Sizes { words, beat_words, lane_beats, word_bits, segment_bits, beat_shift, beat_bits }
}

/// The layer's mode, the beats and the query.
struct Inputs {
    count_spikes: Expr,
    whole_bytes: Expr,
    next_valid: Expr,
    next_words: Expr,
    next_wide: Expr,
    next_absent: Expr,
    next_row_end: Expr,
    next_token_end: Expr,
    next_job_end: Expr,
    in_valid: Expr,
    in_data: Expr,
    query_slot: Expr,
    query_plane: Expr,
    release: Expr,
}

fn inputs(m: &mut Builder, config: &CoreConfig) -> Inputs {
    let count_spikes = m.input_doc("count_spikes", 1, "bytes become spike counts");
    let whole_bytes = m.input_doc("whole_bytes", 1, "plane 0 is `byte != 0`");
    let next_valid = m.input("segment_valid", 1);
    let next_words = m.input_doc("segment_words", segment_word_bits(config), "words in the next segment");
    let next_wide = m.input_doc("segment_diagonal", 1, "its pass is diagonal");
    let next_absent = m.input_doc("segment_absent", 1, "it was not requested");
    let next_row_end = m.input_doc("segment_row_end", 1, "the segment is the last of its row");
    let next_token_end = m.input_doc("segment_token_end", 1, "the row is the last of its token");
    let next_job_end = m.input_doc("segment_job_end", 1, "the token is the last of its job");
    let in_valid = m.input("in_valid", 1);
    let in_data = m.input("in_data", config.bus_bits);
    let query_slot = m.input_doc("query_slot", 1, "slot whose bitmap is looked up");
    let query_plane = m.input_doc("query_plane", 3, "plane whose bitmap is looked up");
    let release = m.input_doc("slot_release", 1, "the bitmaps of `query_slot` are used up");
    Inputs {
        count_spikes,
        whole_bytes,
        next_valid,
        next_words,
        next_wide,
        next_absent,
        next_row_end,
        next_token_end,
        next_job_end,
        in_valid,
        in_data,
        query_slot,
        query_plane,
        release,
    }
}

/// The segment that is loaded.
struct Loading {
    segment_valid: Expr,
    segment_end: Expr,
    segment_ready: Expr,
    segment_words: Expr,
    wide: Expr,
    absent: Expr,
    row_end: Expr,
    token_end: Expr,
    job_end: Expr,
}

fn loading(m: &mut Builder, inputs: &Inputs) -> Loading {
    m.comment("The segment being loaded.");
    let segment_valid = m.reg_reset("segment_known", 1, 0);
    let segment_end = m.wire("segment_end", 1);
    let segment_ready = m.named("segment_taken", &(!&segment_valid | &segment_end));
    m.set_if(&segment_valid, &segment_ready, &inputs.next_valid);
    let mut of_segment = |name: &str, value: &Expr| m.sample(name, &segment_ready, value);
    let segment_words = of_segment("words_of_segment", &inputs.next_words);
    let wide = of_segment("is_diagonal", &inputs.next_wide);
    let absent = of_segment("is_absent", &inputs.next_absent);
    let row_end = of_segment("ends_row", &inputs.next_row_end);
    let token_end = of_segment("ends_token", &inputs.next_token_end);
    let job_end = of_segment("ends_job", &inputs.next_job_end);
    Loading {
        segment_valid,
        segment_end,
        segment_ready,
        segment_words,
        wide,
        absent,
        row_end,
        token_end,
        job_end,
    }
}

/// The beat that is taken, and its place.
struct Take {
    row: Expr,
    slot: Expr,
    busy: Expr,
    position: Expr,
    word: Expr,
    segment: Expr,
    slot_free: Expr,
    ready: Expr,
    beat: Expr,
    take: Expr,
    row_done: Expr,
    first_word: Expr,
    stored: Expr,
}

fn take(m: &mut Builder, sizes: &Sizes, inputs: &Inputs, loading: &Loading) -> Take {
    m.comment("First stage: take a beat, count or keep its bytes.");
    let row = m.reg_reset("load_row", ROW_BITS, 0);
    let slot = row.bit(0);
    let busy = m.reg_reset("busy", 2, 0);
    let position = m.reg_reset("segment_position", inputs.next_words.width(), 0);
    let word = m.reg_reset("row_word", sizes.word_bits, 0);
    let segment = m.reg_reset("segment", sizes.segment_bits, 0);
    let slot_free = m.reg_reset("slot_free", 1, 1);
    let ready = m.named("ready", &(&loading.segment_valid & &slot_free));
    let beat = m.named("takes_beat", &(&inputs.in_valid & &ready & !&loading.absent));
    let passes = m.named("passes_over", &(&ready & &loading.absent));
    let take = m.named("take", &(&beat | &passes));
    let last_beat = terminal_count(
        m,
        "segment",
        sizes.beat_words,
        [&inputs.next_words, &loading.segment_words],
        &loading.segment_ready,
        &beat,
    );
    m.assign(&loading.segment_end, &(&passes | (&beat & last_beat)));
    let row_done = m.named("row_done", &(&loading.segment_end & &loading.row_end));
    m.set_if(&row, &row_done, &row.inc());
    m.set_if(&position, &loading.segment_end, &position.like(0));
    m.set_if(&position, &take, &(&position + position.like(sizes.beat_words.into())));
    m.set_if(&word, &row_done, &lit(0, sizes.word_bits));
    let words = mux(
        &passes,
        &loading
            .segment_words
            .zext(sizes.word_bits.max(loading.segment_words.width()))
            .trunc(sizes.word_bits),
        &lit(u64::from(sizes.beat_words), sizes.word_bits),
    );
    m.set_if(&word, &take, &(&word + words));
    m.set_if(&segment, &row_done, &lit(0, sizes.segment_bits));
    m.set_if(&segment, &loading.segment_end, &segment.inc());
    let first_word = m.reg_reset("first_word", 1, 1);
    m.set_if(&first_word, &take, &row_done);
    let bytes: Vec<Expr> = (0..8 * sizes.beat_words)
        .map(|i| {
            let byte = m.named(&format!("in_byte_{i}"), &inputs.in_data.slice(8 * i, 8));
            mux(&inputs.count_spikes, &popcount(&byte).zext(8), &byte)
        })
        .collect();
    let stored = cat(&bytes.into_iter().rev().collect::<Vec<_>>());
    let ready = m.named("beat_ready", &(&ready & !&loading.absent));
    Take {
        row,
        slot,
        busy,
        position,
        word,
        segment,
        slot_free,
        ready,
        beat,
        take,
        row_done,
        first_word,
        stored,
    }
}

/// The beat on its way into the memories.
struct Store {
    held: Expr,
    /// With data.
    held_beat: Expr,
    data: Expr,
    held_slot: Expr,
    held_word: Expr,
    held_segment: Expr,
    held_wide: Expr,
    held_first: Expr,
    held_row_end: Expr,
    held_token_end: Expr,
    held_job_end: Expr,
    narrow: Memory,
    word_address: Expr,
    segments: Memory,
}

fn store(m: &mut Builder, config: &CoreConfig, sizes: &Sizes, loading: &Loading, take: &Take) -> Store {
    m.comment("Second stage: store it, mark what is active.");
    let held = m.delay_reset("held", &take.take);
    let held_beat = m.delay_reset("held_beat", &take.beat);
    let mut hold = |name: &str, value: &Expr| m.sample(name, &take.take, value);
    let data = hold("held_data", &take.stored);
    let held_row = hold("held_row", &take.row);
    let held_slot = held_row.bit(0);
    let held_word = hold("held_word", &take.word);
    let held_segment = hold("held_segment", &take.segment);
    let lane_beat = hold(
        "held_lane_beat",
        &take.position.shr(sizes.beat_words.trailing_zeros()).trunc(index_width(sizes.lane_beats)),
    );
    let held_wide = hold("held_diagonal", &loading.wide);
    let held_first = hold("held_first", &take.first_word);
    let held_row_end = hold("held_row_end", &take.row_done);
    let held_token_end = hold("held_token_end", &loading.token_end);
    let held_job_end = hold("held_job_end", &loading.job_end);
    let narrow = m.memory("words", config.bus_bits, (sizes.words << WORD_ROW_BITS) / sizes.beat_words);
    let word_address =
        cat(&[held_row.slice(0, WORD_ROW_BITS), held_word.slice(sizes.beat_shift, sizes.beat_bits)]);
    m.write(&narrow, &held_beat, &word_address, &data);
    let segments = m.memory("segments", 8 * config.lanes, MAX_SEGMENTS << ROW_BITS);
    let enables = enables(m, &held_beat, &lane_beat, sizes.lane_beats);
    m.write_lanes(
        &segments,
        &enables,
        &cat(&[held_row.clone(), held_segment.clone()]),
        &data.repeat(sizes.lane_beats),
    );
    Store {
        held,
        held_beat,
        data,
        held_slot,
        held_word,
        held_segment,
        held_wide,
        held_first,
        held_row_end,
        held_token_end,
        held_job_end,
        narrow,
        word_address,
        segments,
    }
}

fn read_ports(
    m: &mut Builder,
    sizes: &Sizes,
    inputs: &Inputs,
    loading: &Loading,
    take: &Take,
    store: &Store,
    slots: &Slots,
) {
    m.comment("Read ports.");
    let read_word = m.input_doc("read_word", 1, "read a word");
    let word_row = m.input("word_row", WORD_ROW_BITS);
    let word_index = m.input("word_index", sizes.word_bits);
    let read_segment = m.input_doc("read_segment", 1, "read a segment whole");
    let segment_row = m.input("segment_row", ROW_BITS);
    let whole_index = m.input("whole_index", sizes.segment_bits);
    let address = cat(&[word_row, word_index.slice(sizes.beat_shift, sizes.beat_bits)]);
    let beat_data = m.read_sync("beat_data", &store.narrow, &read_word, &address);
    let ports = Ports {
        memory: &store.narrow,
        write_enables: &store.held_beat,
        write_address: &store.word_address,
        write_data: &store.data,
        read_enable: &read_word,
        read_address: &address,
        read_data: &beat_data,
    };
    reads_return_what_was_written(m, "word", &ports);
    let word_data = if sizes.beat_words == 1 {
        beat_data
    } else {
        let upper = m.reg("read_upper", 1);
        m.set_if(&upper, &read_word, &word_index.bit(0));
        mux(&upper, &beat_data.slice(64, 64), &beat_data.slice(0, 64))
    };
    let whole =
        m.read_sync("segment_data", &store.segments, &read_segment, &cat(&[segment_row, whole_index]));
    m.output_doc("in_ready", &take.ready, "a beat is taken if there is one");
    m.output_doc("segment_ready", &loading.segment_ready, "the next segment is taken if there is one");
    m.output_doc(
        "bitmap",
        &mux(&inputs.query_slot, &slots.bitmaps[1], &slots.bitmaps[0]),
        "active words of the queried plane",
    );
    m.output_doc("word_data", &word_data, "one cycle after `read_word`");
    m.output_doc("segment_data", &whole, "one byte a lane, one cycle after `read_segment`");
}
