//! The jobs of a layer: which one is loaded, and what it covers.

use super::super::fields::bits;
use super::{Descriptor, Loader, State};
use crate::rtl::{Expr, lit, mux};

/// The job being loaded, and where it stands in its layer.
pub(super) struct Jobs {
    /// The array has taken the descriptor.
    pub taken: Expr,
    /// Jobs loaded and not released.
    pub banks_used: Expr,
    pub bank: Expr,
    /// The job is complete, for one cycle, and what ends with it.
    pub loaded: Expr,
    pub tile_done: Expr,
    pub group_done: Expr,
    pub last_of_layer: Expr,
    /// The job is the first of its tile.
    pub first_block: Expr,
    /// Its pass is the first, the last; the layer has several.
    pub first_pass: Expr,
    pub last_pass: Expr,
    pub several_passes: Expr,
}

/// Rows and words of the job.
pub(super) struct Rows {
    /// The tile has nothing left to compute; known while the job waits.
    pub exhausted: Expr,
    pub waited: Expr,
    /// So the descriptor asks for too many tiles.
    pub tile_bad: Expr,
    /// Rows of K or V, and words of a row.
    pub key_rows: Expr,
    pub key_words: Expr,
}

impl Loader<'_> {
    pub(super) fn jobs(&mut self, descriptor: &Descriptor, job_release: &Expr) -> Jobs {
        let Descriptor { begin, layer, attention, .. } = descriptor;
        let loaded = self.is(State::Loaded);
        let m = &mut *self.m;
        m.comment(
            "Jobs: group, tile, pass and, for attention, block. A job takes longer than the comparisons, which lag by a few cycles.",
        );
        let taken = m.reg_reset("taken", 1, 0);
        let banks_used = m.reg_reset("banks_used", 2, 0);
        m.set(&banks_used, &(&banks_used + loaded.zext(2) - job_release.zext(2)));
        let bank = m.reg_reset("bank", 1, 0);
        m.set_if(&bank, &loaded, &!&bank);
        let pass = m.reg_reset("pass", bits("passes"), 0);
        let last_pass = m.delay("last_pass", &pass.inc().eq(&layer["passes"]));
        let first_pass = m.delay("first_pass", &pass.is_zero());
        let several_passes = m.delay("several_passes", &layer["passes"].gt_lit(1));
        m.set_if(&pass, &(begin | (&loaded & &last_pass)), &pass.like(0));
        m.set_if(&pass, &loaded, &pass.inc());
        let block_x = m.reg_reset("block_x", bits("blocks_x"), 0);
        let block_y = m.reg_reset("block_y", bits("blocks_y"), 0);
        let last_block_x = m.delay("last_block_x", &block_x.inc().eq(&layer["blocks_x"]));
        let last_block_y = m.delay("last_block_y", &block_y.inc().eq(&layer["blocks_y"]));
        let last_block =
            m.delay("last_block", &(&last_pass & (!attention | (&last_block_x & &last_block_y))));
        let tile_done = m.named("tile_done", &(&loaded & &last_block));
        m.set_if(&block_x, &(begin | (&loaded & &last_block_x)), &block_x.like(0));
        m.set_if(&block_x, &(&loaded & attention), &block_x.inc());
        m.set_if(&block_y, &(begin | &tile_done), &block_y.like(0));
        m.set_if(&block_y, &(&loaded & attention & &last_block_x), &block_y.inc());
        let tile = m.reg_reset("tile", bits("tiles"), 0);
        let last_tile = m.delay("last_tile", &tile.inc().eq(&layer["tiles"]));
        let last_of_group = m.delay("last_of_group", &(&last_block & &last_tile));
        let group_done = m.named("group_done", &(&loaded & &last_of_group));
        m.set_if(&tile, &(begin | &group_done), &tile.like(0));
        m.set_if(&tile, &tile_done, &tile.inc());
        let group = self.counter("group", bits("groups"), begin, &group_done);
        let m = &mut *self.m;
        let last_group = m.delay("last_group", &group.inc().eq(&layer["groups"]));
        let last_of_layer = m.delay("last_of_layer", &(&last_of_group & last_group));
        let first_block = m.delay("first_block", &(block_x.is_zero() & block_y.is_zero()));
        Jobs {
            taken,
            banks_used,
            bank,
            loaded,
            tile_done,
            group_done,
            last_of_layer,
            first_block,
            first_pass,
            last_pass,
            several_passes,
        }
    }

    pub(super) fn rows(&mut self, descriptor: &Descriptor, jobs: &Jobs) -> Rows {
        let Descriptor { checked, layer, attention, scores, .. } = descriptor;
        let (lanes, waits) = (self.config.lanes, self.is(State::Wait));
        let m = &mut *self.m;
        m.comment("What is left of a group's rows: lanes of the output, keys or words of the matrix.");
        let restart = m.named("restart", &(checked | &jobs.group_done));
        let mut left = |name: &str, all: &Expr, tile: u32| {
            let register = m.reg(name, all.width());
            m.carries(&register, tile.into());
            let tile = register.like(tile.into());
            m.set_if(&register, &restart, all);
            let rest = mux(&register.lt(&tile), &register.like(0), &(&register - &tile));
            m.set_if(&register, &jobs.tile_done, &rest);
            (register, tile)
        };
        let (output_left, _) = left("output_left", &layer["output_words"], lanes / 8);
        let (keys_left, tile_keys) = left("keys_left", &layer["keys"], lanes);
        let (row_left, tile_words) = left("key_words_left", &layer["key_words"], lanes / 8);
        let matrix_left = mux(scores, &keys_left, &row_left);
        let exhausted = output_left.is_zero() | (attention & matrix_left.is_zero());
        let exhausted = m.delay("exhausted", &exhausted);
        let waited = m.delay_reset("waited", &waits);
        let settled = m.named("settled", &(waits & &waited));
        let tile_bad = m.named("tile_bad", &(&settled & &exhausted));
        let least = |a: &Expr, b: &Expr| mux(&a.lt(b), a, b);
        let key_rows = mux(scores, &least(&keys_left, &tile_keys), &layer["keys"]);
        let key_words = mux(scores, &layer["key_words"], &least(&row_left, &tile_words));
        let key_rows = m.delay("key_rows", &key_rows);
        let key_words = m.delay("key_words", &key_words);
        Rows { exhausted, waited, tile_bad, key_rows, key_words }
    }

    /// Where the job's K or V begins.
    pub(super) fn matrix_base(&mut self, descriptor: &Descriptor, jobs: &Jobs) -> Expr {
        let Descriptor { begin, layer, scores, .. } = descriptor;
        let lanes = self.config.lanes;
        let Jobs { group_done, tile_done, .. } = jobs;
        self.m.comment("Where the job's K or V lies: sums that settle long before they are used.");
        let zero = lit(0, 32);
        let group = self.sum("matrix_group", (begin, &zero), group_done, &layer["matrix_group_stride"]);
        let tile_keys = layer["matrix_token_stride"].shl(lanes.trailing_zeros());
        let tile_stride = mux(scores, &tile_keys, &lit(lanes.into(), 32));
        let tile = self.sum("matrix_tile", (&(begin | group_done), &zero), tile_done, &tile_stride);
        let block_stride = &layer["matrix_block_stride"];
        let block = self.sum("matrix_block", (&(begin | tile_done), &zero), &jobs.loaded, block_stride);
        let m = &mut *self.m;
        let of_group = m.delay("matrix_base_group", &(&layer["matrix_base"] + &group));
        let of_tile = m.delay("matrix_base_tile", &(&of_group + &tile));
        m.delay("matrix_base_block", &(&of_tile + &block))
    }
}
