//! For proofs: every burst is answered as it was asked, the host is served once, a word is what was written to it last.

use super::{Begin, Burst, Ram};
use crate::rtl::{Builder, Expr, index_width, lit};

/// What a request asks for, by its byte address.
pub(super) struct Request {
    direction: &'static str,
    length: Expr,
    id: Expr,
    /// The word of its first beat, and whether that is in the memory.
    word: Expr,
    inside: Expr,
}

impl Request {
    pub fn of(begin: &Begin, ram: &Ram) -> Request {
        let byte_bits = (ram.bus_bits / 8).trailing_zeros();
        let bits = index_width(ram.bytes >> byte_bits);
        let address_bits = ram.address_bits + 2;
        let wide = |value: u64| lit(value, address_bits);
        let address = begin.address.zext(address_bits);
        let inside = address.ge(&wide(ram.base)) & address.lt(&(wide(ram.base) + wide(ram.bytes.into())));
        let word = (&address - wide(ram.base)).slice(byte_bits, bits);
        let (length, id) = (begin.beats_less_one.clone(), begin.id.clone());
        Request { direction: begin.direction, length, id, word, inside }
    }

    /// Holds it from when it is taken: length, ID, first word, whether it is outside.
    fn hold(&self, m: &mut Builder, name: &str, take: &Expr) -> [Expr; 4] {
        let mut held =
            |what: &str, value: &Expr| m.sample(&format!("{}_{name}_{what}", self.direction), take, value);
        [
            held("length", &self.length),
            held("id", &self.id),
            held("word", &self.word),
            held("outside", &!&self.inside),
        ]
    }
}

