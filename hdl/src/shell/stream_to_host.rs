//! A stream from memory to the host.

use std::rc::Rc;

use isa::PcieConfig;

use super::stream_job::{StreamJob, WAITING_WORDS};
use crate::core::stream_fifo::stream_fifo;
use crate::rtl::{Builder, Module, RtlError, index_width, lit};

/// Reads memory for LitePCIe's DMA writer: 16 bytes a cycle, in bursts of up to 64 words.
///
/// A burst is asked for once there is room for all its words: they are taken as they come, whether the host takes any or not, so a host
/// that waits keeps nobody from the memory.
pub fn stream_to_host(config: &PcieConfig) -> Result<Rc<Module>, RtlError> {
    let bus = config.core.bus_bits;
    let fifo = stream_fifo(bus, WAITING_WORDS)?;
    let doc = "Reads memory into a stream to the host, in bursts that are asked for once there is room for all their words.";
    Module::build("stream_to_host", doc, |m: &mut Builder| {
        let job = StreamJob::new(m, config);

        m.comment("Words on their way, and room for those that follow.");
        let r_valid = m.input("rvalid", 1);
        let r_data = m.input("rdata", bus);
        let t_ready = m.input("tready", 1);
        let over = m.wire("over", 1);
        let fifo = m.instance(
            "waiting",
            &fifo,
            &[
                ("flush", over.clone()),
                ("push_valid", r_valid.clone()),
                ("push_data", r_data),
                ("pop_ready", t_ready.clone()),
            ],
        );
        m.unused(&fifo.output("push_ready"));
        let pop = m.named("pop", &(fifo.output("pop_valid") & &t_ready));
        let bits = index_width(WAITING_WORDS) + 1;
        let room = m.reg_reset("room", bits, WAITING_WORDS.into());
        let to_come = m.reg_reset("to_come", bits, 0);
        let to_send = m.reg_reset("to_send", job.left.width(), 0);

        m.comment("A burst is asked for while the one before it comes.");
        let ar_ready = m.input("arready", 1);
        let ar_valid = m.reg_reset("arvalid", 1, 0);
        let size = job.size.zext(bits);
        let issue = m.named("issue", &(&job.sized & !&ar_valid & !&job.ending & room.ge(&size)));
        m.set_if(&ar_valid, &issue, &lit(1, 1));
        m.set_if(&ar_valid, &ar_ready, &lit(0, 1));
        let address = m.sample("araddr", &issue, &job.address);
        let beats = m.sample("issued_size", &issue, &job.size);
        let taken = issue.repeat(bits) & &size;
        m.set_if(&room, &over, &lit(WAITING_WORDS.into(), bits));
        m.set(&room, &(&room - &taken + pop.zext(bits)));
        m.set(&to_come, &(&to_come + &taken - r_valid.zext(bits)));
        m.set_if(&to_send, &over, &lit(0, to_send.width()));
        m.set_if(&to_send, &job.start, &job.words);
        m.set_if(&to_send, &pop, &to_send.dec());

        let finished = m.named("complete", &(&job.busy & !&job.ending & !to_send.any()));
        m.assign(&over, &(&finished | (&job.ending & !to_come.any())));
        job.advance(m, &issue, &over);
        let done = job.done(m, &pop, &lit(1, 1));
        job.report(m, &done, &finished, &pop, &fifo.output("pop_data"));
        m.output("tvalid", &fifo.output("pop_valid"));
        m.output("tdata", &fifo.output("pop_data"));
        m.output("arvalid", &ar_valid);
        m.output("araddr", &address);
        m.output_doc("arlen", &beats.dec().zext(8), "beats less one");
    })
}
