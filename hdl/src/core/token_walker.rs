//! Walks the tokens of a layer.

use std::rc::Rc;

use super::fields::Fields;
use crate::rtl::{Builder, Expr, Module, RtlError, mux};

/// Descriptor fields that shape a walk, whatever is addressed.
pub(super) const SHAPE: [&str; 5] = ["blocks_y", "blocks_x", "inner_y", "inner_x", "shift"];

/// Connections of a walk over one side of a layer, `input` or `output`: the shape, and that side's strides and wraps.
pub(super) fn side<'a>(layer: &Fields, shape: &Fields, side: &str) -> Vec<(&'a str, Expr)> {
    let mut inputs = shape.connect(&SHAPE);
    let strides = ["block_y_stride", "block_x_stride", "y_stride", "x_stride", "wrap_y", "wrap_x"];
    inputs.extend(strides.map(|name| (name, layer[format!("{side}_{name}").as_str()].clone())));
    inputs
}

/// Visits the tokens of all blocks in order of evaluation, with the byte offset of each (see [`isa::descriptor`]).
///
/// `start` loads the first token at `base`; `step` moves on, and after the last token back to the first. Offsets and
/// flags are registered: valid the cycle after `start` or `step`. A wrap is part of the stride with which the
/// walk enters a band, so that there is one adder.
pub fn token_walker() -> Result<Rc<Module>, RtlError> {
    let doc = "Visits the tokens of all blocks in order of evaluation, with the byte offset of each. A cyclic shift is a wrap:\n\
               the stride with which the walk enters the band of wrapped rows or columns is smaller by the plane's size.";
    Module::build("token_walker", doc, |m: &mut Builder| {
        let start = m.input_doc("start", 1, "go to the first token");
        let base = m.input_doc("base", 32, "byte offset of the first token");
        let step = m.input_doc("step", 1, "go to the next token");
        let shape = Fields::inputs(m, &SHAPE);
        let mut stride = |name: &str| m.input_doc(name, 32, "bytes");
        let (block_y_stride, block_x_stride) = (stride("block_y_stride"), stride("block_x_stride"));
        let (y_stride, x_stride) = (stride("y_stride"), stride("x_stride"));
        let (wrap_y, wrap_x) = (stride("wrap_y"), stride("wrap_x"));

        let mut counter = |name: &str, limit: &str| {
            let count = m.reg_reset(name, 12, 0);
            let last = m.named(&format!("last_{name}"), &count.inc().eq(&shape[limit]));
            (count, last)
        };
        let (x, last_x) = counter("x", "inner_x");
        let (y, last_y) = counter("y", "inner_y");
        let (block_x, last_block_x) = counter("block_x", "blocks_x");
        let (block_y, last_block_y) = counter("block_y", "blocks_y");
        let row_end = last_x.clone();
        let block_end = m.named("block_end", &(&row_end & &last_y));
        let blocks_end = m.named("blocks_end", &(&block_end & &last_block_x));
        let last = m.named("last", &(&blocks_end & &last_block_y));
        let zero = crate::rtl::lit(0, 12);
        for (count, moves, wraps) in [
            (&x, None, &row_end),
            (&y, Some(&row_end), &block_end),
            (&block_x, Some(&block_end), &blocks_end),
        ] {
            let moves = moves.map_or(step.clone(), |carry| &step & carry);
            m.set_if(count, &(&start | &(&step & wraps)), &zero);
            m.set_if(count, &moves, &count.inc());
        }
        m.set_if(&block_y, &(&start | &(&step & &last)), &zero);
        m.set_if(&block_y, &(&step & &blocks_end), &block_y.inc());

        m.comment("Bands of the cyclic shift.");
        let shifted = m.named("shifted", &shape["shift"].any());
        let shift = shape["shift"].zext(12);
        let row_split = m.named("row_split_now", &(&shifted & &last_block_y));
        let column_split = m.named("column_split_now", &(&shifted & &last_block_x));
        let row_band_start = m.named("row_band_start", &(&shape["inner_y"] - &shift));
        let column_band_start = m.named("column_band_start", &(&shape["inner_x"] - &shift));
        let row_band = y.ge(&row_band_start);
        let column_band = x.ge(&column_band_start);
        let enters_row_band = m.named("enters_row_band", &(&row_split & y.inc().eq(&row_band_start)));
        let enters_column_band =
            m.named("enters_column_band", &(&column_split & x.inc().eq(&column_band_start)));

        m.comment("Offset of the token, and of the first token of its row, block and row of blocks.");
        let wrapped_y = m.reg("wrapped_y_stride", 32);
        let wrapped_x = m.reg("wrapped_x_stride", 32);
        m.set(&wrapped_y, &(&y_stride - &wrap_y));
        m.set(&wrapped_x, &(&x_stride - &wrap_x));
        let offset = m.reg("offset", 32);
        let row_offset = m.reg("row_offset", 32);
        let block_offset = m.reg("block_offset", 32);
        let blocks_offset = m.reg("blocks_offset", 32);
        let origin = m.reg("origin", 32);
        let from = mux(
            &blocks_end,
            &blocks_offset,
            &mux(&block_end, &block_offset, &mux(&row_end, &row_offset, &offset)),
        );
        let row_step = mux(&enters_row_band, &wrapped_y, &y_stride);
        let column_step = mux(&enters_column_band, &wrapped_x, &x_stride);
        let by = mux(
            &blocks_end,
            &block_y_stride,
            &mux(&block_end, &block_x_stride, &mux(&row_end, &row_step, &column_step)),
        );
        let sum = m.named("next_offset", &(from + by));
        let next = m.named("next", &mux(&last, &origin, &sum));
        m.set_if(&offset, &start, &base);
        m.set_if(&offset, &step, &next);
        for (register, moves) in
            [(&row_offset, &row_end), (&block_offset, &block_end), (&blocks_offset, &blocks_end)]
        {
            m.set_if(register, &start, &base);
            m.set_if(register, &(&step & moves), &next);
        }
        m.set_if(&origin, &start, &base);
        m.output("offset", &offset);
        m.output_doc("last_of_block", &block_end, "the token is the last of its block");
        m.output_doc("last_of_all", &last, "the token is the last of the walk");
        m.output_doc("row_split", &row_split, "the block's rows are split into two regions");
        m.output_doc("column_split", &column_split, "the block's columns are split into two regions");
        m.output_doc("row_band", &row_band, "the token lies at or below the row band's start");
        m.output_doc("column_band", &column_band, "the token lies at or right of the column band's start");
    })
}