/// The two stages that a beat passes after it has entered: whether there is one, the burst's last, its ID, whether it is outside.
pub(super) struct Pipeline<'a> {
    pub step: &'a Expr,
    pub enters: &'a Expr,
    pub stage: [&'a Expr; 4],
    pub answer: [&'a Expr; 4],
    pub data: &'a Expr,
    pub ready: &'a Expr,
}

/// Watches one read burst, which the proof picks.
pub(super) fn reads_are_answered(m: &mut Builder, request: &Request, burst: &Burst, pipeline: &Pipeline<'_>) {
    let Pipeline { step, enters, data, ready, .. } = *pipeline;
    let [stage, stage_last, stage_id, stage_outside] = pipeline.stage;
    let [valid, last, id, outside] = pipeline.answer;
    m.comment(
        "AXI4 read channels (IHI 0022): bursts are numbered as they are taken and as they end, modulo 4.",
    );
    m.assert_stable(
        "r_stays",
        "A3.2.1: RVALID and what it carries stay until RREADY.",
        &(valid & !ready),
        &[valid, data, last, id, outside],
    );
    m.assert_formal(
        "beats_enter_a_free_stage",
        "A beat enters only when those before it move on.",
        &(!enters | (step & &burst.active)),
    );
    let mut count = |name: &str, when: &Expr| {
        let count = m.reg_reset(name, 2, 0);
        m.set_if(&count, when, &count.inc());
        count
    };
    let given = valid & ready;
    let begun = count("reads_begun", &burst.take);
    let ended = count("reads_ended", &(&given & last));
    let watched = m.any_constant("watched_read", 2);
    let take = m.named("takes_watched_read", &(&burst.take & begun.eq(&watched)));
    let [length, asked_id, word, asked_outside] = request.hold(m, "watched", &take);
    let present = m.named("reads_present", &(&begun - &ended));
    let waits = m.named("watched_read_waits", &(&watched - &ended).lt(&present));
    let answered = m.named("watched_is_answered", &(valid & &waits & ended.eq(&watched)));
    let staged = (&ended + (valid & last).zext(2)).eq(&watched);
    let staged = m.named("watched_is_staged", &(stage & &waits & staged));
    let active = m.named("watched_is_active", &(&burst.active & begun.dec().eq(&watched)));
    let beats = m.reg("watched_beats", 9);
    m.set_if(&beats, &take, &lit(0, 9));
    m.set_if(&beats, &(&given & &answered), &beats.inc());
    m.assert_formal(
        "no_read_invented",
        "A beat comes only of a burst that was asked for.",
        &(!valid | present.any()),
    );
    m.assert_formal(
        "read_as_asked",
        "A3.4.1: a read burst has as many beats as its address said, RLAST with the last, its ID, and DECERR if it begins \
         outside the memory.",
        &(!&answered
            | (last.eq(&beats.eq(&length.zext(9))) & id.eq(&asked_id) & outside.eq(&asked_outside))),
    );
    m.assert_formal("no_beat_too_many", "A3.4.1: no burst has more.", &(!&waits | beats.le(&length.zext(9))));
    m.comment("How the registers follow.");
    let ends = |there: &Expr, last: &Expr| (there & last).zext(2);
    m.assert_formal(
        "reads_are_counted",
        "Every burst that was taken and has not ended is active, or its last beat is under way.",
        &present.eq(&(burst.active.zext(2) + ends(stage, stage_last) + ends(valid, last))),
    );
    m.assert_formal(
        "bursts_go_on",
        "Behind a beat that is not its burst's last the next one comes.",
        &((!(stage & !stage_last) | &burst.active) & (!(valid & !last & !stage) | &burst.active)),
    );
    let entered = m.named("watched_entered", &(&beats + answered.zext(9) + staged.zext(9)));
    let stage_ends = m.named("stage_ends_watched", &(&staged & stage_last));
    let answer_ends = m.named("answer_ends_watched", &(&answered & last));
    let still_enters = entered.le(&length.zext(9))
        & burst.beats_left.eq(&(&length - entered.trunc(8)))
        & burst.id.eq(&asked_id)
        & burst.outside.eq(&asked_outside)
        & (&asked_outside | burst.word.eq(&(&word + entered.zext(word.width().max(9)).trunc(word.width()))))
        & !(&stage_ends | &answer_ends);
    m.assert_formal(
        "active_follows",
        "What is left of the active burst is what has not entered.",
        &(!&active | still_enters),
    );
    let all_entered = entered.eq(&length.zext(9).inc()) & (&stage_ends ^ &answer_ends);
    m.assert_formal(
        "ended_follows",
        "Of a burst that is not active any more the last beat is under way.",
        &(!(&waits & !&active) | all_entered),
    );
    m.assert_formal(
        "stage_follows",
        "A beat keeps what its burst asked for.",
        &((!&staged | (stage_id.eq(&asked_id) & stage_outside.eq(&asked_outside)))
            & !(&staged & &answer_ends)),
    );
    m.cover_formal(
        "long_read",
        "A burst of four beats ends.",
        &(&given & &answer_ends & length.eq_lit(3) & !&asked_outside),
    );
    m.cover_formal("three_reads", "Three bursts are present.", &present.eq_lit(3));
}

/// The beat that is written next, by what its burst asked for.
pub(super) struct Beat {
    pub word: Expr,
    pub outside: Expr,
}

/// The rules of write bursts; `answer` is valid, ID, outside, ready.
pub(super) fn writes_are_answered(
    m: &mut Builder,
    request: &Request,
    burst: &Burst,
    beat: &Expr,
    [valid, id, outside, ready]: [&Expr; 4],
) -> Beat {
    m.comment("AXI4 write channels: the burst under way, and the one that is answered.");
    m.assert_stable(
        "b_stays",
        "A3.2.1: BVALID and what it carries stay until BREADY.",
        &(valid & !ready),
        &[valid, id, outside],
    );
    let [length, asked_id, word, asked_outside] = request.hold(m, "asked", &burst.take);
    let beats = m.reg("beats_written", 9);
    m.set_if(&beats, &burst.take, &lit(0, 9));
    m.set_if(&beats, beat, &beats.inc());
    let ends = m.named("write_ends", &(beat & beats.eq(&length.zext(9))));
    let open = m.reg_reset("writes_open", 2, 0);
    m.set(&open, &(&open + burst.take.zext(2) - (valid & ready).zext(2)));
    let ended_id = m.sample("ended_id", &ends, &asked_id);
    let ended_outside = m.sample("ended_outside", &ends, &asked_outside);
    m.assert_next(
        "answered_at_the_end",
        "A3.3.1: with a burst's last beat its response is due.",
        &ends,
        valid,
    );
    m.assert_next("answered_only_then", "A3.3.1: there is no other response.", &!(&ends | valid), &!valid);
    m.assert_formal(
        "one_answer_a_write",
        "A3.3.1: every burst that was taken is under way or has its one response.",
        &open.eq(&(burst.active.zext(2) + valid.zext(2))),
    );
    m.assert_formal(
        "answered_as_asked",
        "A response has its burst's ID, and DECERR if that begins outside the memory.",
        &(!valid | (id.eq(&ended_id) & outside.eq(&ended_outside))),
    );
    m.assert_formal(
        "beats_of_a_burst",
        "A3.4.1: a beat is taken only of a burst under way.",
        &(!beat | &burst.active),
    );
    let place = m.named("beat_word", &(&word + beats.zext(word.width().max(9)).trunc(word.width())));
    let follows = beats.le(&length.zext(9))
        & burst.beats_left.eq(&(&length - beats.trunc(8)))
        & burst.id.eq(&asked_id)
        & burst.outside.eq(&asked_outside)
        & (&asked_outside | burst.word.eq(&place));
    m.assert_formal(
        "write_follows",
        "What is left of a burst is what was not taken.",
        &(!&burst.active | follows),
    );
    m.cover_formal(
        "long_write",
        "A burst of four beats ends.",
        &(&ends & length.eq_lit(3) & !&asked_outside),
    );
    m.cover_formal("refused_write", "A burst outside is answered.", &(valid & outside & ready));
    Beat { word: place, outside: asked_outside }
}

/// The host's port: what it asks stays until it is done, and is done once.
pub(super) fn host_is_served_once(
    m: &mut Builder,
    [valid, write]: [&Expr; 2],
    [address, data]: [&Expr; 2],
    [turn, enters, waits, staged, done]: [&Expr; 5],
    other: &Expr,
) {
    m.comment("The host's port.");
    m.assume_stable(
        "host_stays",
        "Proved of the module that asks: an access stays as it is until it is done.",
        &(valid & !write & !done),
        &[valid, write, address, data],
    );
    m.assert_formal(
        "host_reads_once",
        "One read of the host is under way at a time.",
        &waits.eq(&(staged ^ done)),
    );
    m.assert_formal("host_not_twice", "It is not begun again before it is done.", &!(enters & waits));
    m.assert_formal(
        "host_done_of_a_read",
        "Only a read that the host asks for is done.",
        &(!waits | (valid & !write)),
    );
    m.assert_formal(
        "host_turn_of_a_read",
        "It has its turn for a read that it asks for and that is not under way.",
        &(!turn | (valid & !write & !waits)),
    );
    m.assert_formal("host_ends", "There is one answer for each.", &!(staged & (done | other)));
    m.cover_formal("host_read", "A read of the host is done.", done);
}

/// A word of 32 bits that the proof picks: what holds for it holds for every word.
pub(super) struct Watched {
    pub word: Expr,
    pub lane: Expr,
    address: Expr,
    in_range: Expr,
}

impl Watched {
    pub fn pick(m: &mut Builder, host_address: &Expr, lanes: u32, depth: u32) -> Watched {
        let address = m.any_constant("watched_word", host_address.width());
        let lane_bits = lanes.trailing_zeros();
        let word = address.slice(lane_bits, address.width() - lane_bits);
        let in_range = m.named("watched_is_there", &word.zext(32).lt_lit(depth.into()));
        Watched { lane: address.slice(0, lane_bits), word, address, in_range }
    }

    fn of(&self, word: &Expr) -> Expr {
        word.slice_at(&self.lane, 32)
    }
}

/// The banks, where the watched word lies: their word, whether it is being written, and with what.
pub(super) struct Banks<'a> {
    pub kept: Expr,
    pub reaches: Expr,
    pub data: &'a Expr,
}

