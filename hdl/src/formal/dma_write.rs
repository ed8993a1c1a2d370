//! The write master on AXI4: legal bursts that stay until taken, WLAST exactly at the last beat, responses accounted for.

use std::rc::Rc;

use super::{Method, Planted, Proof, instance, memory_window, steady, tiny};
use crate::core::dma_write::dma_write;
use crate::rtl::{Builder, Expr, Instance, Module, RtlError, cat, lit};

const FILE: &str = "dma_write.v";

pub(super) const PROOFS: [Proof; 3] = [
    Proof {
        name: "dma_write_64",
        rule: "AXI4: AWVALID, WVALID and what they carry stay; bursts inside 4 KiB and the memory window; as many beats as \
               announced, WLAST with the last; responses counted before a layer is retired; words leave in order, each once, \
               with all strobes",
        method: Method::Induction,
        depth: 2,
        cover_depth: 22,
        build: |name| top(name, 64),
        planted: &[
            Planted {
                file: FILE,
                text: "wlast <= beats_left == 5'd1;",
                changed: "wlast <= beats_left == 5'd2;",
            },
            Planted {
                file: FILE,
                text: "w_free = ~wvalid | wready;",
                changed: "w_free = ~wvalid | wready | awready;",
            },
            Planted {
                file: FILE,
                text: "write_near_border ? write_burst_end",
                changed: "(write_near_border & write_offset[6]) ? write_burst_end",
            },
            Planted {
                file: FILE,
                text: "write_outside = write_end > {1'b0, memory_size};",
                changed: "write_outside = 1'b0;",
            },
            Planted {
                file: FILE,
                text: "pop_word = wants_beat & ~flush;",
                changed: "pop_word = (wants_beat | layer_end) & ~flush;",
            },
            Planted {
                file: FILE,
                text: "wdata <= words_pop_data;",
                changed: "wdata <= {words_pop_data[62:0], words_pop_data[63]};",
            },
            Planted { file: FILE, text: "wstrb <= flush ? 8'd0 : 8'd255;", changed: "wstrb <= 8'd255;" },
        ],
    },
    Proof {
        name: "dma_write_128",
        rule: "the same on a 128-bit bus",
        method: Method::Induction,
        depth: 2,
        cover_depth: 22,
        build: |name| top(name, 128),
        planted: &[
            Planted {
                file: FILE,
                text: "wlast <= beats_left == 5'd1;",
                changed: "wlast <= beats_left == 5'd2;",
            },
            Planted {
                file: FILE,
                text: "{words_pop_data, low_word};",
                changed: "{low_word, words_pop_data};",
            },
            Planted {
                file: FILE,
                text: "pop_word = (~low_valid | wants_beat)",
                changed: "pop_word = (~low_valid | beats_left[0])",
            },
        ],
    },
    Proof {
        name: "dma_write_places",
        rule: "without a flush, in the first cycles: every word of a burst goes to its place, offset + 8 x its index, once the burst was \
               announced, and before a layer is retired",
        method: Method::Bounded,
        depth: 13,
        cover_depth: 22,
        build: places,
        planted: &[
            Planted {
                file: FILE,
                text: "write_offset <= write_offset + {23'd0, write_burst_words, 3'd0};",
                changed: "write_offset <= write_offset;",
            },
            Planted {
                file: FILE,
                text: "beats_left <= write_beats;",
                changed: "beats_left <= write_beats | 5'd1;",
            },
        ],
    },
];

fn top(name: &str, bus_bits: u32) -> Result<Rc<Module>, RtlError> {
    let master = dma_write(&isa::CoreConfig { bus_bits, lanes: bus_bits / 8, ..tiny() })?;
    Module::build(name, "The write master before a memory that answers each burst once.", |m| {
        let base = m.input("memory_base", 32);
        let size = m.input("memory_size", 32);
        let aw_ready = m.input("awready", 1);
        let w_ready = m.input("wready", 1);
        let inputs = [
            ("memory_base", base.clone()),
            ("memory_size", size.clone()),
            ("awready", aw_ready.clone()),
            ("wready", w_ready.clone()),
        ];
        let dma = instance(m, "dma", &master, &inputs);
        m.assume_reset_first();
        for port in master.outputs() {
            m.unused(&dma.output(&port.name));
        }
        memory_window(m, &base, &size);
        let address_taken = m.named("address_taken", &(dma.output("awvalid") & &aw_ready));
        let last_taken = m.named("last_taken", &(dma.output("wvalid") & &w_ready & dma.output("wlast")));
        m.cover_formal(
            "two_beats",
            "A burst of two beats or more ends.",
            &(last_taken & dma.output("awlen").ge_lit(1)),
        );
        m.cover_formal(
            "retires",
            "A layer is retired after a burst.",
            &(dma.output("layer_retired") & dma.output("last_offset").any()),
        );
        m.cover_formal(
            "stalls",
            "A beat waits while the next burst's address is out.",
            &(dma.output("wvalid") & !&w_ready & &address_taken),
        );
        m.cover_formal("refuses", "A burst is refused.", &dma.output("fault"));
        m.output("any", &lit(0, 1));
    })
}

