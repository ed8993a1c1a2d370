//! The input fetcher on small grids: each position inside the source once a pass, none outside.

use std::rc::Rc;

use isa::MAX_SEGMENTS;

use super::{Method, Planted, Proof, instance, steady, tiny};
use crate::core::input_fetcher::input_fetcher;
use crate::rtl::{Builder, Expr, Instance, Module, RtlError, lit, mux, select};

const FILE: &str = "input_fetcher.v";

/// Byte offset of position (0, 0), and by how much rows and columns shift it. No position lies beyond [`OFFSET_BITS`].
const BASE: u64 = 0x100;
const ROW_SHIFT: u32 = 6;
const COLUMN_SHIFT: u32 = 3;
const OFFSET_BITS: u32 = 10;
/// Bits of a position, two's complement.
const BITS: u32 = 6;

/// How the fetcher's neighbours behave.
#[derive(Clone, Copy, PartialEq, Eq)]
enum World {
    /// A record, the bus and the queue are always there.
    Ready,
    /// Each may let it wait at any time; kernels, strides and blocks are the smallest.
    Stalls,
}

pub(super) const PROOFS: [Proof; 2] = [
    Proof {
        name: "fetcher_positions",
        rule: "on grids up to 4 x 4 in up to 2 x 2 blocks, kernels up to 3 x 3, strides up to 2, paddings up to 1, sources up to 7 x 7, \
               one or two passes, tiles and chunks, in the first cycles: each tap of each token in order, requested at its position's \
               address exactly if it lies inside the source; rows, tokens and passes end where they do",
        method: Method::Bounded,
        depth: 26,
        cover_depth: 34,
        build: |name| top(name, World::Ready),
        planted: &[
            Planted {
                file: FILE,
                text: "(position_y + {2'd0, segment_dy}) < pass_rows",
                changed: "(position_y + {2'd0, segment_dy}) <= pass_rows",
            },
            Planted {
                file: FILE,
                text: "(position_x + {2'd0, segment_dx}) < pass_columns",
                changed: "(position_x + {2'd0, segment_dx}) <= pass_columns",
            },
            Planted {
                file: FILE,
                text: "(position_y + {2'd0, segment_dy}) < pass_rows",
                changed: "(position_y + {2'd0, segment_dy} + 14'd1) <= pass_rows",
            },
            Planted {
                file: FILE,
                text: "(position_x + {2'd0, segment_dx}) < pass_columns",
                changed: "(position_x + {2'd0, segment_dx} + 14'd1) <= pass_columns",
            },
            Planted { file: FILE, text: "position_x + {2'd0, pass_step_x}", changed: "position_x + 14'd1" },
            Planted {
                file: FILE,
                text: "(walk_last_of_blocks ? next_position_y : block_position_y)",
                changed: "block_position_y",
            },
            Planted {
                file: FILE,
                text: "segment_index = segment;",
                changed: "segment_index = segment ^ {3'd0, pass_segments != 5'd1};",
            },
        ],
    },
    Proof {
        name: "fetcher_stalls",
        rule: "the same on grids up to 2 x 2, kernels up to 2 x 1, whatever waits: record, bus, queue",
        method: Method::Bounded,
        depth: 24,
        cover_depth: 30,
        build: |name| top(name, World::Stalls),
        planted: &[
            Planted { file: FILE, text: "sent = held & segment_queue_ready &", changed: "sent = held &" },
            Planted { file: FILE, text: "~moves & (~held | sent)", changed: "~moves" },
        ],
    },
];

