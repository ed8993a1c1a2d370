//! Walks the tokens of a layer.

use std::rc::Rc;

use super::fields::{Fields, Record};
use crate::rtl::{Builder, Expr, Module, RtlError, lit, mux};

/// Descriptor fields that shape a walk, whatever is addressed.
pub(super) const SHAPE: [&str; 5] = ["blocks_y", "blocks_x", "inner_y", "inner_x", "shift"];

/// Strides and wraps of a walk: fields of a pass record, and with `output_` before them of a descriptor.
pub(super) const STRIDES: [&str; 6] =
    ["block_y_stride", "block_x_stride", "y_stride", "x_stride", "wrap_y", "wrap_x"];

/// Where the walk is in one dimension.
struct Dimension {
    limit: Expr,
    /// What is left, this token's included.
    left: Expr,
    /// A step moves on in this dimension; in `x` each does.
    moves: Option<Expr>,
    /// Such a step.
    counts: Expr,
    /// A step, or the start, begins this dimension anew.
    reload: Expr,
    /// A step or the start.
    moving: Expr,
}

impl Dimension {
    fn build(
        m: &mut Builder,
        name: &'static str,
        limit: &Expr,
        [start, step, moving]: [&Expr; 3],
        moves: Option<&Expr>,
        wraps: &Expr,
    ) -> Dimension {
        let left = m.reg(&format!("{name}_left"), limit.width());
        let reload = m.named(&format!("reload_{name}"), &(start | wraps));
        m.set_if(&left, &(moving & &reload), limit);
        let counts = moves.map_or(step.clone(), |carry| step & carry);
        m.set_if(&left, &counts, &left.dec());
        Dimension {
            limit: limit.clone(),
            left,
            moves: moves.cloned(),
            counts,
            reload,
            moving: moving.clone(),
        }
    }

    /// Whether `count` will be left after the next step; `flag` says whether they are now. What is compared stands still.
    fn upcoming(&self, m: &mut Builder, flag: &Expr, name: &str, count: &Expr) -> Expr {
        let two_more = m.delay(&format!("{name}_two_before"), &(count + count.like(2)));
        let [whole, whole_before] = [("whole", count.clone()), ("whole_before", count.inc())]
            .map(|(what, left)| m.delay(&format!("{name}_{what}"), &self.limit.eq(&left)));
        // One more than `count` is left, which is known as soon as it is: the comparison is made a step ahead.
        let fewer = m.reg(&format!("{name}_before"), 1);
        m.set_if(&fewer, &(&self.moving & &self.reload), &whole_before);
        m.set_if(&fewer, &self.counts, &self.left.eq(&two_more));
        let fewer = self.moves.as_ref().map_or(fewer.clone(), |moves| mux(moves, &fewer, flag));
        m.named(name, &mux(&self.reload, &whole, &fewer))
    }

    /// Lets `flag` say whether `count` are left; returns what it takes with the next step.
    fn watch(&self, m: &mut Builder, flag: &Expr, name: &str, count: &Expr) -> Expr {
        let next = self.upcoming(m, flag, name, count);
        m.set_if(flag, &self.moving, &next);
        next
    }
}

