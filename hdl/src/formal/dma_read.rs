//! The read master on AXI4: legal bursts that stay until taken, every beat accounted for and with a place to go.

use std::rc::Rc;

use super::{Method, Planted, Proof, instance, memory_window, tiny};
use crate::core::dma_read::dma_read;
use crate::rtl::{Module, RtlError, lit};

const FILE: &str = "dma_read.v";
const STREAM: &str = "dma_read_stream.v";

pub(super) const PROOFS: [Proof; 2] = [
    Proof {
        name: "dma_read_64",
        rule: "AXI4: ARVALID and address stay; bursts of 1 to 16 beats inside 4 KiB and the memory window; every beat counted, \
               and a beat that arrives finds room",
        method: Method::Induction,
        depth: 2,
        cover_depth: 14,
        build: |name| top(name, 64),
        planted: &[
            Planted {
                file: STREAM,
                text: "read_near_border ? read_burst_end",
                changed: "(read_near_border & read_offset[3]) ? read_burst_end",
            },
            Planted {
                file: FILE,
                text: "ar_free = ~arvalid | arready;",
                changed: "ar_free = ~arvalid | arready | turn;",
            },
            Planted {
                file: STREAM,
                text: "read_outside = read_end > {1'b0, memory_size};",
                changed: "read_outside = 1'b0;",
            },
            Planted { file: STREAM, text: "room <= room - ", changed: "room <= room - 8'd1 & " },
        ],
    },
    Proof {
        name: "dma_read_128",
        rule: "the same on a 128-bit bus",
        method: Method::Induction,
        depth: 2,
        cover_depth: 14,
        build: |name| top(name, 128),
        planted: &[Planted {
            file: STREAM,
            text: "read_near_border ? read_burst_end",
            changed: "(read_near_border & read_offset[4]) ? read_burst_end",
        }],
    },
];

fn top(name: &str, bus_bits: u32) -> Result<Rc<Module>, RtlError> {
    let master = dma_read(&isa::CoreConfig { bus_bits, lanes: bus_bits / 8, ..tiny() })?;
    Module::build(
        name,
        "The read master before a memory that answers what it was asked, in any order of the streams.",
        |m| {
            let base = m.input("memory_base", 32);
            let size = m.input("memory_size", 32);
            let flush = m.input("flush", 1);
            let ar_ready = m.input("arready", 1);
            let inputs = [
                ("memory_base", base.clone()),
                ("memory_size", size.clone()),
                ("flush", flush.clone()),
                ("arready", ar_ready.clone()),
            ];
            let dma = instance(m, "dma", &master, &inputs);
            m.assume_reset_first();
            for port in master.outputs() {
                m.unused(&dma.output(&port.name));
            }
            memory_window(m, &base, &size);
            let taken = m.named("taken", &(dma.output("arvalid") & &ar_ready));
            let flushed = m.reg_reset("flushed", 1, 0);
            m.set_if(&flushed, &flush, &lit(1, 1));
            m.cover_formal(
                "reads",
                "A word of each stream is there.",
                &(dma.output("inputs_valid") & dma.output("weights_valid")),
            );
            m.cover_formal(
                "longest",
                "A burst of 16 beats goes out.",
                &(&taken & dma.output("arlen").eq_lit(15)),
            );
            m.cover_formal("waits", "An address waits.", &(dma.output("arvalid") & !&ar_ready & flushed));
            m.cover_formal("refuses", "A request is refused.", &dma.output("inputs_fault"));
            m.output("any", &lit(0, 1));
        },
    )
}
