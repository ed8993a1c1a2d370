//! The performance counters of a core: their names, registers and meanings in one list.

use crate::registers;
use serde::{Deserialize, Serialize};
use std::ops::AddAssign;

/// Hands the list to a macro: the field of [`Counters`], the register, its offset, what is counted.
macro_rules! with_counters {
    ($then:ident) => {
        $then! {
            busy_cycles @ COUNT_BUSY 0x080 "Clock cycles in which a run was in progress.";
            events @ COUNT_EVENTS 0x084 "Events that the lanes accumulated.";
            spikes @ COUNT_SPIKES 0x088 "Spikes transmitted (after masking).";
            stall_weights @ COUNT_STALL_WEIGHTS 0x08c "Cycles without an event because the next job's parameters or matrix were not loaded.";
            stall_inputs @ COUNT_STALL_INPUTS 0x090 "Cycles without an event because no input row was loaded.";
            stall_fire @ COUNT_STALL_FIRE 0x094 "Cycles in which an event waited for threshold steps of earlier tokens.";
            stall_output @ COUNT_STALL_OUTPUT 0x098 "Cycles in which threshold steps waited for the output path.";
            stall_order @ COUNT_STALL_ORDER 0x09c "Cycles without an event between layers, until the layers read from had completed.";
            stall_switch @ COUNT_STALL_SWITCH 0x0a0 "Cycles without an event while a job drained and the next one's parameters entered the lanes.";
            null_events @ COUNT_NULL_EVENTS 0x0a4 "Cycles spent on a row (a token's chunk of 8 steps, or its time step for `if`) without any active input.";
            read_beats @ COUNT_READ_BEATS 0x0a8 "Data beats read from memory.";
            write_beats @ COUNT_WRITE_BEATS 0x0ac "Data beats written to memory.";
        }
    };
}
pub(crate) use with_counters;

/// One performance counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Field of [`Counters`], and name in JSON.
    pub name: &'static str,
    /// Name of its register: `COUNT_` and what is counted.
    pub register: &'static str,
    /// Byte offset of its register.
    pub offset: u32,
    /// What is counted.
    pub doc: &'static str,
}

impl Counter {
    /// What is counted, in lower case, as signals have it: `busy`, `stall_weights`.
    pub fn signal(&self) -> String {
        self.register.trim_start_matches("COUNT_").to_lowercase()
    }
}

macro_rules! counters {
    ($($name:ident @ $register:ident $offset:literal $doc:literal;)*) => {
        /// Every counter, by offset of its register.
        pub const COUNTERS: &[Counter] = &[
            $(Counter { name: stringify!($name), register: stringify!($register), offset: registers::$register, doc: $doc },)*
        ];

        /// What a core counted since its counters were last cleared. The hardware counts 32 bits and wraps around; sums over
        /// several runs are 64 bits wide.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Counters {
            $(#[doc = $doc] pub $name: u64,)*
        }

        impl Counters {
            /// Reads every counter; `register` reads the one at an offset.
            ///
            /// # Errors
            /// The first that `register` reports.
            pub fn read<E>(mut register: impl FnMut(u32) -> Result<u32, E>) -> Result<Counters, E> {
                Ok(Counters { $($name: u64::from(register(registers::$register)?),)* })
            }

            /// Every counter with its value, in the order of [`COUNTERS`].
            pub fn values(&self) -> impl Iterator<Item = (&'static Counter, u64)> {
                COUNTERS.iter().zip([$(self.$name),*])
            }

            /// What was counted beyond `earlier`, counter by counter; 0 where `earlier` counted more.
            pub fn beyond(&self, earlier: &Counters) -> Counters {
                Counters { $($name: self.$name.saturating_sub(earlier.$name),)* }
            }
        }

        impl AddAssign for Counters {
            fn add_assign(&mut self, other: Counters) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

with_counters!(counters);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_read_from_its_register_under_its_name() {
        let counters = Counters::read(|offset| Ok::<_, ()>(offset + 1)).unwrap();
        for (counter, value) in counters.values() {
            assert_eq!(value, u64::from(counter.offset) + 1, "{}", counter.name);
            let register = registers::REGISTERS.iter().find(|register| register.offset == counter.offset);
            assert_eq!(register.map(|register| register.name), Some(counter.register));
        }
        let registers = registers::REGISTERS.iter().filter(|register| register.name.starts_with("COUNT_"));
        assert_eq!(registers.count(), COUNTERS.len());
    }
}
