//! Spike bytes into memory words.

use std::rc::Rc;

use isa::CoreConfig;

use super::if_neuron_array::LAG;
use super::shaped;
use crate::rtl::{Builder, Module, RtlError, index_width, lit, mux};

/// Takes one byte a lane and hands it on as 64-bit words with the address they belong to.
///
/// A row of bytes is one chunk of one token and tile. The chunks of a token lie `chunk_stride` apart. Only `tile_words` words are
/// sent: the last tile of a row may be partial. With the last word the burst is announced.
/// The bytes of a row come `LAG` (3) cycles after the row is taken, and wait in a register while the row before it is sent. So a row is
/// taken every fifth cycle at most, and readiness is registered.
pub fn spike_packer(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("spike_packer", config)?;
    let words = config.lanes / 8;
    let doc = "Turns rows of one byte a lane into 64-bit words, and announces the burst that they make.";
    Module::build("spike_packer", doc, |m: &mut Builder| {
        let bits = index_width(words + 1);
        let in_valid = m.input("in_valid", 1);
        let in_bytes = m.input_doc("in_bytes", 8 * config.lanes, "3 cycles after the row is taken");
        let in_offset = m.input_doc("in_offset", 32, "byte offset of the token");
        let in_last = m.input_doc("in_last", 1, "last chunk of the token");
        let chunk_stride = m.input("chunk_stride", 32);
        let tile_words = m.input_doc("tile_words", bits, "words of this tile, 1 or more");
        let out_ready = m.input("out_ready", 1);
        m.comment("A row is held here until the one before it is sent.");
        let busy = m.reg_reset("busy", 1, 0);
        let take = m.named("take", &(&in_valid & !&busy));
        let arrives = (1..=LAG).fold(take.clone(), |before, n| m.delay_reset(&format!("taken_{n}"), &before));
        let chunk_offset = m.reg_reset("chunk_offset", 32, 0);
        m.set_if(&chunk_offset, &take, &mux(&in_last, &lit(0, 32), &(&chunk_offset + &chunk_stride)));
        let held_address = m.sample("held_address", &take, &(&in_offset + &chunk_offset));
        let held_words = m.sample("held_words", &take, &tile_words);
        let held_bytes = m.sample("held_bytes", &arrives, &in_bytes);
        let held = m.reg_reset("held", 1, 0);

        m.comment("The row being sent. Whether a word is its last is registered: what follows from `out_ready` crosses the device.");
        let left = m.reg_reset("words_left", bits, 0);
        let sending = m.reg_reset("sending", 1, 0);
        let last = if words > 1 { m.reg_reset("last_word", 1, 0) } else { sending.clone() };
        let sent = m.named("sent", &(&sending & &out_ready));
        let begin = m.named("begins", &(&held & (!&sending | (&last & &out_ready))));
        let bytes = m.reg("bytes", 8 * config.lanes);
        let address = m.reg("address", 32);
        let count = m.reg("count", bits);
        m.set_if(&busy, &take, &lit(1, 1));
        m.set_if(&busy, &begin, &lit(0, 1));
        m.set_if(&held, &arrives, &lit(1, 1));
        m.set_if(&held, &begin, &lit(0, 1));
        m.set_if(&left, &begin, &held_words);
        m.set_if(&left, &sent, &left.dec());
        m.set_if(&sending, &begin, &lit(1, 1));
        m.set_if(&sending, &(&sent & &last), &lit(0, 1));
        if words > 1 {
            m.set_if(&last, &begin, &held_words.eq_lit(1));
            m.set_if(&last, &sent, &left.eq_lit(2));
        }
        m.set_if(&bytes, &begin, &held_bytes);
        if words > 1 {
            m.set_if(&bytes, &sent, &bytes.shr(64));
        }
        m.set_if(&count, &begin, &held_words);
        m.set_if(&address, &begin, &held_address);
        m.output_doc("in_ready", &!&busy, "the row is taken");
        m.output("out_valid", &sending);
        m.output("out_data", &bytes.slice(0, 64));
        m.output_doc("burst_valid", &(&sending & &last), "with the last word: the burst is complete");
        m.output("burst_offset", &address);
        m.output("burst_words", &count);
        m.output_doc("idle", &!(&sending | &busy), "nothing is held");
    })
}
