//! The rules of AXI4 that the core must keep, checked in every cycle. Sections are those of Arm IHI 0022, issue H.

use super::{Address, ManagerSignals, SubordinateSignals, WriteData};

/// Bursts stay inside blocks of this many bytes.
const BOUNDARY: u64 = 4096;
/// Burst type INCR.
const INCR: u8 = 1;

/// A rule of AXI4, or of this memory, that the core broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("AXI rule broken in cycle {cycle} on channel {channel}: {rule} (IHI 0022 {section}); found: {found}")]
pub struct Violation {
    /// The clock cycle.
    pub cycle: u64,
    /// The channel: `AR`, `AW`, `W`, `R` or `B`.
    pub channel: &'static str,
    /// The rule in words.
    pub rule: &'static str,
    /// Its section.
    pub section: &'static str,
    /// What was seen.
    pub found: String,
}

/// Remembers what the core offered in the last cycle and was not accepted.
#[derive(Clone, Debug, Default)]
pub(super) struct Checker {
    pending_read: Option<Address>,
    pending_write: Option<Address>,
    pending_data: Option<WriteData>,
}

impl Checker {
    /// Checks one cycle: what the core drove, and what the memory answered in the same cycle.
    pub(super) fn cycle(
        &mut self,
        cycle: u64,
        core: &ManagerSignals,
        memory: &SubordinateSignals,
    ) -> Result<(), Violation> {
        self.pending_read =
            stable(cycle, "AR", self.pending_read, core.read_address, memory.read_address_ready)?;
        self.pending_write =
            stable(cycle, "AW", self.pending_write, core.write_address, memory.write_address_ready)?;
        self.pending_data = stable(cycle, "W", self.pending_data, core.write_data, memory.write_data_ready)?;
        Ok(())
    }

    /// Checks a cycle in reset, after its first clock edge.
    pub(super) fn reset(&mut self, cycle: u64, core: &ManagerSignals) -> Result<(), Violation> {
        *self = Checker::default();
        let offers = [
            ("AR", core.read_address.is_some()),
            ("AW", core.write_address.is_some()),
            ("W", core.write_data.is_some()),
        ];
        match offers.into_iter().find(|(_, valid)| *valid) {
            Some((channel, _)) => Err(Violation {
                cycle,
                channel,
                rule: "VALID is low during reset",
                section: "A3.1.2",
                found: "VALID is high".to_owned(),
            }),
            None => Ok(()),
        }
    }
}

/// What is still pending after this cycle: an offer stays, unchanged, until it is accepted.
pub(crate) fn stable<T: Copy + PartialEq + std::fmt::Debug>(
    cycle: u64,
    channel: &'static str,
    pending: Option<T>,
    offered: Option<T>,
    ready: bool,
) -> Result<Option<T>, Violation> {
    if let Some(before) = pending {
        let broken = |rule, section, found| Err(Violation { cycle, channel, rule, section, found });
        match offered {
            None => {
                let rule = "VALID, once high, stays high until READY";
                return broken(rule, "A3.2.1", format!("VALID fell with {before:?} not accepted"));
            }
            Some(now) if now != before => {
                let rule = "the payload is stable while VALID waits for READY";
                return broken(rule, "A3.2.1", format!("{before:?} became {now:?}"));
            }
            Some(_) => {}
        }
    }
    Ok(if ready { None } else { offered })
}

/// Checks an address as it is accepted; `inside`: whether all of the burst is in the memory.
pub(super) fn address(
    cycle: u64,
    channel: &'static str,
    a: &Address,
    inside: bool,
    beat_bytes: u64,
) -> Result<(), Violation> {
    let bytes = a.beats() * beat_bytes;
    let end = a.address.wrapping_add(bytes);
    let rules = [
        (a.burst == INCR, "bursts are of type INCR (the only one the core uses)", "A3.4.1"),
        (1 << a.size.min(63) == beat_bytes, "a beat is as wide as the bus", "A3.4.1"),
        (a.address.is_multiple_of(beat_bytes), "addresses are multiples of the bus width", "A3.4.1"),
        (
            a.address / BOUNDARY == end.wrapping_sub(1) / BOUNDARY,
            "a burst does not cross a 4 KiB boundary",
            "A3.4.1",
        ),
        (inside, "the core accesses nothing outside the memory window", "A3.4.1"),
    ];
    match rules.into_iter().find(|(kept, ..)| !kept) {
        Some((_, rule, section)) => {
            Err(Violation { cycle, channel, rule, section, found: format!("{a:x?}, {bytes} bytes") })
        }
        None => Ok(()),
    }
}
