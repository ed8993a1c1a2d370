//! Turns K into matrix rows.

use std::rc::Rc;

use isa::CoreConfig;

use crate::rtl::{Builder, Module, RtlError, cat, index_width, lit};

/// Keys arrive token by token; the array wants channel by channel with one key a lane.
///
/// Works on slabs of eight keys (the last may have fewer): collects the slab's words in a small memory, then reads for each group of
/// eight channels the keys' words into eight registers and shifts them out byte by byte, which is the transpose.
/// `slab_end` marks the last word of a slab. Each slab gives `8 * words` rows of one 64-bit word for lanes `8 * slab .. 8 * slab + 8`.
pub fn key_transposer(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    let words = config.weight_rows / 8;
    let doc = "Transposes K: eight keys' words in, for each channel one word with a byte of each of the eight keys out.";
    Module::build("key_transposer", doc, |m: &mut Builder| {
        let word_bits = index_width(words);
        let in_valid = m.input("in_valid", 1);
        let in_data = m.input_doc("in_data", 64, "eight channels of one key");
        let key_end = m.input_doc("key_end", 1, "last word of a key");
        let slab_end = m.input_doc("slab_end", 1, "last word of the slab's last key");
        let slab = m.memory("slab", 64, 8 * words);

        m.comment("Fill.");
        let draining = m.reg_reset("draining", 1, 0);
        let key = m.reg_reset("key", 3, 0);
        let word = m.reg_reset("word", word_bits, 0);
        let count = m.reg_reset("words_minus_one", word_bits, 0);
        let take = m.named("take", &(&in_valid & !&draining));
        m.write(&slab, &take, &cat(&[word.clone(), key.clone()]), &in_data);
        let end = m.named("fill_end", &(&take & &slab_end));
        m.set_if(&key, &end, &lit(0, 3));
        m.set_if(&key, &(&take & &key_end), &key.inc());
        m.set_if(&word, &(&take & &key_end), &lit(0, word_bits));
        m.set_if(&word, &take, &word.inc());
        m.set_if(&count, &end, &word);

        m.comment("Drain: nine cycles load eight keys' words (the memory answers a cycle later), eight cycles shift their bytes out.");
        let group = m.reg_reset("group", word_bits, 0);
        let cycle = m.reg_reset("cycle", 5, 0);
        let shifting = m.named("shifting", &(&draining & cycle.ge_lit(9)));
        let last_shift = m.named("last_shift", &cycle.eq_lit(16));
        let drained = m.named("drained", &(&last_shift & group.eq(&count)));
        m.set_if(&draining, &end, &lit(1, 1));
        m.set_if(&draining, &drained, &lit(0, 1));
        m.set_if(&cycle, &last_shift, &lit(0, 5));
        m.set_if(&cycle, &draining, &cycle.inc());
        m.set_if(&group, &drained, &lit(0, word_bits));
        m.set_if(&group, &last_shift, &group.inc());
        let loading = m.named("loading", &(&draining & cycle.lt_lit(9)));
        let read = m.read_sync("slab_word", &slab, &loading, &cat(&[group.clone(), cycle.slice(0, 3)]));
        let keys: Vec<_> = (0..8).map(|i| m.reg(&format!("key_{i}"), 64)).collect();
        let loaded = m.named("loaded", &(&loading & cycle.any()));
        let mut bytes = Vec::new();
        for (i, register) in keys.iter().enumerate() {
            let from = keys.get(i + 1).unwrap_or(&read);
            m.set_if(register, &loaded, from);
            m.set_if(register, &shifting, &register.shr(8));
            bytes.push(register.slice(0, 8));
        }
        bytes.reverse();
        let channel = m.named("channel", &(&cycle - &lit(9, 5)));
        m.output_doc("in_ready", &!&draining, "a word is taken");
        m.output_doc("out_valid", &shifting, "a row word is there");
        m.output("out_data", &cat(&bytes));
        m.output_doc("out_channel", &cat(&[group, channel.slice(0, 3)]), "channel that the row belongs to");
        m.output_doc("slab_done", &drained, "the slab's last row word is there");
        m.unused(&channel.slice(3, 2));
    })
}