fn top(name: &str, world: World) -> Result<Rc<Module>, RtlError> {
    let fetcher = input_fetcher(&tiny())?;
    Module::build(name, "The fetcher on a small grid, beside a count of its tokens and taps.", |m| {
        let shape = shape(m);
        let asked = m.wire("asked_segment", crate::rtl::index_width(MAX_SEGMENTS));
        let taken = m.wire("record_taken", 1);
        let ready = m.input("segment_queue_ready", 1);
        let offered = offered(m);
        let latest = offered.map(|name, value| m.sample(&format!("latest_{name}"), &taken, value));
        let mut inputs = layer_inputs(m, &shape);
        inputs.extend(record_inputs(&shape, &offered));
        inputs.extend(table_inputs(m, &latest, &asked));
        inputs.extend(waits(m, world, &ready));
        let ports = instance(m, "fetcher", &fetcher, &inputs);
        m.assign(&asked, &ports.output("segment_index"));
        m.assign(&taken, &ports.output("pass_taken"));
        if world == World::Stalls {
            smallest(m, &shape, &offered);
        }
        let enters = m.named("enters", &(ports.output("entry_valid") & ready));
        let counts = Counts::registers(m);
        let pass = Pass::of_entries(m, &latest, &taken);
        let at = At::of(m, &shape, &pass.sizes, &counts);
        counts.advance(m, &shape, &at, &enters);
        pass.advances(m, &taken, &(&enters & &at.job_end));
        rules(m, &ports, &at, &enters);
        rules_of_records(m, &shape, &pass, &at, [&taken, &enters], &counts);
        covers(m, &at, &enters, &counts);
    })
}

/// What the fetcher may have to wait for.
fn waits(m: &mut Builder, world: World, ready: &Expr) -> Inputs {
    let request_ready = m.input("request_ready", 1);
    let pass_valid = m.input("pass_valid", 1);
    if world == World::Ready {
        m.assume_formal(
            "nothing_waits",
            "Record, bus and queue are there.",
            &(ready & &request_ready & &pass_valid),
        );
    }
    vec![("segment_queue_ready", ready.clone()), ("request_ready", request_ready), ("pass_valid", pass_valid)]
}

fn smallest(m: &mut Builder, shape: &Shape, offered: &Sizes) {
    let grid = &shape.blocks[0] | &shape.blocks[1] | shape.inner[0].gt_lit(1) | shape.inner[1].gt_lit(1);
    let taps =
        offered.kernel[0].gt_lit(1) | offered.kernel[1].any() | &offered.stride[0] | &offered.stride[1];
    m.assume_formal("smallest", "Grid and kernel are small.", &!(grid | taps));
}

/// The layer, which stands still: counts less one.
struct Shape {
    blocks: [Expr; 2],
    inner: [Expr; 2],
    chunks: Expr,
    passes: Expr,
    tiles: Expr,
}

fn shape(m: &mut Builder) -> Shape {
    let mut fixed = |name: &str, width: u32| {
        let input = m.input(name, width);
        steady(m, name, &input);
        input
    };
    let shape = Shape {
        blocks: [fixed("more_blocks_y", 1), fixed("more_blocks_x", 1)],
        inner: [fixed("more_rows", 2), fixed("more_columns", 2)],
        chunks: fixed("more_chunks", 1),
        passes: fixed("more_passes", 1),
        tiles: fixed("more_tiles", 1),
    };
    for (axis, blocks, inner) in
        [("rows", &shape.blocks[0], &shape.inner[0]), ("columns", &shape.blocks[1], &shape.inner[1])]
    {
        m.assume_formal(
            &format!("few_{axis}"),
            "Blocks make a grid of up to four by four.",
            &(!blocks | inner.lt_lit(2)),
        );
    }
    m.assume_reset_first();
    shape
}

/// A record's sizes, for rows and columns: kernel and stride less one, padding, and the source's size.
struct Sizes {
    kernel: [Expr; 2],
    stride: [Expr; 2],
    padding: [Expr; 2],
    source: [Expr; 2],
}

impl Sizes {
    fn map(&self, mut of: impl FnMut(&str, &Expr) -> Expr) -> Sizes {
        let mut pair =
            |name: &str, [y, x]: &[Expr; 2]| [of(&format!("{name}_y"), y), of(&format!("{name}_x"), x)];
        Sizes {
            kernel: pair("kernel", &self.kernel),
            stride: pair("stride", &self.stride),
            padding: pair("padding", &self.padding),
            source: pair("source", &self.source),
        }
    }

    /// Each is this record's or, if `condition` holds, the other's.
    fn or(&self, condition: &Expr, other: &Sizes) -> Sizes {
        let pair = |mine: &[Expr; 2], others: &[Expr; 2]| {
            [0, 1].map(|i: usize| mux(condition, &others[i], &mine[i]))
        };
        Sizes {
            kernel: pair(&self.kernel, &other.kernel),
            stride: pair(&self.stride, &other.stride),
            padding: pair(&self.padding, &other.padding),
            source: pair(&self.source, &other.source),
        }
    }
}

