//! Turns K into matrix rows.

use std::rc::Rc;

use isa::CoreConfig;

use super::shaped;
use crate::rtl::{Builder, Expr, Module, RtlError, cat, index_width, lit, mux};

/// Keys arrive token by token; the array wants channel by channel with one key a lane. One word a cycle in, one out.
///
/// Works on slabs of eight keys (the last may have fewer). A slab's words are collected in one of two banks of a small memory; the other
/// bank is read a *block* at a time: the words of eight channels of the eight keys. A block is shifted into an 8×8 array of bytes
/// along one axis while the previous block leaves it along the same axis, transposed because it came in along the other.
/// `slab_end` marks the last word of a slab, `rows_end` the last slab of a chunk of time steps.
pub fn key_transposer(config: &CoreConfig) -> Result<Rc<Module>, RtlError> {
    shaped("key_transposer", config)?;
    let words = config.weight_rows / 8;
    let doc = "Transposes K: eight keys' words in, for each channel one word with a byte of each of the eight keys out.\n\
               One word a cycle in each direction.";
    Module::build("key_transposer", doc, |m: &mut Builder| {
        let word_bits = index_width(words);
        let in_valid = m.input("in_valid", 1);
        let in_data = m.input_doc("in_data", 64, "eight channels of one key");
        let key_end = m.input_doc("key_end", 1, "last word of a key");
        let slab_end = m.input_doc("slab_end", 1, "last word of the slab's last key");
        let rows_end = m.input_doc("rows_end", 1, "with `slab_end`: the chunk's last slab");
        let slab = m.memory("slab", 64, 2 * 8 * words);

        m.comment("Fill one bank.");
        let full = m.reg_reset("full", 2, 0);
        let fill_bank = m.reg_reset("fill_bank", 1, 0);
        let key = m.reg_reset("key", 3, 0);
        let word = m.reg_reset("word", word_bits, 0);
        let ready = m.reg_reset("ready", 1, 1);
        let take = m.named("take", &(&in_valid & &ready));
        m.write(&slab, &take, &cat(&[fill_bank.clone(), word.clone(), key.clone()]), &in_data);
        let filled = m.named("filled", &(&take & &slab_end));
        m.set_if(&fill_bank, &filled, &!&fill_bank);
        m.set_if(&key, &filled, &lit(0, 3));
        m.set_if(&key, &(&take & &key_end), &key.inc());
        m.set_if(&word, &(&take & &key_end), &lit(0, word_bits));
        m.set_if(&word, &take, &word.inc());
        let mut of_bank = |name: &str, value: &Expr| {
            [0, 1].map(|bank| m.sample(&format!("{name}_{bank}"), &(&filled & fill_bank.eq_lit(bank)), value))
        };
        let last_groups = of_bank("last_group", &word);
        let ends = of_bank("slab_rows_end", &rows_end);

        m.comment("Read the other bank, block by block.");
        let bank = m.reg_reset("read_bank", 1, 0);
        let group = m.reg_reset("read_group", word_bits, 0);
        let step = m.reg_reset("read_step", 3, 0);
        let flushing = m.reg_reset("flushing", 1, 0);
        let reads = m.named("reads", &(full.at(&bank) & !&flushing));
        let last_step = m.named("read_last_step", &(&reads & step.all()));
        let last_group = m.named("read_last_group", &group.eq(&mux(&bank, &last_groups[1], &last_groups[0])));
        let emptied = m.named("emptied", &(&last_step & &last_group));
        m.set_if(&step, &reads, &step.inc());
        m.set_if(&group, &emptied, &lit(0, word_bits));
        m.set_if(&group, &last_step, &group.inc());
        m.set_if(&bank, &emptied, &!&bank);
        let mask = |select: &Expr, when: &Expr| mux(when, &mux(select, &lit(2, 2), &lit(1, 2)), &lit(0, 2));
        m.set(&full, &((&full | mask(&fill_bank, &filled)) & !mask(&bank, &emptied)));
        m.comment("Whether the bank that will be filled is empty.");
        let target = m.named("next_fill_bank", &(&fill_bank ^ &filled));
        m.set(&ready, &(!full.at(&target) | (&emptied & !(&bank ^ &target))));
        let data =
            m.read_sync("slab_word", &slab, &reads, &cat(&[bank.clone(), group.clone(), step.clone()]));
        let valid = m.delay_reset("word_valid", &reads);
        let mut follow = |name: &str, value: &Expr| m.sample(name, &reads, value);
        let word_group = follow("word_group", &group);
        let word_last = follow("word_last_group", &last_group);
        let word_ends = follow("word_rows_end", &mux(&bank, &ends[1], &ends[0]));

        m.comment(
            "The array: a block goes in while the previous one comes out. Nothing left to read: flush.",
        );
        let phase = m.reg_reset("phase", 3, 0);
        let by_row = m.reg_reset("by_row", 1, 0);
        let previous = m.reg_reset("previous_valid", 1, 0);
        let flush_start = m.named("flush_start", &(&previous & !&valid & !full.at(&bank) & phase.is_zero()));
        let under_way = &valid | &flushing;
        let shifts = m.named("shifts", &(&under_way | &flush_start));
        m.comment("No flush starts at the end of a block.");
        let block_end = m.named("block_end", &(under_way & phase.all()));
        m.set_if(&phase, &shifts, &phase.inc());
        m.set_if(&by_row, &block_end, &!&by_row);
        m.set_if(&flushing, &block_end, &lit(0, 1));
        m.set_if(&flushing, &flush_start, &lit(1, 1));
        m.set_if(&previous, &block_end, &valid);
        let rows: Vec<Expr> = (0..8).map(|i| m.reg(&format!("row_{i}"), 64)).collect();
        for (i, row) in rows.iter().enumerate() {
            let below = rows.get(i + 1).unwrap_or(&data);
            let across = cat(&[data.slice(8 * i as u32, 8), row.slice(8, 56)]);
            m.set_if(row, &shifts, &mux(&by_row, below, &across));
        }
        let column = cat(&rows.iter().rev().map(|row| row.slice(0, 8)).collect::<Vec<_>>());
        let mut at_end = |name: &str, value: &Expr| m.sample(name, &block_end, value);
        let out_group = at_end("out_group", &word_group);
        let out_last = at_end("out_last_group", &word_last);
        let out_ends = at_end("out_rows_end", &word_ends);
        let out_valid = m.named("leaves", &(&shifts & &previous));
        let slab_done = m.named("slab_leaves", &(&block_end & &previous & &out_last));
        m.output_doc("in_ready", &ready, "a word is taken");
        let valid = m.delay_reset("left", &out_valid);
        m.output_doc("out_valid", &valid, "a row word is there");
        let word = m.delay("left_data", &mux(&by_row, &rows[0], &column));
        m.output("out_data", &word);
        let channel = m.delay("left_channel", &cat(&[out_group, phase.clone()]));
        m.output_doc("out_channel", &channel, "channel that the row belongs to");
        let chunk_done = m.delay_reset("chunk_left", &(&slab_done & &out_ends));
        let slab_done = m.delay_reset("slab_left", &slab_done);
        m.output_doc("slab_done", &slab_done, "the slab's last row word is there");
        m.output_doc("chunk_done", &chunk_done, "the chunk's last row word is there");
    })
}