/// Where words go. What the packer promises is taken for granted: a burst is announced with its last word, of 1 to 8.
fn places(name: &str) -> Result<Rc<Module>, RtlError> {
    let master = dma_write(&tiny())?;
    Module::build(name, "The write master behind a packer; the memory's side is free.", |m| {
        let packer_side = packer_side(m, &master);
        let packed = packed(m, &packer_side);
        let watched_burst = watched_burst(m, &packer_side, &packed);
        let left = place_rules(m, &packer_side, &packed, &watched_burst);
        layer_rules(m, &packer_side, &packed, &watched_burst, &left);
    })
}

/// The master, and what the packer and the memory say.
struct PackerSide {
    base: Expr,
    w_ready: Expr,
    aw_ready: Expr,
    word: Expr,
    ends: Expr,
    offset: Expr,
    words: Expr,
    layer_end: Expr,
    dma: Instance,
}

fn packer_side(m: &mut Builder, master: &Rc<Module>) -> PackerSide {
    let base = m.input("memory_base", 32);
    let size = m.input("memory_size", 32);
    let w_ready = m.input("wready", 1);
    let aw_ready = m.input("awready", 1);
    let word = m.input("word_valid", 1);
    let ends = m.input("burst_valid", 1);
    let offset = m.input("burst_offset", 32);
    let words = m.input("burst_words", 4);
    let layer_end = m.input("layer_end", 1);
    let inputs = [
        ("flush", lit(0, 1)),
        ("memory_base", base.clone()),
        ("memory_size", size.clone()),
        ("wready", w_ready.clone()),
        ("awready", aw_ready.clone()),
        ("word_valid", word.clone()),
        ("burst_valid", ends.clone()),
        ("burst_offset", offset.clone()),
        ("burst_words", words.clone()),
        ("layer_end", layer_end.clone()),
    ];
    let dma = instance(m, "dma", master, &inputs);
    m.assume_reset_first();
    for port in master.outputs() {
        m.unused(&dma.output(&port.name));
    }
    memory_window(m, &base, &size);
    PackerSide { base, w_ready, aw_ready, word, ends, offset, words, layer_end, dma }
}

/// The words and bursts of the packer.
struct Packed {
    announced: Expr,
    first: Expr,
}

fn packed(m: &mut Builder, packer_side: &PackerSide) -> Packed {
    m.comment("The packer: words, each burst announced with its last.");
    let taken = m.named("taken", &(&packer_side.word & packer_side.dma.output("word_ready")));
    let announced = m.named("announced", &(&taken & &packer_side.ends));
    let counted = m.reg_reset("words_taken", 6, 0);
    m.set_if(&counted, &taken, &counted.inc());
    let first = m.reg_reset("first_of_burst", 6, 0);
    m.set_if(&first, &announced, &counted.inc());
    let of_burst = m.named("words_of_burst", &(&counted - &first).inc());
    m.assume_formal(
        "announced_with_the_last",
        "A burst has 1 to 8 words and is announced with its last.",
        &(!&packer_side.word
            | (of_burst.le_lit(8) & (!&packer_side.ends | packer_side.words.zext(6).eq(&of_burst)))),
    );
    m.assume_formal(
        "marker_between_bursts",
        "A layer ends after its last burst.",
        &(!&packer_side.layer_end | (!&packer_side.word & counted.eq(&first))),
    );
    m.assume_formal("no_fault", "No burst is refused: another proof.", &!packer_side.dma.output("fault"));
    Packed { announced, first }
}

/// One burst, which the proof picks.
struct WatchedBurst {
    watched_offset: Expr,
    watched_first: Expr,
    watched_words: Expr,
    known: Expr,
}

