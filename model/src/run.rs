//! A network made ready for one number of time steps: validated, overrides applied, proven free of overflow.

use crate::cost::{self, Cost};
use crate::error::ModelError;
use crate::mask_rules::MaskRules;
use crate::network::{LayerId, Network, Reset, Schedule, SlotOrder};
use crate::proof::{self, Bounds};
use std::ops::Deref;

/// Largest number of time steps that the reference runs; hardware stops at [`isa::MAX_TIME_STEPS`].
pub const MAX_TIME_STEPS: u32 = 256;

/// How to run a network. What is `None` stays as the network has it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunOptions {
    /// T: 1 to [`MAX_TIME_STEPS`].
    pub time_steps: u32,
    /// When neurons fire, in all layers whose neurons reset by subtraction; those that reset to zero stay as they are.
    pub schedule: Option<Schedule>,
    /// Mask ratios that replace the network's; none leaves them.
    pub mask: MaskRules,
    /// Seed of all masks.
    pub seed: Option<u32>,
    /// Signed width that accumulators and membranes must fit: 16 to 32.
    pub membrane_bits: u32,
}

impl RunOptions {
    /// `time_steps`, a 24-bit membrane, and the rest as the network has it.
    pub fn new(time_steps: u32) -> RunOptions {
        RunOptions { time_steps, schedule: None, mask: MaskRules::default(), seed: None, membrane_bits: 24 }
    }
}

/// Into which time slots a layer's threshold steps fire (two_phase).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    /// A permutation of `0..T`: step `k` fires into `order[k]` for token index 0. The identity in layers that ignore
    /// it: those whose neurons fire in each step, and the readout.
    pub order: Vec<u32>,
    /// Slots by which each next token shifts, below T.
    pub rotate: u32,
}

impl Slots {
    /// The slot of threshold step `k` for a token: `(order[k] + rotate * index) mod T`, where `index` is the one that the
    /// [network](crate::network#token-order) defines.
    pub fn slot(&self, k: usize, index: usize) -> usize {
        (self.order[k] as usize + self.rotate as usize * index) % self.order.len()
    }
}

/// A network for one number of time steps: every shape and range checked, options applied, no sum can overflow.
///
/// It dereferences to the [`Network`] with its final values.
#[derive(Clone, Debug)]
pub struct Configured {
    network: Network,
    time_steps: u32,
    membrane_bits: u32,
    slots: Vec<Slots>,
    bounds: Vec<Bounds>,
    cost: Cost,
}

impl Configured {
    /// The network with other names of its classes: one a class, or none.
    ///
    /// # Panics
    /// If there are names, but not one a class.
    pub fn with_class_names(mut self, names: Vec<String>) -> Configured {
        assert!(names.is_empty() || names.len() == self.network.classes, "{} names", names.len());
        self.network.class_names = names;
        self
    }

    /// T.
    pub fn time_steps(&self) -> u32 {
        self.time_steps
    }

    /// Signed width that every sum was proven to fit.
    pub fn membrane_bits(&self) -> u32 {
        self.membrane_bits
    }

    /// Order and rotation of a layer's time slots.
    pub fn slots(&self, id: LayerId) -> &Slots {
        &self.slots[id.0]
    }

    /// What one image costs the reference.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Lowest and highest value that any sum of a layer can take.
    pub fn bounds(&self, id: LayerId) -> Bounds {
        self.bounds[id.0]
    }
}

impl Deref for Configured {
    type Target = Network;

    fn deref(&self) -> &Network {
        &self.network
    }
}

impl Network {
    /// Makes the network ready to run.
    ///
    /// # Errors
    /// If an option is out of range, a mask rule names what is not there, the network [does not validate](Network::validate), an explicit slot order does not fit
    /// T, a sum could leave the membrane, or an image [costs](cost) more than the limits.
    pub fn configure(&self, options: &RunOptions) -> Result<Configured, ModelError> {
        let time_steps = options.time_steps;
        if !(1..=MAX_TIME_STEPS).contains(&time_steps) {
            return Err(ModelError::Option {
                option: "--time-steps",
                found: time_steps.to_string(),
                allowed: "1 to 256",
            });
        }
        if !(16..=32).contains(&options.membrane_bits) {
            let found = options.membrane_bits.to_string();
            return Err(ModelError::Option { option: "--membrane-bits", found, allowed: "16 to 32" });
        }
        self.validate()?;
        if options.schedule == Some(Schedule::EachStep) && self.takes_the_or_of_two_phase() {
            return Err(ModelError::MaxPools);
        }
        let mut network = self.clone();
        network.seed = options.seed.unwrap_or(network.seed);
        for neuron in network.layers.iter_mut().filter_map(|layer| layer.neuron.as_mut()) {
            if neuron.reset == Reset::Subtract {
                neuron.schedule = options.schedule.unwrap_or(neuron.schedule);
            }
        }
        options.mask.apply(&mut network)?;
        let cost = cost::check(&network, time_steps)?;
        let slots =
            (0..network.layers.len()).map(|i| slots(&network, i, time_steps)).collect::<Result<_, _>>()?;
        let bounds = proof::prove(&network, time_steps, options.membrane_bits)?;
        Ok(Configured { network, time_steps, membrane_bits: options.membrane_bits, slots, bounds, cost })
    }

    /// Whether a layer with hard reset, which is a max pool, reads one whose neurons fire after all drives.
    fn takes_the_or_of_two_phase(&self) -> bool {
        let pools =
            self.layers.iter().filter(|layer| layer.neuron.is_some_and(|neuron| neuron.reset == Reset::Zero));
        let two_phase = |id: &LayerId| self.layer(*id).schedule() == Some(Schedule::AfterAll);
        pools.flat_map(|layer| layer.operation.reads()).any(|id| two_phase(&id))
    }
}

fn slots(network: &Network, index: usize, time_steps: u32) -> Result<Slots, ModelError> {
    let layer = &network.layers[index];
    let order = match layer.schedule() {
        Some(Schedule::EachStep) | None => (0..time_steps).collect(),
        Some(Schedule::AfterAll) => {
            layer.order.permutation(time_steps).ok_or_else(|| ModelError::SlotOrder {
                index,
                layer: layer.name.clone(),
                found: explicit_entries(&layer.order),
                fits: fitting(&layer.order),
                time_steps,
            })?
        }
    };
    Ok(Slots { order, rotate: layer.rotate % time_steps })
}

fn explicit_entries(order: &SlotOrder) -> usize {
    if let SlotOrder::Explicit(entries) = order { entries.len() } else { 0 }
}

/// The number of time steps that an explicit order is a permutation of, if a network can run that many.
fn fitting(order: &SlotOrder) -> Option<u32> {
    let entries = u32::try_from(explicit_entries(order)).ok()?;
    ((1..=MAX_TIME_STEPS).contains(&entries) && order.permutation(entries).is_some()).then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotation_shifts_slots_around() {
        let slots = Slots { order: vec![2, 0, 1], rotate: 2 };
        assert_eq!([0, 1, 2].map(|k| slots.slot(k, 5)), [0, 1, 2]);
    }
}
