//! Loads K or V into the weight buffer.

use std::rc::Rc;

use isa::{CoreConfig, Op};

use super::fields::{Fields, Record, bits, pass_bits};
use super::key_transposer::key_transposer;
use super::terminal_count::terminal_count;
use super::weight_buffer::chunk_rows;
use crate::rtl::{Builder, Expr, Instance, Module, RtlError, index_width, lit, mux};

/// Descriptor fields that shape K and V.
pub(super) const FIELDS: [&str; 4] = ["op", "chunks", "matrix_token_stride", "matrix_chunk_stride"];

/// Requests and receives the rows of K (`scores`) or V (`context`) of one job, chunk by chunk, while `active` is high.
///
/// V's rows are matrix rows as they come. K's words pass the transposer, which makes rows of one channel for eight keys each.
/// Chunk `c` starts at matrix row `c * 8 * segment_words`, with the words of the queries' row. `done` pulses in the cycle after the job's last write.
pub fn key_loader(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    let transposer = key_transposer(config)?;
    let doc = "Requests and receives the rows of K or V of one job, chunk by chunk; K passes the transposer.";
    Module::build("key_loader", doc, |m: &mut Builder| {
        let ports = ports(m, config);
        let requests = requests(m, &ports);
        let receive = receive(m, config, &ports);
        let rows = rows(m, &transposer, &ports, &receive);
        outputs(m, &ports, &requests, &receive, &rows);
    })
}

/// The job's K or V, and what arrives of it.
struct Ports {
    layer: Fields,
    segment_words: Expr,
    active: Expr,
    rows: Expr,
    words: Expr,
    job_base: Expr,
    request_ready: Expr,
    in_valid: Expr,
    in_data: Expr,
    scores: Expr,
    row_bits: u32,
    idle: Expr,
}

fn ports(m: &mut Builder, config: &CoreConfig) -> Ports {
    let layer = Fields::inputs(m, Record::Layer, &FIELDS);
    let segment_words = m.input_doc("segment_words", pass_bits("segment_words"), "field of the pass record");
    let active = m.input_doc("active", 1, "a job's K or V is being loaded");
    let rows = m.input_doc("rows", bits("keys"), "keys of this tile, or tokens of the block for V");
    let words = m.input_doc("words", bits("key_words"), "64-bit words of a row");
    let job_base = m.input_doc("job_base", 32, "byte offset of the first row; read before `active`");
    let request_ready = m.input("request_ready", 1);
    let in_valid = m.input_doc("in_valid", 1, "a beat of K or V is there; while `active` alone");
    let in_data = m.input("in_data", config.bus_bits);
    m.fits("words", (config.lanes / 8).into(), words.width());
    let scores = m.delay("scores", &layer.is(Op::Scores));
    let row_bits = index_width(config.weight_rows);
    let idle = m.named("idle", &!&active);
    Ports {
        layer,
        segment_words,
        active,
        rows,
        words,
        job_base,
        request_ready,
        in_valid,
        in_data,
        scores,
        row_bits,
        idle,
    }
}

/// The row that is requested.
struct Requests {
    valid: Expr,
    address: Expr,
}

fn requests(m: &mut Builder, ports: &Ports) -> Requests {
    m.comment("Keys or values: request side.");
    let requesting = m.reg_reset("requesting", 1, 1);
    m.comment("A request every second cycle at most: the cycle in between decides whether it is the last.");
    let rests = m.reg_reset("key_rests", 1, 0);
    let valid = m.named("key_request", &(&ports.active & &requesting & !&rests));
    let sent = m.named("key_sent", &(&valid & &ports.request_ready));
    m.set(&rests, &sent);
    let key = m.reg_reset("key_requested", ports.rows.width(), 0);
    let chunk = m.reg_reset("key_chunk", bits("chunks"), 0);
    let at_last_key = m.delay("at_last_key", &key.inc().eq(&ports.rows));
    let at_last_chunk = m.delay("at_last_chunk", &chunk.inc().eq(&ports.layer["chunks"]));
    let last_key = m.named("last_key_requested", &(&sent & at_last_key));
    let last = m.named("last_requested", &(&last_key & at_last_chunk));
    m.set_if(&requesting, &ports.idle, &lit(1, 1));
    m.set_if(&requesting, &last, &lit(0, 1));
    m.set_if(&key, &(&ports.idle | &last_key), &key.like(0));
    m.set_if(&key, &sent, &key.inc());
    m.set_if(&chunk, &ports.idle, &chunk.like(0));
    m.set_if(&chunk, &last_key, &chunk.inc());
    let chunk_base = m.reg_reset("key_chunk_base", 32, 0);
    let address = m.reg_reset("key_address", 32, 0);
    let next_chunk = &chunk_base + &ports.layer["matrix_chunk_stride"];
    m.set_if(&chunk_base, &ports.idle, &ports.job_base);
    m.set_if(&chunk_base, &last_key, &next_chunk);
    m.set_if(&address, &ports.idle, &ports.job_base);
    m.set_if(&address, &last_key, &next_chunk);
    m.set_if(&address, &sent, &(&address + &ports.layer["matrix_token_stride"]));
    Requests { valid, address }
}

/// The word that arrives, and its place in the rows.
struct Receive {
    lane_words: u32,
    beat_words: u32,
    transposer_ready: Expr,
    in_ready: Expr,
    take: Expr,
    word: Expr,
    row: Expr,
    key_end: Expr,
    rows_end: Expr,
    slab_end: Expr,
    last_word: Expr,
    word_data: Expr,
}

