//! What is active in the rows of both slots, and which slot is busy.

use super::{Inputs, Sizes, Store, Take};
use crate::rtl::{Builder, Expr, cat, lit, mux, select};

/// What is active of the beat.
pub(super) struct Mark {
    pub marked: Expr,
    pub marked_slot: Expr,
    pub marked_first: Expr,
    pub marked_row_end: Expr,
    pub marked_token_end: Expr,
    pub marked_job_end: Expr,
    pub marks: Vec<Expr>,
    pub actives: Vec<Expr>,
}

pub(super) fn mark(m: &mut Builder, sizes: &Sizes, inputs: &Inputs, store: &Store) -> Mark {
    m.comment("Third stage: mark it.");
    // For each plane, the beat's words that are active, lowest first.
    let flags: Vec<Vec<Expr>> = (0..8)
        .map(|plane| {
            let of_word = |w: u32| {
                let bits: Vec<Expr> = (0..8).map(|byte| store.data.bit(64 * w + 8 * byte + plane)).collect();
                let merged = if plane == 0 { store.data.slice(64 * w, 64).any() } else { lit(0, 1) };
                (cat(&bits).any(), merged)
            };
            let of_words: Vec<_> = (0..sizes.beat_words).map(of_word).collect();
            let named = of_words.iter().enumerate().map(|(w, (plane_any, merged))| {
                let active = mux(&inputs.whole_bytes, merged, plane_any) & &store.held_beat;
                m.delay(&format!("active_{plane}_{w}"), &active)
            });
            named.collect()
        })
        .collect();
    let bit_width = sizes.word_bits.max(sizes.segment_bits);
    let bit = mux(&store.held_wide, &store.held_segment.zext(bit_width), &store.held_word.zext(bit_width));
    let position_bit = m.delay("position_bit", &lit(1, sizes.words).shl_by(&bit));
    let wide = m.delay("marked_diagonal", &store.held_wide);
    let marked = m.delay_reset("marked", &store.held);
    let marked_slot = m.delay("marked_slot", &store.held_slot);
    let marked_first = m.delay("marked_first", &store.held_first);
    let marked_row_end = m.delay("marked_row_end", &store.held_row_end);
    let marked_token_end = m.delay("marked_token_end", &store.held_token_end);
    let marked_job_end = m.delay("marked_job_end", &store.held_job_end);
    let marks: Vec<Expr> = flags
        .iter()
        .map(|of_words| {
            let any = of_words.iter().skip(1).fold(of_words[0].clone(), |sum, flag| sum | flag);
            let by_word = of_words
                .iter()
                .enumerate()
                .map(|(w, flag)| flag.repeat(sizes.words) & position_bit.shl(w as u32));
            let by_word = by_word.reduce(|sum, mark| sum | mark).unwrap_or(lit(0, sizes.words));
            mux(&wide, &(any.repeat(sizes.words) & &position_bit), &by_word)
        })
        .collect();
    let actives: Vec<Expr> =
        flags.iter().map(|f| f.iter().skip(1).fold(f[0].clone(), |sum, flag| sum | flag)).collect();
    Mark {
        marked,
        marked_slot,
        marked_first,
        marked_row_end,
        marked_token_end,
        marked_job_end,
        marks,
        actives,
    }
}

/// The bitmaps of both slots.
pub(super) struct Slots {
    pub bitmaps: Vec<Expr>,
    pub full: Vec<Expr>,
}

pub(super) fn slots(m: &mut Builder, sizes: &Sizes, inputs: &Inputs, mark: &Mark) -> Slots {
    let (mut bitmaps, mut full) = (Vec::new(), Vec::new());
    for s in 0..2u64 {
        let here = m.named(&format!("store_{s}"), &(&mark.marked & mark.marked_slot.eq_lit(s)));
        let released = &inputs.release & inputs.query_slot.eq_lit(s);
        let planes: Vec<Expr> = mark
            .marks
            .iter()
            .enumerate()
            .map(|(plane, of_plane)| {
                let bitmap = m.reg(&format!("bitmap_{s}_{plane}"), sizes.words);
                let old = mux(&mark.marked_first, &lit(0, sizes.words), &bitmap);
                m.set_if(&bitmap, &here, &(old | of_plane));
                bitmap
            })
            .collect();
        bitmaps.push(select(&inputs.query_plane, &planes));
        let any = m.reg(&format!("active_planes_{s}"), 8);
        let now = cat(&mark.actives.iter().rev().cloned().collect::<Vec<_>>());
        m.set_if(&any, &here, &(mux(&mark.marked_first, &lit(0, 8), &any) | now));
        let complete = m.reg_reset(&format!("full_{s}"), 1, 0);
        m.set_if(&complete, &released, &lit(0, 1));
        m.set_if(&complete, &(&here & &mark.marked_row_end), &lit(1, 1));
        for (name, value) in [("token_end", &mark.marked_token_end), ("job_end", &mark.marked_job_end)] {
            let flag = m.reg(&format!("{name}_{s}"), 1);
            m.set_if(&flag, &here, value);
            m.output(&format!("{name}_{s}"), &flag);
        }
        m.output_doc(&format!("full_{s}"), &complete, "the slot's row is complete");
        full.push(complete);
        m.output_doc(&format!("active_planes_{s}"), &any, "planes with any bit set");
    }
    Slots { bitmaps, full }
}

pub(super) fn rules(m: &mut Builder, take: &Take, store: &Store, mark: &Mark, slots: &Slots) {
    m.formal(|m| {
        m.assert_formal(
            "no_overrun",
            "A slot is never stored to while its row is complete and not released.",
            &(!(&store.held & mux(&store.held_slot, &slots.full[1], &slots.full[0]))
                & !(&mark.marked & mux(&mark.marked_slot, &slots.full[1], &slots.full[0]))),
        );
        m.assert_formal(
            "free_is_known",
            "The flag says whether the next beat's slot is free.",
            &take.slot_free.eq(&!take.busy.at(&take.slot)),
        );
        let claims = |of: u32| take.busy.bit(of);
        let (complete, ends) = (&store.held & &store.held_row_end, &mark.marked & &mark.marked_row_end);
        for (index, is_full) in slots.full.iter().enumerate() {
            let here = |of: &Expr| of.eq_lit(index as u64);
            let on_its_way = (&complete & here(&store.held_slot)) | (&ends & here(&mark.marked_slot));
            m.assert_formal(
                &format!("busy_until_released_{index}"),
                "A slot is busy from its row's last beat to its release.",
                &claims(index as u32).eq(&(is_full | on_its_way)),
            );
        }
    });
}

/// Which slots are busy, and whether the next beat's is free.
pub(super) fn busy_slots(m: &mut Builder, inputs: &Inputs, take: &Take) {
    let slot_mask = |which: &Expr| mux(which, &lit(2, 2), &lit(1, 2));
    let claimed = mux(&take.row_done, &slot_mask(&take.slot), &lit(0, 2));
    let freed = mux(&inputs.release, &slot_mask(&inputs.query_slot), &lit(0, 2));
    m.set(&take.busy, &((&take.busy | &claimed) & !&freed));
    m.comment("Whether the slot that the next beat goes to is free.");
    let next_slot = m.named("next_slot", &(&take.slot ^ &take.row_done));
    m.set(&take.slot_free, &(!take.busy.at(&next_slot) | freed.at(&next_slot)));
}