pub(super) struct Writes<'a> {
    /// A beat with the watched lane's strobe.
    pub beat: &'a Expr,
    pub beat_word: &'a Expr,
    pub beat_outside: &'a Expr,
    pub beat_data: &'a Expr,
    /// A burst that is not answered, or whose response was not taken.
    pub under_way: &'a Expr,
    pub host: &'a Expr,
    pub host_data: &'a Expr,
}

pub(super) struct Reads<'a> {
    pub step: &'a Expr,
    pub beat: &'a Expr,
    pub beat_word: &'a Expr,
    pub host: &'a Expr,
    pub stage: &'a Expr,
    pub stage_host: &'a Expr,
    pub stage_data: &'a Expr,
    /// A beat, a word of the host.
    pub answer: [&'a Expr; 2],
    pub answer_data: &'a Expr,
    pub host_data: &'a Expr,
}

/// What is read is what was written last.
pub(super) fn words_are_kept(
    m: &mut Builder,
    watched: &Watched,
    banks: &Banks<'_>,
    writes: &Writes<'_>,
    reads: &Reads<'_>,
    host_address: &Expr,
) {
    m.comment(
        "One word of 32 bits, which the proof picks. A write is on its way to the banks for one cycle.",
    );
    let there = &watched.in_range;
    let by_host = m.named("host_writes_watched", &(writes.host & host_address.eq(&watched.address)));
    let by_beat = there & writes.beat & !writes.beat_outside & writes.beat_word.eq(&watched.word);
    let by_beat = m.named("beat_writes_watched", &by_beat);
    let under_way = m.delay_reset("watched_under_way", &(there & (&by_host | &by_beat)));
    let of_beat = m.delay_reset("watched_under_way_of_beat", &by_beat);
    let next = m.reg("watched_next", 32);
    m.set_if(&next, &by_host, writes.host_data);
    m.set_if(&next, &by_beat, &watched.of(writes.beat_data));
    let known = m.reg_reset("watched_known", 1, 0);
    m.set_if(&known, &under_way, &lit(1, 1));
    let value = m.reg("watched_value", 32);
    m.set_if(&value, &under_way, &next);
    m.assert_formal(
        "write_reaches_its_word",
        "What is written reaches its word one cycle later, and nothing else does.",
        &(!there | (banks.reaches.eq(&under_way) & (!&under_way | watched.of(banks.data).eq(&next)))),
    );
    m.assert_formal(
        "word_is_kept",
        "A word keeps what was written to it last, whatever is written elsewhere.",
        &(!(there & &known) | watched.of(&banks.kept).eq(&value)),
    );
    m.assert_formal(
        "answered_is_written",
        "A write that is on its way to the banks is not answered yet: no read that comes after the answer misses it.",
        &(!&of_beat | writes.under_way),
    );
    m.assert_formal(
        "host_waits_for_writes",
        "The host never reads a word on its way.",
        &!(reads.host & &under_way),
    );

    let read_by_host = m.named("host_reads_watched", &(reads.host & host_address.eq(&watched.address)));
    let read_by_beat = m.named("beat_reads_watched", &(reads.beat & reads.beat_word.eq(&watched.word)));
    let due = m.named("watched_due", &(there & &known & !&under_way & (&read_by_host | &read_by_beat)));
    let mut stage = |name: &str, due: &Expr, value: &Expr| {
        let (there, held) = (m.reg_reset(&format!("{name}_due"), 1, 0), m.reg(&format!("{name}_value"), 32));
        m.set_if(&there, reads.step, due);
        m.set_if(&held, reads.step, value);
        (there, held)
    };
    let (staged, staged_value) = stage("staged", &due, &value);
    let (answered, answered_value) = stage("answered", &staged, &staged_value);
    let [beat, host] = reads.answer;
    m.assert_formal(
        "read_is_what_was_written",
        "A beat has what was written to its word last, unless that was on its way when it was read.",
        &(!(beat & &answered) | watched.of(reads.answer_data).eq(&answered_value)),
    );
    m.assert_formal(
        "host_reads_what_was_written",
        "The host reads what was written to its word last.",
        &(!(host & &answered) | (reads.host_data.eq(&answered_value) & host_address.eq(&watched.address))),
    );
    m.assert_formal(
        "stage_holds_what_was_written",
        "So has the stage between.",
        &(!&staged
            | (reads.stage
                & watched.of(reads.stage_data).eq(&staged_value)
                & (!reads.stage_host | host_address.eq(&watched.address)))),
    );
    m.cover_formal(
        "beat_read_back",
        "A word is written by a beat and read by one.",
        &(beat & &answered & answered_value.any()),
    );
    m.cover_formal(
        "host_read_back",
        "A word is written and read by the host.",
        &(host & &answered & answered_value.any()),
    );
}
