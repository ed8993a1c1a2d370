//! The write master on AXI4: legal bursts that stay until taken, WLAST exactly at the last beat, responses accounted for.

use std::rc::Rc;

use super::{Method, Planted, Proof, instance, memory_window, tiny};
use crate::core::dma_write::dma_write;
use crate::rtl::{Module, RtlError, lit};

const FILE: &str = "dma_write.v";

pub(super) const PROOFS: [Proof; 2] = [
    Proof {
        name: "dma_write_64",
        rule: "AXI4: AWVALID, WVALID and what they carry stay; bursts inside 4 KiB and the memory window; as many beats as \
               announced, WLAST with the last; responses counted before a layer is retired",
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
                text: "write_near_border ?",
                changed: "(write_near_border & write_offset[6]) ?",
            },
            Planted {
                file: FILE,
                text: "write_outside = write_end > {1'b0, memory_size};",
                changed: "write_outside = 1'b0;",
            },
        ],
    },
    Proof {
        name: "dma_write_128",
        rule: "the same on a 128-bit bus",
        method: Method::Induction,
        depth: 2,
        cover_depth: 22,
        build: |name| top(name, 128),
        planted: &[Planted {
            file: FILE,
            text: "wlast <= beats_left == 5'd1;",
            changed: "wlast <= beats_left == 5'd2;",
        }],
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
