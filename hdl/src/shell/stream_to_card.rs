//! A stream from the host into memory.

use std::rc::Rc;

use isa::PcieConfig;

use super::stream_job::{StreamJob, WAITING_WORDS};
use crate::core::stream_fifo::stream_fifo;
use crate::rtl::{Builder, Module, RtlError, index_width, lit};

/// Writes what LitePCIe's DMA reader delivers into memory: 16 bytes a cycle, but for four cycles or so between bursts of 64 words.
///
/// A burst is begun once all its words are there, so it keeps the memory no longer than it must. One burst at a time; `done` counts it
/// when it is answered. While no stream is under way, words are taken and dropped: what an aborted stream left in LitePCIe drains away.
pub fn stream_to_card(config: &PcieConfig) -> Result<Rc<Module>, RtlError> {
    let bus = config.core.bus_bits;
    let fifo = stream_fifo(bus, WAITING_WORDS)?;
    let doc =
        "Writes a stream of the host into memory, in bursts that are begun once all their words are there.";
    Module::build("stream_to_card", doc, |m: &mut Builder| {
        let job = StreamJob::new(m, config);

        m.comment("Words wait until they make a burst.");
        let t_valid = m.input("tvalid", 1);
        let t_data = m.input("tdata", bus);
        let to_take = m.reg_reset("to_take", job.left.width(), 0);
        let takes = m.named("takes", &(to_take.any() & !&job.ending));
        let pop = m.wire("pop", 1);
        let over = m.wire("over", 1);
        let push_valid = m.named("push_valid", &(&t_valid & &takes));
        let fifo = m.instance(
            "waiting",
            &fifo,
            &[
                ("flush", over.clone()),
                ("push_valid", push_valid.clone()),
                ("push_data", t_data.clone()),
                ("pop_ready", pop.clone()),
            ],
        );
        let push = m.named("push", &(&push_valid & fifo.output("push_ready")));
        m.set_if(&to_take, &over, &lit(0, to_take.width()));
        m.set_if(&to_take, &job.start, &job.words);
        m.set_if(&to_take, &push, &to_take.dec());
        // As many as the FIFO holds, and the few behind its memory.
        let level_bits = index_width(WAITING_WORDS) + 1;
        let level = m.reg_reset("level", level_bits, 0);
        m.set_if(&level, &over, &lit(0, level_bits));
        m.set_if(&level, &(&push & !&pop), &level.inc());
        m.set_if(&level, &(!&push & &pop), &level.dec());

        m.comment("One burst at a time.");
        let aw_ready = m.input("awready", 1);
        let w_ready = m.input("wready", 1);
        let b_valid = m.input("bvalid", 1);
        let aw_valid = m.reg_reset("awvalid", 1, 0);
        let writing = m.reg_reset("writing", 1, 0);
        let waiting = m.reg_reset("response_due", 1, 0);
        let issue =
            m.named("issue", &(&job.sized & !&waiting & !&job.ending & level.ge(&job.size.zext(level_bits))));
        m.set_if(&aw_valid, &issue, &lit(1, 1));
        m.set_if(&aw_valid, &aw_ready, &lit(0, 1));
        let address = m.sample("awaddr", &issue, &job.address);
        let beats = m.reg("beats_left", job.size.width());
        m.set_if(&beats, &issue, &job.size.dec());
        m.set_if(&beats, &pop, &beats.dec());
        let size = m.sample("issued_size", &issue, &job.size);
        let last = m.named("last_beat", &beats.is_zero());
        let w_valid = m.named("w_offered", &(&writing & fifo.output("pop_valid")));
        m.assign(&pop, &(&w_valid & &w_ready));
        m.set_if(&writing, &issue, &lit(1, 1));
        m.set_if(&writing, &(&pop & &last), &lit(0, 1));
        m.set_if(&waiting, &issue, &lit(1, 1));
        m.set_if(&waiting, &b_valid, &lit(0, 1));

        let finished = m.named("complete", &(&job.busy & !&job.ending & !job.left.any() & !&waiting));
        m.assign(&over, &(&finished | (&job.ending & !&waiting)));
        job.advance(m, &issue, &over);
        let done = job.done(m, &(&waiting & &b_valid), &size);
        job.report(m, &done, &finished, &push, &t_data);
        m.output_doc(
            "tready",
            &(!&job.busy | (&takes & fifo.output("push_ready"))),
            "also while no stream is under way",
        );
        m.output("awvalid", &aw_valid);
        m.output("awaddr", &address);
        m.output_doc("awlen", &size.dec().zext(8), "beats less one");
        m.output("wvalid", &w_valid);
        m.output("wdata", &fifo.output("pop_data"));
        m.output("wlast", &last);
    })
}
