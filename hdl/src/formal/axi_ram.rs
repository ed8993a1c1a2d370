//! The memory on AXI4: every burst is answered as it was asked, the host is served once, a word is what was written to it last.

use std::rc::Rc;

use super::{Method, Planted, Proof, instance, system, tiny};
use crate::rtl::{Module, RtlError, lit};
use crate::shell::axi_ram::axi_ram;

const FILE: &str = "axi_ram.v";

pub(super) const PROOFS: [Proof; 2] = [
    Proof {
        name: "axi_ram_64",
        rule: "AXI4: RVALID, BVALID and what they carry stay; every burst is answered once, as long as asked, with its ID; a word \
               returns what was written to it last, by a burst or by the host",
        method: Method::Induction,
        depth: 2,
        cover_depth: 16,
        build: |name| top(name, 64),
        planted: &[
            Planted {
                file: FILE,
                text: "read_step = ~rvalid | rready;",
                changed: "read_step = ~rvalid | rready | ar_take;",
            },
            Planted {
                file: FILE,
                text: "host_turn & ~writing & read_step;",
                changed: "host_turn & read_step;",
            },
            Planted {
                file: FILE,
                text: "bank1_written <= write_word[10:9] == 2'd2;",
                changed: "bank1_written <= write_word[10:9] == 2'd3;",
            },
            Planted {
                file: FILE,
                text: "w_free = aw_active & ~host_writes & ~bvalid;",
                changed: "w_free = aw_active & ~host_writes;",
            },
            Planted { file: FILE, text: "stage_id <= ar_id_held;", changed: "stage_id <= arid;" },
            Planted {
                file: FILE,
                text: "ar_beats_left <= arlen;",
                changed: "ar_beats_left <= arlen | 8'd1;",
            },
            Planted {
                file: FILE,
                text: "ar_word <= ar_word + 11'd1;",
                changed: "ar_word <= ar_word + 11'd2;",
            },
            Planted { file: FILE, text: "(awaddr[13:3] < 11'h600)", changed: "(awaddr[13:3] <= 11'h600)" },
            Planted { file: FILE, text: "read_word = host_turn ?", changed: "read_word = stage_host ?" },
        ],
    },
    Proof {
        name: "axi_ram_128",
        rule: "the same on a 128-bit bus",
        method: Method::Induction,
        depth: 2,
        cover_depth: 16,
        build: |name| top(name, 128),
        planted: &[
            Planted {
                file: FILE,
                text: "w_free = aw_active & ~host_writes & ~bvalid;",
                changed: "w_free = aw_active & ~bvalid;",
            },
            Planted { file: FILE, text: "bank0_written <= ", changed: "bank0_written <= stage_host | " },
        ],
    },
];

fn top(name: &str, bus_bits: u32) -> Result<Rc<Module>, RtlError> {
    let core = isa::CoreConfig { bus_bits, lanes: bus_bits / 8, ..tiny() };
    let memory = axi_ram(&(&isa::SocConfig { core, ..system() }).into())?;
    Module::build(name, "A memory between any master and any host.", |m| {
        let memory_ports = instance(m, "memory", &memory, &[]);
        m.assume_reset_first();
        for port in memory.outputs() {
            m.unused(&memory_ports.output(&port.name));
        }
        m.output("any", &lit(0, 1));
    })
}
