//! Spike bytes into memory words.

use std::rc::Rc;

use isa::CoreConfig;

use crate::rtl::{Builder, Module, RtlError, index_width, lit, mux};

/// Takes one byte a lane and hands it on as 64-bit words with the address they belong to.
///
/// A row of bytes is one chunk of one token and tile. The chunks of a token lie `chunk_stride` apart. Only `tile_words` words are
/// sent: the last tile of a row may be partial. After the last word the burst is announced.
pub fn spike_packer(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    let words = config.lanes / 8;
    let doc = "Turns rows of one byte a lane into 64-bit words, and announces the burst that they make.";
    Module::build("spike_packer", doc, |m: &mut Builder| {
        let bits = index_width(words + 1);
        let in_valid = m.input("in_valid", 1);
        let in_bytes = m.input("in_bytes", 8 * config.lanes);
        let in_offset = m.input_doc("in_offset", 32, "byte offset of the token");
        let in_last = m.input_doc("in_last", 1, "last chunk of the token");
        let chunk_stride = m.input("chunk_stride", 32);
        let tile_words = m.input_doc("tile_words", bits, "words of this tile, 1 or more");
        let out_ready = m.input("out_ready", 1);
        let left = m.reg_reset("words_left", bits, 0);
        let sending = m.named("sending", &left.any());
        let sent = m.named("sent", &(&sending & &out_ready));
        let last = m.named("last_word", &left.eq_lit(1));
        let ready = m.named("ready", &(!&sending | &(&sent & &last)));
        let take = m.named("take", &(&in_valid & &ready));
        let bytes = m.reg("bytes", 8 * config.lanes);
        let chunk_offset = m.reg_reset("chunk_offset", 32, 0);
        let address = m.reg("address", 32);
        let count = m.reg("count", bits);
        m.set_if(&left, &take, &tile_words);
        m.set_if(&left, &sent, &left.dec());
        m.set_if(&bytes, &take, &in_bytes);
        if words > 1 {
            m.set_if(&bytes, &sent, &bytes.shr(64));
        }
        m.set_if(&count, &take, &tile_words);
        m.set_if(&address, &take, &(&in_offset + &chunk_offset));
        m.set_if(&chunk_offset, &take, &mux(&in_last, &lit(0, 32), &(&chunk_offset + &chunk_stride)));
        m.output_doc("in_ready", &ready, "the bytes are taken");
        m.output("out_valid", &sending);
        m.output("out_data", &bytes.slice(0, 64));
        m.output_doc("burst_valid", &(&sending & &last), "with the last word: the burst is complete");
        m.output("burst_offset", &address);
        m.output("burst_words", &count);
        m.output_doc("idle", &!&sending, "nothing is held");
    })
}
