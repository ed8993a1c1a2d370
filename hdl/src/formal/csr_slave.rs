//! The register file as an AXI4-Lite slave: what it offers stays, and every request has exactly one answer.

use std::rc::Rc;

use super::{Method, Planted, Proof, instance, tiny};
use crate::core::csr::csr;
use crate::rtl::{Module, RtlError, lit};

const FILE: &str = "csr.v";

pub(super) const PROOFS: [Proof; 1] = [Proof {
    name: "csr_slave",
    rule: "AXI4-Lite: BVALID, RVALID, RDATA stay until taken; one answer a request, never without one, in the next cycle",
    method: Method::Induction,
    depth: 2,
    cover_depth: 10,
    build: top,
    planted: &[
        Planted { file: FILE, text: "end else if (rready) begin", changed: "end else begin" },
        Planted {
            file: FILE,
            text: "answer = read_held & read_found & ~rvalid;",
            changed: "answer = read_held & read_found;",
        },
        Planted {
            file: FILE,
            text: "write = address_held & data_held & ~bvalid;",
            changed: "write = address_held & ~bvalid;",
        },
    ],
}];

fn top(name: &str) -> Result<Rc<Module>, RtlError> {
    let slave = csr(&tiny())?;
    Module::build(name, "The register file behind a master that may do anything.", |m| {
        let r_ready = m.input("rready", 1);
        let b_ready = m.input("bready", 1);
        let inputs = [("rready", r_ready.clone()), ("bready", b_ready.clone())];
        let registers = instance(m, "registers", &slave, &inputs);
        m.assume_reset_first();
        let count = |m: &mut crate::rtl::Builder, name: &str, taken: crate::rtl::Expr| {
            let count = m.reg_reset(name, 2, 0);
            m.set_if(&count, &taken, &count.inc());
            count
        };
        let answered = count(m, "reads_answered", registers.output("rvalid") & &r_ready);
        let written = count(m, "writes_answered", registers.output("bvalid") & &b_ready);
        m.cover_formal(
            "two_of_each",
            "Two reads and two writes are answered.",
            &(answered.eq_lit(2) & written.eq_lit(2)),
        );
        m.cover_formal("starts", "A write starts a run.", &registers.output("start"));
        for port in slave.outputs() {
            m.unused(&registers.output(&port.name));
        }
        m.output("any", &lit(0, 1));
    })
}