/// Visits the tokens of all blocks in order of evaluation, with the byte offset of each (see [`isa::descriptor`]).
///
/// The shape stands still from the cycle before `start` on. `start` loads the first token at `base`; `step` moves on. After the last token the walk has
/// to be started again. Offset and flags are valid the cycle after `start` or `step`, which may come in every cycle. A wrap is part of the stride with which the
/// walk enters a band, so that there is one adder.
pub fn token_walker() -> Result<Rc<Module>, RtlError> {
    let doc = "Visits the tokens of all blocks in order of evaluation, with the byte offset of each. A cyclic shift is a wrap:\n\
               the stride with which the walk enters the band of wrapped rows or columns is smaller by the plane's size.";
    Module::build("token_walker", doc, |m: &mut Builder| {
        let start = m.input_doc("start", 1, "go to the first token");
        let base = m.input_doc("base", 32, "byte offset of the first token");
        let step = m.input_doc("step", 1, "go to the next token");
        let shape = Fields::inputs(m, Record::Layer, &SHAPE);
        let mut stride = |name: &str| m.input_doc(name, 32, "bytes");
        let (block_y_stride, block_x_stride) = (stride("block_y_stride"), stride("block_x_stride"));
        let (y_stride, x_stride) = (stride("y_stride"), stride("x_stride"));
        let (wrap_y, wrap_x) = (stride("wrap_y"), stride("wrap_x"));

        m.comment(
            "What is left of each dimension counts down, so a band of the cyclic shift is where no more than the shift is left.\n\
             Where the token ends is registered, so that a step is no more than a choice and a sum.",
        );
        let moving = m.named("moving", &(&start | &step));
        let [row_end, last_y, last_block_x, last_block_y] =
            ["last_x", "last_y", "last_block_x", "last_block_y"].map(|name| m.reg(name, 1));
        let [block_end, blocks_end, last] = ["block_end", "blocks_end", "last"].map(|name| m.reg(name, 1));
        let mut dimension = |name, limit: &str, moves: Option<&Expr>, wraps: &Expr| {
            Dimension::build(m, name, &shape[limit], [&start, &step, &moving], moves, wraps)
        };
        let x = dimension("x", "inner_x", None, &row_end);
        let y = dimension("y", "inner_y", Some(&row_end), &block_end);
        let block_x = dimension("block_x", "blocks_x", Some(&block_end), &blocks_end);
        let block_y = dimension("block_y", "blocks_y", Some(&blocks_end), &last);
        let one = x.left.like(1);
        let row_ends = x.watch(m, &row_end, "last_x_next", &one);
        let last_row = y.watch(m, &last_y, "last_y_next", &one);
        let block_ends = m.named("block_ends", &(&row_ends & last_row));
        let last_in_row = block_x.watch(m, &last_block_x, "last_block_x_next", &one);
        let blocks_ends = m.named("blocks_ends", &(&block_ends & &last_in_row));
        let last_row_of_blocks = block_y.watch(m, &last_block_y, "last_block_y_next", &one);
        m.set_if(&block_end, &moving, &block_ends);
        m.set_if(&blocks_end, &moving, &blocks_ends);
        m.set_if(&last, &moving, &(&blocks_ends & &last_row_of_blocks));

        m.comment("Bands of the cyclic shift.");
        let shifted = m.delay("shifted", &shape["shift"].any());
        let shift = m.named("shift_size", &shape["shift"].zext(x.left.width()));
        let row_split = m.named("row_split_now", &(&shifted & &last_block_y));
        let column_split = m.named("column_split_now", &(&shifted & &last_block_x));
        let row_band = y.left.le(&shift);
        let column_band = x.left.le(&shift);
        let to_band = m.named("to_band", &shift.inc());
        let before_row_band = m.reg("before_row_band", 1);
        let row_next = y.watch(m, &before_row_band, "before_row_band_next", &to_band);
        let column_next = x.upcoming(m, &lit(0, 1), "before_column_band_next", &to_band);
        let mut enters = |name: &str, last_block: &Expr, before_band: &Expr| {
            m.sample(name, &moving, &(&shifted & last_block & before_band))
        };
        let enters_row_band = enters("enters_row_band", &last_row_of_blocks, &row_next);
        let enters_column_band = enters("enters_column_band", &last_in_row, &column_next);

        m.comment("Offset of the token, and of the first token of its row, block and row of blocks.");
        let wrapped_y = m.reg("wrapped_y_stride", 32);
        let wrapped_x = m.reg("wrapped_x_stride", 32);
        m.set(&wrapped_y, &(&y_stride - &wrap_y));
        m.set(&wrapped_x, &(&x_stride - &wrap_x));
        let offset = m.reg("offset", 32);
        let row_offset = m.reg("row_offset", 32);
        let block_offset = m.reg("block_offset", 32);
        let blocks_offset = m.reg("blocks_offset", 32);
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
        let next = m.named("next_offset", &(from + by));
        m.set_if(&offset, &start, &base);
        m.set_if(&offset, &step, &next);
        for (register, moves) in
            [(&row_offset, &row_end), (&block_offset, &block_end), (&blocks_offset, &blocks_end)]
        {
            m.set_if(register, &start, &base);
            m.set_if(register, &(&step & moves), &next);
        }
        m.output("offset", &offset);
        m.output_doc("last_of_row", &row_end, "the token is the last of its block's row");
        m.output_doc("last_of_block", &block_end, "the token is the last of its block");
        m.output_doc("last_of_blocks", &blocks_end, "the token is the last of its row of blocks");
        m.output_doc("last_of_all", &last, "the token is the last of the walk");
        m.output_doc("row_split", &row_split, "the block's rows are split into two regions");
        m.output_doc("column_split", &column_split, "the block's columns are split into two regions");
        m.output_doc("row_band", &row_band, "the token lies at or below the row band's start");
        m.output_doc("column_band", &column_band, "the token lies at or right of the column band's start");
    })
}