/// The record that is offered: free until it is taken.
fn offered(m: &mut Builder) -> Sizes {
    let mut pair =
        |name: &str, width: u32| ["y", "x"].map(|axis| m.input(&format!("next_{name}_{axis}"), width));
    let offered = Sizes {
        kernel: pair("kernel", 2),
        stride: pair("stride", 1),
        padding: pair("padding", 1),
        source: pair("source", 3),
    };
    for (axis, name) in ["rows", "columns"].into_iter().enumerate() {
        let kernel = &offered.kernel[axis];
        m.assume_formal(
            &format!("small_{name}"),
            "A kernel reads up to three positions, its padding is smaller, and the source is not empty.",
            &(kernel.le_lit(2) & (!&offered.padding[axis] | kernel.any()) & offered.source[axis].any()),
        );
    }
    offered
}

/// A count less one, as the count.
fn counted(value: &Expr, width: u32) -> Expr {
    value.zext(width) + lit(1, width)
}

type Inputs = Vec<(&'static str, Expr)>;

fn layer_inputs(m: &mut Builder, shape: &Shape) -> Inputs {
    let start = m.input("layer_start", 1);
    let started = m.reg_reset("layer_started", 1, 0);
    m.set_if(&started, &start, &lit(1, 1));
    m.assume_formal("one_layer", "One layer is started, in the first cycle.", &start.eq(&!&started));
    vec![
        ("op", lit(0, 4)),
        ("shift", lit(0, 4)),
        ("chunks", counted(&shape.chunks, 4)),
        ("tiles", counted(&shape.tiles, 12)),
        ("groups", lit(1, 8)),
        ("passes", counted(&shape.passes, 12)),
        ("inputs_ready", lit(0, 12)),
        ("output_words", lit(2, 12)),
        ("layers_completed", lit(0, 12)),
        ("layer_start", start),
        ("blocks_y", counted(&shape.blocks[0], 12)),
        ("blocks_x", counted(&shape.blocks[1], 12)),
        ("inner_y", counted(&shape.inner[0], 12)),
        ("inner_x", counted(&shape.inner[1], 12)),
    ]
}

/// The record, for a plane of eight bytes a position.
fn record_inputs(shape: &Shape, offered: &Sizes) -> Inputs {
    let row = counted(&offered.kernel[1], 5);
    let double = row.shl(1);
    let segments = select(&offered.kernel[0], &[row.clone(), double.clone(), &double + &row, row]);
    let start = |axis: usize| lit(0, 14) - offered.padding[axis].zext(14);
    let step = |axis: usize, width: u32| counted(&offered.stride[axis], width);
    let block = |axis: usize| {
        let tokens = counted(&shape.inner[axis], 32);
        mux(&offered.stride[axis], &tokens.shl(1), &tokens)
    };
    vec![
        ("diagonal", lit(0, 1)),
        ("segments", segments),
        ("segment_words", lit(1, 12)),
        ("chunk_stride", lit(0, 32)),
        ("group_stride", lit(0, 32)),
        ("wrap_y", lit(0, 32)),
        ("wrap_x", lit(0, 32)),
        ("start_y", start(0)),
        ("start_x", start(1)),
        ("step_y", step(0, 12)),
        ("step_x", step(1, 12)),
        ("rows", offered.source[0].zext(14)),
        ("columns", offered.source[1].zext(14)),
        ("y_stride", step(0, 32).shl(ROW_SHIFT)),
        ("x_stride", step(1, 32).shl(COLUMN_SHIFT)),
        ("block_y_stride", block(0).shl(ROW_SHIFT)),
        ("block_x_stride", block(1).shl(COLUMN_SHIFT)),
    ]
}

/// The segment that is looked up in the latest record: the answer takes a cycle.
fn table_inputs(m: &mut Builder, latest: &Sizes, asked: &Expr) -> Inputs {
    // Tap `s` of a kernel of one, two or three columns.
    let table = |of: fn(u64, u64) -> u64| {
        let of_kernel = |columns: u64| {
            let entries: Vec<Expr> = (0..16).map(|s| lit(of(s, columns) % 4, 2)).collect();
            select(asked, &entries)
        };
        select(&latest.kernel[1], &[of_kernel(1), of_kernel(2), of_kernel(3), lit(0, 2)])
    };
    let [dy, dx] = [table(|s, columns| s / columns), table(|s, columns| s % columns)];
    let from = |tap: &Expr, axis: usize| tap.zext(OFFSET_BITS) - latest.padding[axis].zext(OFFSET_BITS);
    let base = lit(BASE, OFFSET_BITS) + from(&dy, 0).shl(ROW_SHIFT) + from(&dx, 1).shl(COLUMN_SHIFT);
    let [dy, dx, base] = [("dy", dy.zext(12)), ("dx", dx.zext(12)), ("base", base.zext(32))]
        .map(|(name, value)| m.delay(&format!("looked_up_{name}"), &value));
    vec![("segment_dy", dy), ("segment_dx", dx), ("segment_base", base)]
}

/// The record that the next entry belongs to: the latest, unless the last entry of the pass before has not come yet.
struct Pass {
    sizes: Sizes,
    /// Entries of a pass are to come, and those of the pass before it, too.
    open: Expr,
    late: Expr,
}

impl Pass {
    fn of_entries(m: &mut Builder, latest: &Sizes, taken: &Expr) -> Pass {
        let before = latest.map(|name, value| m.sample(&format!("before_{name}"), taken, value));
        let open = m.reg_reset("pass_open", 1, 0);
        let late = m.reg_reset("pass_late", 1, 0);
        Pass { sizes: latest.or(&late, &before), open, late }
    }

    fn advances(&self, m: &mut Builder, taken: &Expr, ends: &Expr) {
        m.set_if(&self.late, ends, &lit(0, 1));
        m.set_if(&self.late, &(taken & &self.open), &lit(1, 1));
        m.set_if(&self.open, taken, &lit(1, 1));
        m.set_if(&self.open, &(ends & !&self.late), &lit(0, 1));
    }
}

/// Counts of the entries so far: where in the layer the next must be.
struct Counts {
    block: [Expr; 2],
    inner: [Expr; 2],
    tap: [Expr; 2],
    chunk: Expr,
    pass: Expr,
    tile: Expr,
    done: Expr,
}

impl Counts {
    fn registers(m: &mut Builder) -> Counts {
        m.comment("Which tap of which token the next entry must be.");
        let mut count = |name: &str, width: u32| m.reg_reset(name, width, 0);
        Counts {
            block: [count("at_block_y", 1), count("at_block_x", 1)],
            inner: [count("at_row", 2), count("at_column", 2)],
            tap: [count("at_tap_y", 2), count("at_tap_x", 2)],
            chunk: count("at_chunk", 1),
            pass: count("at_pass", 1),
            tile: count("at_tile", 1),
            done: count("layer_done", 1),
        }
    }

    /// Counts an entry: the innermost count first, each next where those before it end.
    fn advance(&self, m: &mut Builder, shape: &Shape, at: &At, enters: &Expr) {
        let counts = [
            (&self.tap[1], &at.kernel[1]),
            (&self.tap[0], &at.kernel[0]),
            (&self.chunk, &shape.chunks),
            (&self.inner[1], &shape.inner[1]),
            (&self.inner[0], &shape.inner[0]),
            (&self.block[1], &shape.blocks[1]),
            (&self.block[0], &shape.blocks[0]),
            (&self.pass, &shape.passes),
            (&self.tile, &shape.tiles),
        ];
        let mut moves = enters.clone();
        for (count, last) in counts {
            let ends = &moves & count.eq(last);
            m.set_if(count, &ends, &count.like(0));
            m.set_if(count, &moves, &count.inc());
            moves = ends;
        }
        m.set_if(&self.done, &moves, &lit(1, 1));
    }
}

/// What the next entry must be.
struct At {
    kernel: [Expr; 2],
    position: [Expr; 2],
    inside: Expr,
    row_end: Expr,
    token_end: Expr,
    job_end: Expr,
}

impl At {
    fn of(m: &mut Builder, shape: &Shape, sizes: &Sizes, counts: &Counts) -> At {
        let position = [0, 1].map(|axis: usize| {
            let [inner, kernel] = [&counts.inner[axis], &counts.tap[axis]].map(|count| count.zext(BITS));
            let of_block = mux(&counts.block[axis], &counted(&shape.inner[axis], BITS), &lit(0, BITS));
            let token = of_block + inner;
            let strided = mux(&sizes.stride[axis], &token.shl(1), &token);
            m.named(["row", "column"][axis], &(strided - sizes.padding[axis].zext(BITS) + kernel))
        });
        // A position before the source is a large number.
        let within = |axis: usize| position[axis].lt(&sizes.source[axis].zext(BITS));
        let inside = m.named("tap_inside", &(within(0) & within(1)));
        let ends = |counts: &[Expr; 2], last: &[Expr; 2]| counts[0].eq(&last[0]) & counts[1].eq(&last[1]);
        let row_end = ends(&counts.tap, &sizes.kernel);
        let token_end = &row_end & counts.chunk.eq(&shape.chunks);
        let job_end = &token_end & ends(&counts.inner, &shape.inner) & ends(&counts.block, &shape.blocks);
        let job_end = m.named("job_ends", &job_end);
        At { kernel: sizes.kernel.clone(), position, inside, row_end, token_end, job_end }
    }
}

fn rules(m: &mut Builder, ports: &Instance, at: &At, enters: &Expr) {
    let entry = ports.output("entry");
    let words = entry.width() - 5;
    let [absent, row_end, token_end, job_end] = [1, 2, 3, 4].map(|bit| entry.bit(words + bit));
    m.unused(&entry.slice(0, words + 1));
    for port in ["segment_bank", "row_words", "request_words", "waiting_for_layers"] {
        m.unused(&ports.output(port));
    }
    m.assert_formal(
        "inside_is_requested",
        "A tap is requested exactly if its position lies inside the source.",
        &(!enters | absent.eq(&!&at.inside)),
    );
    m.assert_formal(
        "requests_are_entries",
        "What is requested enters the queue; what is absent is not requested.",
        &(!ports.output("request_valid") | !absent),
    );
    let place = |axis: usize, shift: u32| at.position[axis].zext(OFFSET_BITS).shl(shift);
    let address = lit(BASE, OFFSET_BITS) + place(0, ROW_SHIFT) + place(1, COLUMN_SHIFT);
    m.assert_formal(
        "at_its_address",
        "It is requested where its position lies.",
        &(!(enters & &at.inside) | ports.output("request_offset").trunc(OFFSET_BITS).eq(&address)),
    );
    for (name, found, expected, rule) in [
        ("row_ends", &row_end, &at.row_end, "A row ends with its last tap."),
        ("token_ends", &(&token_end & &row_end), &at.token_end, "A token ends with its last chunk."),
    ] {
        m.assert_formal(name, rule, &(!enters | found.eq(expected)));
    }
    m.assert_formal(
        "job_ends_with_its_last_token",
        "A pass ends with its last token: each tap of each token comes once.",
        &(!enters | (job_end & &token_end & &row_end).eq(&at.job_end)),
    );
}

fn rules_of_records(
    m: &mut Builder,
    shape: &Shape,
    pass: &Pass,
    at: &At,
    [taken, enters]: [&Expr; 2],
    counts: &Counts,
) {
    m.assert_formal(
        "record_stays",
        "A pass keeps its record until no more than its last entry is to come.",
        &(!(taken & &pass.open) | (&shape.passes & &at.job_end & !&pass.late)),
    );
    m.assert_formal("ends", "Nothing follows the last pass of the last tile.", &!(enters & &counts.done));
}

fn covers(m: &mut Builder, at: &At, enters: &Expr, counts: &Counts) {
    let outside = m.reg_reset("one_outside", 1, 0);
    let within = m.reg_reset("one_inside", 1, 0);
    m.set_if(&outside, &(enters & !&at.inside), &lit(1, 1));
    m.set_if(&within, &(enters & &at.inside), &lit(1, 1));
    m.cover_formal(
        "second_pass",
        "A second pass is fetched, after taps inside and outside.",
        &(&outside & &within & &counts.pass & enters),
    );
    m.cover_formal("second_tile", "A second tile is fetched.", &(&counts.tile & enters));
    m.cover_formal("done", "A layer ends.", &counts.done);
}
