//! The core's performance counters.

use crate::link::{Link, LinkError};
use isa::registers;
use serde::{Deserialize, Serialize};
use std::ops::AddAssign;

macro_rules! counters {
    ($($name:ident @ $register:ident $doc:literal;)*) => {
        /// What the core counted since its counters were last cleared. The hardware counts 32 bits and wraps around; sums over
        /// several runs are 64 bits wide.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Counters {
            $(#[doc = $doc] pub $name: u64,)*
        }

        impl Counters {
            /// Reads every counter.
            ///
            /// # Errors
            /// What the link reports.
            pub fn read(link: &mut impl Link) -> Result<Counters, LinkError> {
                Ok(Counters { $($name: u64::from(link.read_register(registers::$register)?),)* })
            }
        }

        impl AddAssign for Counters {
            fn add_assign(&mut self, other: Counters) {
                $(self.$name += other.$name;)*
            }
        }

        impl Counters {
            /// What was counted beyond `earlier`, counter by counter; 0 where `earlier` counted more.
            pub fn beyond(&self, earlier: &Counters) -> Counters {
                Counters { $($name: self.$name.saturating_sub(earlier.$name),)* }
            }
        }
    };
}

counters! {
    busy_cycles @ COUNT_BUSY "Clock cycles in which a run was in progress.";
    events @ COUNT_EVENTS "Events that the lanes accumulated.";
    spikes @ COUNT_SPIKES "Spikes transmitted (after masking).";
    stall_weights @ COUNT_STALL_WEIGHTS "Cycles without an event because parameters or matrix were not loaded.";
    stall_inputs @ COUNT_STALL_INPUTS "Cycles without an event because no input row was loaded.";
    stall_fire @ COUNT_STALL_FIRE "Cycles in which an event waited for threshold steps of earlier tokens.";
    stall_output @ COUNT_STALL_OUTPUT "Cycles in which threshold steps waited for the output path.";
    stall_order @ COUNT_STALL_ORDER "Cycles without an event between layers, until the layers read from had completed.";
    stall_switch @ COUNT_STALL_SWITCH "Cycles without an event while one job drained and the next one's parameters entered.";
    null_events @ COUNT_NULL_EVENTS "Cycles spent on a row (a token's chunk of 8 steps, or its time step for `if`) without any active input.";
    read_beats @ COUNT_READ_BEATS "Data beats read from memory.";
    write_beats @ COUNT_WRITE_BEATS "Data beats written to memory.";
}

impl Counters {
    /// Share of the busy cycles that accumulated an event: 0 to 1, and 0 for a core that was never busy.
    pub fn useful(&self) -> f64 {
        if self.busy_cycles == 0 { 0.0 } else { self.events as f64 / self.busy_cycles as f64 }
    }
}