fn watched_burst(m: &mut Builder, packer_side: &PackerSide, packed: &Packed) -> WatchedBurst {
    m.comment("One burst, which the proof picks.");
    let watched = m.input("watched_burst", 3);
    steady(m, "watched_burst", &watched);
    let bursts = m.reg_reset("bursts", 3, 0);
    m.set_if(&bursts, &packed.announced, &bursts.inc());
    let hit = m.named("watched_announced", &(&packed.announced & bursts.eq(&watched)));
    let mut held = |name: &str, value: &Expr| m.sample(name, &hit, value);
    let watched_offset = held("watched_offset", &packer_side.offset);
    let watched_first = held("watched_first", &packed.first);
    let watched_words = held("watched_words", &packer_side.words);
    let known = m.reg_reset("watched_known", 1, 0);
    m.set_if(&known, &hit, &lit(1, 1));
    WatchedBurst { watched_offset, watched_first, watched_words, known }
}

/// The words that left the master, and whether one is of the watched burst.
struct Left {
    left: Expr,
    ahead: Expr,
    of_watched: Expr,
}

/// Addresses and beats, and where they belong.
fn place_rules(
    m: &mut Builder,
    packer_side: &PackerSide,
    packed: &Packed,
    watched_burst: &WatchedBurst,
) -> Left {
    m.comment("Addresses and beats as they are offered.");
    let mut offered = |name: &str, valid: &Expr, ready: &Expr| {
        let waited = m.delay_reset(&format!("{name}_waited"), &(valid & !ready));
        m.named(&format!("{name}_offered"), &(valid & !&waited))
    };
    let address = offered("address", &packer_side.dma.output("awvalid"), &packer_side.aw_ready);
    let beat = offered("beat", &packer_side.dma.output("wvalid"), &packer_side.w_ready);
    let index = m.reg_reset("beat_index", 5, 0);
    m.set_if(&index, &address, &lit(0, 5));
    m.set_if(&index, &beat, &index.inc());
    let left = m.reg_reset("words_left_master", 6, 0);
    m.set_if(&left, &beat, &left.inc());
    let place = packer_side.dma.output("last_offset") + cat(&[index.clone(), lit(0, 3)]).zext(32);
    let ahead = m.named("index_in_watched", &(&left - &watched_burst.watched_first));
    let of_watched = m.named(
        "of_watched",
        &(&beat & &watched_burst.known & ahead.lt(&watched_burst.watched_words.zext(6))),
    );
    let due = &watched_burst.watched_offset + cat(&[ahead.clone(), lit(0, 3)]).zext(32);
    m.assert_formal(
        "to_its_place",
        "A word goes to its place in the burst.",
        &(!&of_watched | place.eq(&due)),
    );
    m.assert_formal(
        "address_in_window",
        "The address is the offset in the memory window.",
        &(!packer_side.dma.output("awvalid")
            | packer_side
                .dma
                .output("awaddr")
                .eq(&(&packer_side.base + packer_side.dma.output("last_offset")))),
    );
    m.assert_formal(
        "after_its_announcement",
        "A word leaves only when its burst was announced.",
        &(!&beat | (&packed.first - &left).le_lit(32) & !packed.first.eq(&left)),
    );
    Left { left, ahead, of_watched }
}

fn layer_rules(
    m: &mut Builder,
    packer_side: &PackerSide,
    packed: &Packed,
    watched_burst: &WatchedBurst,
    left: &Left,
) {
    let marked = m.reg_reset("layer_marked", 1, 0);
    let marker = &packer_side.layer_end & packer_side.dma.output("layer_end_ready");
    let words_of_layer = m.reg("words_of_layer", 6);
    m.set_if(&words_of_layer, &(&marker & !&marked), &packed.first);
    m.set_if(&marked, &marker, &lit(1, 1));
    let retired = m.reg_reset("retired", 1, 0);
    m.set_if(&retired, &packer_side.dma.output("layer_retired"), &lit(1, 1));
    m.assert_formal(
        "all_before_the_layer_ends",
        "The first layer is retired when all of its words have left, and not without its marker.",
        &(!packer_side.dma.output("layer_retired")
            | &retired
            | (&marked & (&left.left - &words_of_layer).lt_lit(32))),
    );
    m.cover_formal(
        "second_burst",
        "A word of a second burst goes out.",
        &(&left.of_watched & watched_burst.watched_first.any() & left.ahead.any()),
    );
    m.cover_formal(
        "retires",
        "A layer is retired after a burst.",
        &(packer_side.dma.output("layer_retired") & left.left.any()),
    );
    m.output("any", &lit(0, 1));
}