fn receive(m: &mut Builder, config: &CoreConfig, ports: &Ports) -> Receive {
    m.comment("Keys or values: receive side. The transposer takes a beat word by word.");
    let lane_words = config.lanes / 8;
    let beat_words = config.bus_bits / 64;
    let transposer_ready = m.wire("transposer_ready", 1);
    let (last_word, word_data) = if beat_words == 1 {
        (lit(1, 1), ports.in_data.clone())
    } else {
        let upper = m.reg_reset("key_upper_word", 1, 0);
        let moves = &ports.scores & &ports.in_valid & &transposer_ready;
        m.set_if(&upper, &moves, &!&upper);
        (upper.clone(), mux(&upper, &ports.in_data.slice(64, 64), &ports.in_data.slice(0, 64)))
    };
    let in_ready = m.named("in_ready", &mux(&ports.scores, &(&transposer_ready & &last_word), &lit(1, 1)));
    let take = m.named("key_take", &(&in_ready & &ports.in_valid));
    let word = m.reg_reset("word", ports.words.width(), 0);
    let row = m.reg_reset("key", ports.rows.width(), 0);
    let key_end = terminal_count(m, "key_words", beat_words, [&ports.words; 2], &ports.idle, &take);
    let key_done = m.named("key_done", &(&take & &key_end));
    let last_row = terminal_count(m, "keys", 1, [&ports.rows; 2], &ports.idle, &key_done);
    let rows_end = m.named("key_rows_end", &(&key_end & &last_row));
    let slab_end = m.named("slab_end", &(&rows_end | (&key_end & row.slice(0, 3).all())));
    m.set_if(&word, &(&ports.idle | &key_done), &word.like(0));
    m.set_if(&word, &take, &(&word + word.like(beat_words.into())));
    m.set_if(&row, &(&ports.idle | (&take & &rows_end)), &row.like(0));
    m.set_if(&row, &key_done, &row.inc());
    Receive {
        lane_words,
        beat_words,
        transposer_ready,
        in_ready,
        take,
        word,
        row,
        key_end,
        rows_end,
        slab_end,
        last_word,
        word_data,
    }
}

/// The transposer, and where in the weight buffer what leaves it goes.
struct Rows {
    block: Instance,
    slab: Expr,
    done: Expr,
    channel_row: Expr,
    value_row: Expr,
    beat_bits: u32,
}

fn rows(m: &mut Builder, transposer: &Rc<Module>, ports: &Ports, receive: &Receive) -> Rows {
    let chunk_rows = chunk_rows(m, &ports.segment_words, ports.row_bits);
    let value_base = m.reg_reset("value_row_base", ports.row_bits, 0);
    m.set_if(&value_base, &ports.idle, &lit(0, ports.row_bits));
    m.set_if(&value_base, &(&receive.take & &receive.rows_end), &(&value_base + &chunk_rows));
    let block = m.instance(
        "transposer",
        transposer,
        &[
            ("in_valid", &ports.scores & &ports.in_valid),
            ("in_data", receive.word_data.clone()),
            ("key_end", &receive.key_end & &receive.last_word),
            ("slab_end", &receive.slab_end & &receive.last_word),
            ("rows_end", receive.rows_end.clone()),
        ],
    );
    m.assign(&receive.transposer_ready, &block.output("in_ready"));
    let slab_done = block.output("slab_done");
    let key_chunk_done = block.output("chunk_done");
    let chunk_done = mux(&ports.scores, &key_chunk_done, &(&receive.take & &receive.rows_end));
    let chunk_done = m.named("chunk_done", &chunk_done);
    let word_bits = index_width(receive.lane_words);
    let slab = m.reg_reset("slab", word_bits, 0);
    m.set_if(&slab, &(&ports.idle | &key_chunk_done), &lit(0, word_bits));
    if receive.lane_words > 1 {
        m.set_if(&slab, &slab_done, &slab.inc());
    } else {
        m.unused(&slab_done);
    }
    let key_base = m.reg_reset("key_row_base", ports.row_bits, 0);
    m.set_if(&key_base, &ports.idle, &lit(0, ports.row_bits));
    m.set_if(&key_base, &key_chunk_done, &(&key_base + &chunk_rows));
    let chunk_done = m.delay_reset("chunk_was_done", &chunk_done);
    let last_chunk = terminal_count(m, "chunks", 1, [&ports.layer["chunks"]; 2], &ports.idle, &chunk_done);
    let done = m.named("done", &(&ports.active & &chunk_done & last_chunk));
    let channel = block.output("out_channel");
    let channel_row = &key_base + channel.zext(ports.row_bits.max(channel.width())).trunc(ports.row_bits);
    let value_row =
        &value_base + receive.row.zext(ports.row_bits.max(receive.row.width())).trunc(ports.row_bits);
    let beat_bits = index_width(receive.lane_words / receive.beat_words);
    Rows { block, slab, done, channel_row, value_row, beat_bits }
}

fn outputs(m: &mut Builder, ports: &Ports, requests: &Requests, receive: &Receive, rows: &Rows) {
    m.output_doc("request_valid", &requests.valid, "a row is requested");
    m.output("request_offset", &requests.address);
    m.output("in_ready", &receive.in_ready);
    m.output_doc("key_valid", &rows.block.output("out_valid"), "a transposed word is there");
    m.output_doc("key_word", &rows.slab, "which eight lanes it is for");
    m.output("key_data", &rows.block.output("out_data"));
    m.output_doc("value_valid", &(&receive.take & !&ports.scores), "a beat of V is there");
    m.output_doc(
        "value_beat",
        &receive.word.shr(receive.beat_words.trailing_zeros()).trunc(rows.beat_bits),
        "which part of the row",
    );
    m.output_doc("row", &mux(&ports.scores, &rows.channel_row, &rows.value_row), "matrix row");
    m.output("done", &rows.done);
}
