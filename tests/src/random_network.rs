//! Random networks, images and run options that a core can run: the stimuli of every differential test.
//!
//! A [`Case`] is a function of seed, size and membrane width alone, so a failure is reproduced by printing three numbers, and shrinking
//! lowers `size`. Networks start with a layer that reads the image, end with a readout, satisfy the overflow proof at that width and the limits
//! of a core with 512 weight rows and 64 bias rows; one with fewer partial sums refuses some of them. Their size bounds a cosimulation with 8
//! lanes to about `12,000 * size` cycles. Of two in three, thresholds and biases are drawn so that neurons spike at all rates from never to always;
//! of the third the sums reach the ends of the membrane's range.
//!
//! What the layers of many networks have among them, [`coverage`](crate::coverage) counts.

mod attention;
mod builder;
mod everything;
mod first;
mod limits;
mod linear;
mod stretched;
mod taps;

use crate::random::Random;
use builder::Builder;
use isa::Schedule;
pub use limits::furthest;
use model::network::{Network, Reset};
use model::{Configured, MaskRatio, RunOptions};
use proptest::strategy::Strategy;
use std::ops::RangeInclusive;
use stretched::Shape;

/// Largest `size` of a case: up to about 100,000 cycles.
pub const MAX_SIZE: u32 = 8;

/// A network, an image for it, and how to run it.
#[derive(Clone)]
pub struct Case {
    /// First argument of [`Case::of_width`].
    pub seed: u64,
    /// Second argument of [`Case::of_width`].
    pub size: u32,
    /// The network.
    pub network: Network,
    /// One image.
    pub image: Vec<u8>,
    /// Time steps, mode and masks.
    pub options: RunOptions,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let layers: Vec<&str> = self.network.layers.iter().map(|layer| layer.name.as_str()).collect();
        let bits = self.options.membrane_bits;
        write!(f, "Case::of_width({}, {}, {bits}): {layers:?}, {:?}", self.seed, self.size, self.options)
    }
}

impl Case {
    /// The case of a seed for a core with 24-bit membranes; `size` is 1 to [`MAX_SIZE`].
    pub fn random(seed: u64, size: u32) -> Case {
        Case::of_width(seed, size, limits::ORDINARY_BITS)
    }

    /// A case whose sums lie well inside the range of 24 bits.
    pub fn ordinary(seed: u64, size: u32) -> Case {
        let mut random = Random(seed);
        let most = if random.chance(3, 4) { 16 } else { 64 };
        let time_steps = random.between(1, most);
        let mut options = RunOptions::new(time_steps as u32);
        if random.chance(1, 4) {
            options.schedule = Some(random.pick(&[Schedule::EachStep, Schedule::AfterAll]));
        }
        if random.chance(1, 6) {
            options.mask = MaskRatio(random.pick(&[0, 1, 128, 255])).into();
        }
        options.seed = random.chance(1, 2).then(|| random.bits() as u32);
        let budget = f64::from(size) * 12_000.0;
        let mut builder = Builder::new(random, Shape::Ordinary, time_steps as usize, budget);
        builder.steps(size);
        let Builder { network, image, .. } = builder;
        let resets = network.layers.iter().any(|layer| layer.neuron.is_some_and(|n| n.reset == Reset::Zero));
        if resets {
            // A max pool after neurons of another schedule would be no maximum.
            options.schedule = None;
        }
        Case { seed, size, network, image, options }
    }

    /// The network made ready to run.
    ///
    /// # Panics
    /// If it does not configure, which is a defect of the generator.
    pub fn configure(&self) -> Configured {
        self.network.configure(&self.options).unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }
}

/// Cases of all sizes.
pub fn cases() -> impl Strategy<Value = Case> {
    cases_up_to(MAX_SIZE)
}

/// Cases up to a size, for slow checks.
pub fn cases_up_to(size: u32) -> impl Strategy<Value = Case> {
    (proptest::num::u64::ANY.no_shrink(), 1..=size).prop_map(|(seed, size)| Case::random(seed, size))
}

/// Cases of all sizes whose sums reach the ends of membranes of these widths.
pub fn cases_at_the_limits(bits: RangeInclusive<u32>) -> impl Strategy<Value = Case> {
    (proptest::num::u64::ANY.no_shrink(), 1..=MAX_SIZE, bits)
        .prop_map(|(seed, size, bits)| Case::at_the_limits(seed, size, bits))
}
