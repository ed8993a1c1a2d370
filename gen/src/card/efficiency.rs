//! What the link makes of payload, by the card's streams and by LitePCIe's AXI slave.

use crate::error::GenError;
use crate::screen::{grouped, percent};
use driver::pcie::{Direction, PcieLink, PcieOptions};
use driver::{DriverError, Link};
use isa::PcieConfig;
use isa::pcie::STREAM_ALIGN;
use serde::Serialize;
use sim::pcie::{CardModel, HostMemorySlave, RootOptions, SimFunction, Traffic};

/// Bytes of the headers that reads and writes of the card cost: a completion's, and a request's with an address of 64 or 32 bits.
const COMPLETION_HEADER: u64 = 12;
const WRITE_HEADER: u64 = 16;
const SHORT_WRITE_HEADER: u64 = 12;
/// Bytes of the streams that are measured alone.
const STREAM_BYTES: usize = 256 << 10;
/// Bytes that the AXI slave moves.
const SLAVE_BYTES: usize = 64 << 10;
/// Beats of its bursts: the core's longest, and the longest that AXI has.
const SLAVE_BURSTS: [usize; 2] = [16, 256];

/// What one way of using the link makes of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Efficiency {
    payload_bytes: u64,
    #[serde(skip)]
    header_bytes: u64,
    /// Clock cycles from the first beat of data to the last, idle ones included.
    cycles: u64,
    /// Beats that were on the link in this direction: data, headers, the host's accesses of registers.
    beats: u64,
    /// Payload, of what the stream could carry in these cycles.
    payload_efficiency: f64,
    /// Payload, of what the beats that were used could carry.
    of_beats: f64,
    /// What headers leave of it if nothing else costs anything.
    bound: f64,
    /// The first of these, of the last.
    of_bound: f64,
}

impl Efficiency {
    /// Of data that the card read.
    pub fn of_reads(traffic: &Traffic, max_payload: u32) -> Efficiency {
        let headers = traffic.read_bytes.div_ceil(max_payload.into()) * COMPLETION_HEADER;
        Efficiency::new(traffic.read_bytes, headers, cycles(traffic), traffic.rx_beats)
    }

    /// Of data that it wrote, with `header` bytes before each payload.
    fn of_writes(traffic: &Traffic, max_payload: u32, header: u64) -> Efficiency {
        let headers = traffic.written_bytes.div_ceil(max_payload.into()) * header;
        Efficiency::new(traffic.written_bytes, headers, cycles(traffic), traffic.tx_beats)
    }

    fn new(payload_bytes: u64, header_bytes: u64, cycles: u64, beats: u64) -> Efficiency {
        let payload = payload_bytes as f64;
        let of = |beats: u64| payload / (beats.max(1) as f64 * f64::from(STREAM_ALIGN));
        let bound = payload / (payload + header_bytes as f64).max(1.0);
        let (payload_efficiency, of_beats) = (of(cycles), of(beats));
        let of_bound = payload_efficiency / bound.max(f64::MIN_POSITIVE);
        Efficiency {
            payload_bytes,
            header_bytes,
            cycles,
            beats,
            payload_efficiency,
            of_beats,
            bound,
            of_bound,
        }
    }

    /// Of several transfers, one after another: what lies between them is left out.
    pub fn sum(parts: &[Efficiency]) -> Efficiency {
        let total = |of: fn(&Efficiency) -> u64| parts.iter().map(of).sum();
        Efficiency::new(
            total(|part| part.payload_bytes),
            total(|part| part.header_bytes),
            total(|part| part.cycles),
            total(|part| part.beats),
        )
    }

    /// A line of a table.
    pub fn line(&self, what: &str) -> String {
        format!(
            "{what:<34}{:>9} bytes in {:>7} cycles, {:>7} beats: {} payload ({} of the beats), headers leave {}: {} of that\n",
            grouped(self.payload_bytes),
            grouped(self.cycles),
            grouped(self.beats),
            percent(self.payload_efficiency),
            percent(self.of_beats),
            percent(self.bound),
            percent(self.of_bound)
        )
    }
}

/// From the first beat of data to the last.
fn cycles(traffic: &Traffic) -> u64 {
    traffic.span.map_or(0, |(first, last)| last - first + 1)
}

/// Streams alone at one kind of host.
#[derive(Debug, Serialize)]
pub struct Streams {
    /// Bytes of the largest payload.
    pub max_payload: u32,
    /// Cycles (of 8 ns) from a read to its first completion.
    pub latency: u64,
    /// One stream of 256 KiB each way.
    pub to_card: Efficiency,
    pub to_host: Efficiency,
}

impl Streams {
    /// Measures a stream each way at a host that behaves like `options`.
    pub fn measure(
        model: &CardModel,
        config: &PcieConfig,
        options: &RootOptions,
    ) -> Result<Streams, GenError> {
        let RootOptions { max_payload, latency, .. } = *options;
        let function = SimFunction::new(model, config.clock_hz, options.clone(), None)?;
        let mut link = PcieLink::open(function, &PcieOptions::default()).map_err(DriverError::from)?;
        let block: Vec<u8> =
            (0..STREAM_BYTES as u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
        link.function().root().take_traffic();
        link.write_memory(0, &block).map_err(DriverError::from)?;
        let there = link.function().root().take_traffic();
        let mut back = vec![0; block.len()];
        link.read_memory(0, &mut back).map_err(DriverError::from)?;
        let here = link.function().root().take_traffic();
        if back != block {
            return Err(GenError::Stream { what: "a stream to the card and back" });
        }
        Ok(Streams {
            max_payload,
            latency,
            to_card: Efficiency::of_reads(&there, max_payload),
            to_host: Efficiency::of_writes(&here, max_payload, WRITE_HEADER),
        })
    }
}

/// LitePCIe's AXI slave at the same host.
#[derive(Debug, Serialize)]
pub struct Slave {
    /// Beats of 16 bytes of its bursts.
    pub burst_beats: usize,
    /// 64 KiB of host memory, read or written burst after burst.
    pub host_memory_read: Efficiency,
    pub host_memory_write: Efficiency,
}

impl Slave {
    /// Measures bursts of both lengths.
    pub fn measure(options: &RootOptions) -> Result<Vec<Slave>, GenError> {
        let slave = HostMemorySlave::build()?;
        let run = |direction, beats| {
            let moved = slave.run(options.clone(), direction, SLAVE_BYTES, beats)?;
            match moved.right {
                true => Ok(moved.traffic),
                false => Err(GenError::Stream { what: "a range of host memory through the AXI slave" }),
            }
        };
        SLAVE_BURSTS
            .into_iter()
            .map(|burst_beats| {
                // A burst of fewer bytes than a payload is a packet.
                let payload = options.max_payload.min((burst_beats * STREAM_ALIGN as usize) as u32);
                let (there, here) =
                    (run(Direction::ToCard, burst_beats)?, run(Direction::ToHost, burst_beats)?);
                Ok(Slave {
                    burst_beats,
                    host_memory_read: Efficiency::of_reads(&there, payload),
                    host_memory_write: Efficiency::of_writes(&here, payload, SHORT_WRITE_HEADER),
                })
            })
            .collect()
    }
}
