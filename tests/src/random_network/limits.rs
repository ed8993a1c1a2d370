//! Networks whose sums reach the ends of the membrane's range, for membranes of any width.
//!
//! An ordinary network keeps its sums well inside the range, so no bit at its end is ever looked at. Here most neurons get weights, bias, threshold and
//! initial membrane such that the overflow proof is met exactly: their highest sum is 2^(b-1) - 1, or their lowest -2^(b-1). Many of
//! them have no weights, or weights that lead away from that end, so that the sum is there whenever the inputs are silent. Others come
//! close to a threshold that lies at an end itself.

use super::Case;
use crate::random::Random;
use isa::Schedule;
use model::network::{Layer, Neuron, Operation, Reset, Walk, Weights};

/// Width for which ordinary networks are drawn.
pub const ORDINARY_BITS: u32 = 24;

impl Case {
    /// The case of a seed for a core whose membrane has this many bits: every third one is [at the limits](Case::at_the_limits), all of
    /// them if it is narrower than ordinary networks are drawn for.
    pub fn of_width(seed: u64, size: u32, membrane_bits: u32) -> Case {
        if seed % 3 == 2 || membrane_bits < ORDINARY_BITS {
            Case::at_the_limits(seed, size, membrane_bits)
        } else {
            Case::ordinary(seed, size)
        }
    }

    /// The ordinary case of a seed, with sums from one end of the membrane's range to the other.
    pub fn at_the_limits(seed: u64, size: u32, membrane_bits: u32) -> Case {
        let mut case = Case::ordinary(seed, size);
        case.options.membrane_bits = membrane_bits;
        let half = 1i64 << (membrane_bits - 1);
        let mut limits = Limits {
            random: Random(!seed),
            low: -half,
            high: half - 1,
            steps: case.options.time_steps.into(),
        };
        for index in 0..case.network.layers.len() {
            let inputs = match case.network.layers[index].operation {
                Operation::Scores { query, heads, .. } => case.network.layer(query).channels / heads,
                _ => 0,
            };
            let layer = &mut case.network.layers[index];
            let neuron = layer.neuron.map(|neuron| match neuron.reset {
                Reset::Subtract => {
                    Neuron { schedule: case.options.schedule.unwrap_or(neuron.schedule), ..neuron }
                }
                Reset::Zero => neuron,
            });
            limits.layer(layer, neuron, inputs);
        }
        if limits.random.chance(1, 4) {
            case.options.seed = Some(limits.random.pick(&[0, 1, u32::MAX]));
        }
        case
    }
}

/// How a neuron sums up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// All time steps at once, from `T * bias + v0` on.
    Merged,
    /// One drive, which the membrane takes T times.
    Constant,
    /// A drive a time step, with a threshold step after each.
    Stepwise(Reset),
    /// All time steps and tokens at once, without a neuron.
    Logit,
}

/// What the inputs can add to a neuron's sum in one time step (a logit's: of all tokens).
#[derive(Clone, Copy, Debug)]
struct Terms {
    kind: Kind,
    low: i64,
    high: i64,
}

/// What a neuron is given besides its weights.
#[derive(Clone, Copy, Debug)]
struct Parameters {
    bias: i64,
    theta: i64,
    v0: i64,
}

/// Where a neuron's sums are to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    High,
    Low,
    Threshold,
}

struct Limits {
    random: Random,
    /// The least value that the membrane holds.
    low: i64,
    /// The greatest.
    high: i64,
    /// T.
    steps: i64,
}

impl Limits {
    /// `inputs` is the head size of `scores`.
    fn layer(&mut self, layer: &mut Layer, neuron: Option<Neuron>, inputs: usize) {
        let kind = match neuron {
            None => Kind::Logit,
            Some(Neuron { schedule: Schedule::EachStep, reset, .. }) => Kind::Stepwise(reset),
            Some(_) if layer.operation.reads_image() => Kind::Constant,
            Some(_) => Kind::Merged,
        };
        let tokens = layer.grid.tokens() as i64;
        let most = match kind {
            Kind::Logit => tokens,
            _ if layer.operation.reads_image() => 255,
            _ => 1,
        };
        let channels = layer.channels;
        let Layer { operation, theta, v0, walk, .. } = layer;
        match operation {
            Operation::Linear { terms, bias } => {
                for n in 0..channels {
                    let weights = terms.iter_mut().flat_map(|term| {
                        let factor = most << term.shift;
                        let weights: Box<dyn Iterator<Item = &mut i8>> = match &mut term.weights {
                            Weights::Dense(data) => {
                                let inputs = data.len() / channels;
                                Box::new(data[n * inputs..][..inputs].iter_mut())
                            }
                            Weights::Diagonal(gains) => Box::new(gains[n..].iter_mut().step_by(channels)),
                        };
                        weights.map(move |weight| (weight, factor))
                    });
                    let neuron = if kind == Kind::Logit { None } else { Some((&mut theta[n], &mut v0[n])) };
                    self.neuron(kind, weights.collect(), (&mut bias[n], neuron));
                }
            }
            Operation::Scores { heads, bias, fraction, .. } => {
                let terms = self.coincidences(kind, inputs, fraction);
                let positions = bias.len() / *heads;
                for (head, bias) in bias.chunks_exact_mut(positions).enumerate() {
                    self.score(terms, bias, (&mut theta[head], &mut v0[head]));
                }
            }
            Operation::Context { fraction, .. } => {
                let tokens = if let Walk::Windows(windows) = walk { windows.tokens() } else { 0 };
                let terms = self.coincidences(kind, tokens, fraction);
                for (theta, v0) in theta.iter_mut().zip(v0) {
                    self.context(terms, theta, v0);
                }
            }
        }
    }

    /// Up to `most` coincidences, with as large a fraction as leaves room for a threshold.
    fn coincidences(&self, kind: Kind, most: usize, fraction: &mut u32) -> Terms {
        let most = most as i64;
        while *fraction > 0 && self.times(kind) * (most << *fraction) > self.high / 2 {
            *fraction -= 1;
        }
        Terms { kind, low: 0, high: most << *fraction }
    }

    /// How often the inputs of a time step count.
    fn times(&self, kind: Kind) -> i64 {
        if matches!(kind, Kind::Stepwise(_)) { 1 } else { self.steps }
    }

    /// A neuron with its weights, each with the largest number that it is multiplied by.
    fn neuron(
        &mut self,
        kind: Kind,
        mut weights: Vec<(&mut i8, i64)>,
        (bias, neuron): (&mut i32, Option<(&mut i32, &mut i32)>),
    ) {
        let aim = self.random.pick(&[Aim::High, Aim::High, Aim::Low, Aim::Threshold]);
        let style = self.random.between(0, 4);
        for (weight, _) in &mut weights {
            let size = weight.unsigned_abs().min(127) as i8;
            **weight = match (style, aim) {
                (0, _) => 0,
                (4, _) => self.random.pick(&[i8::MIN, i8::MAX, i8::MAX, 0]),
                (1 | 2, Aim::High) if **weight == i8::MIN => i8::MIN,
                (1 | 2, Aim::High) => -size,
                (1 | 2, Aim::Low) => size,
                _ => **weight,
            };
        }
        let mut at = self.random.size(0, weights.len() - 1);
        let sum = |sign: i64| {
            let weights = weights.iter().map(|(weight, most)| i64::from(**weight) * most);
            weights.filter(|weight| weight * sign > 0).sum::<i64>()
        };
        let mut terms = Terms { kind, low: sum(-1), high: sum(1) };
        // Until they are not too many for this membrane.
        while self.times(kind) * (terms.high - terms.low) > self.high / 2 {
            let (weight, most) = &mut weights[at];
            let removed = i64::from(**weight) * *most;
            *(if removed < 0 { &mut terms.low } else { &mut terms.high }) -= removed;
            **weight = 0;
            at = (at + 1) % weights.len();
        }
        let own = neuron.is_some();
        let found = self.parameters(terms, aim, own, &|_| true);
        *bias = found.bias as i32;
        if let Some((theta, v0)) = neuron {
            (*theta, *v0) = (found.theta as i32, found.v0 as i32);
        }
    }

    /// A head of scores: its accumulators start from rows of 16 bits.
    fn score(&mut self, terms: Terms, bias: &mut [i32], (theta, v0): (&mut i32, &mut i32)) {
        let steps = self.steps;
        let row = move |p: &Parameters| {
            let start = if terms.kind == Kind::Merged { steps * p.bias + p.v0 } else { p.bias };
            i16::try_from(start).is_ok()
        };
        let first = self.parameters(terms, Aim::High, true, &row);
        (*theta, *v0) = (first.theta as i32, first.v0 as i32);
        for bias in bias {
            let aim = self.random.pick(&[Aim::High, Aim::Low, Aim::Threshold]);
            let found = self.bias(terms, aim, first, &row).unwrap_or(first);
            *bias = found.bias as i32;
        }
    }

    /// A neuron of `context`, which has no bias: its initial membrane leads to an end.
    fn context(&mut self, terms: Terms, theta: &mut i32, v0: &mut i32) {
        let aim = self.random.pick(&[Aim::High, Aim::High, Aim::Low, Aim::Threshold]);
        let reach = self.times(terms.kind) * terms.high;
        let tries = [(); 8].map(|()| Parameters { theta: self.threshold(reach), ..Self::small(terms) });
        let found = tries.into_iter().find(|found| self.fits(terms, found));
        let found = found.unwrap_or(Self::small(terms));
        let wanted = match aim {
            Aim::High => self.high,
            Aim::Low => self.low,
            Aim::Threshold => found.theta - self.random.between(0, reach),
        };
        let fits = |v0| self.fits(terms, &Parameters { v0, ..found });
        (*theta, *v0) = (found.theta as i32, furthest(0, wanted, fits) as i32);
    }

    /// Threshold, initial membrane and bias that fit the membrane exactly where they can; `allowed` says which do.
    fn parameters(
        &mut self,
        terms: Terms,
        aim: Aim,
        has_neuron: bool,
        allowed: &dyn Fn(&Parameters) -> bool,
    ) -> Parameters {
        let reach = self.times(terms.kind) * (terms.high - terms.low);
        for _ in 0..20 {
            let (theta, v0) =
                if has_neuron { (self.threshold(reach), self.initial(terms.kind, aim)) } else { (1, 0) };
            let start = Parameters { bias: 0, theta, v0 };
            if let Some(found) = self.bias(terms, aim, start, allowed) {
                return if has_neuron { self.exact(terms, aim, found, allowed) } else { found };
            }
        }
        Self::small(terms)
    }

    /// The bias that leads to the aim, or as far towards it as fits; `None` if no bias fits.
    fn bias(
        &mut self,
        terms: Terms,
        aim: Aim,
        start: Parameters,
        allowed: &dyn Fn(&Parameters) -> bool,
    ) -> Option<Parameters> {
        let times = self.times(terms.kind);
        let wanted = match aim {
            Aim::High => self.high,
            Aim::Low => self.low,
            Aim::Threshold => {
                let (least, most) = (times * terms.low, times * terms.high);
                (start.theta - start.v0 - self.random.between(least, most)) / times
            }
        };
        let with = |bias| Parameters { bias, ..start };
        let fits = |bias| self.fits(terms, &with(bias)) && allowed(&with(bias));
        // Where the sums lie in the middle, if not there then where they begin.
        let middle = -(terms.low + terms.high) / 2;
        let balanced = -start.v0 / times;
        let from = [0, middle, balanced, middle + balanced].into_iter().find(|&bias| fits(bias))?;
        Some(with(furthest(from, wanted, fits)))
    }

    /// Moves the initial membrane by what is left between the sums and their end.
    fn exact(
        &self,
        terms: Terms,
        aim: Aim,
        found: Parameters,
        allowed: &dyn Fn(&Parameters) -> bool,
    ) -> Parameters {
        let (low, high) = self.extremes(terms, &found);
        let moved = match aim {
            Aim::High => Parameters { v0: found.v0 + (self.high - high), ..found },
            Aim::Low => Parameters { v0: found.v0 + (self.low - low), ..found },
            Aim::Threshold => found,
        };
        if self.fits(terms, &moved) && allowed(&moved) { moved } else { found }
    }

    /// A threshold: often an end or a power of two near it, or just below the highest sum.
    fn threshold(&mut self, reach: i64) -> i64 {
        let quarter = (self.high + 1) / 2;
        let near = self.high - self.random.between(0, reach.max(1));
        let share = self.high / self.random.between(1, 2 * self.steps);
        let any = 1 << self.random.between(0, i64::from(self.high.ilog2()));
        let choices = [self.high, quarter - 1, quarter, quarter + 1, near, share, any, 1];
        self.random.pick(&choices).clamp(1, self.high)
    }

    /// An initial membrane: often an end or near it.
    fn initial(&mut self, kind: Kind, aim: Aim) -> i64 {
        let any = (1 << self.random.between(0, i64::from(self.high.ilog2()))) - 1;
        let size = self.random.pick(&[self.high, self.high - 1, (self.high + 1) / 2, any, 0]);
        // The accumulator of a neuron that sums up all at once starts from it: it must lead towards the end.
        let towards = kind == Kind::Merged && aim != Aim::Threshold && self.random.chance(3, 4);
        let negative = if towards { aim == Aim::Low } else { self.random.chance(1, 2) };
        if negative { -size - 1 } else { size }
    }

    /// Sums that fit whatever else does not: none is negative or larger than half of the range.
    fn small(terms: Terms) -> Parameters {
        Parameters { bias: -terms.low, theta: (terms.high - terms.low).max(1), v0: 0 }
    }

    fn fits(&self, terms: Terms, parameters: &Parameters) -> bool {
        let (low, high) = self.extremes(terms, parameters);
        self.low <= low && high <= self.high && i32::try_from(parameters.bias).is_ok()
    }

    /// Lowest and highest value that accumulator and membrane can take, as the overflow proof has them.
    fn extremes(&self, terms: Terms, &Parameters { bias, theta, v0 }: &Parameters) -> (i64, i64) {
        let (low, high) = (terms.low + bias, terms.high + bias);
        let steps = self.steps;
        let (low, high) = match terms.kind {
            Kind::Logit => return (steps * low, steps * high),
            Kind::Merged => (steps * low + v0.min(0), steps * high + v0.max(0)),
            Kind::Constant => {
                let (sunk, risen) = (steps * low.min(0) + v0.min(0), steps * high.max(0) + v0.max(0));
                (low.min(sunk), high.max(risen))
            }
            Kind::Stepwise(reset) => {
                let sink = low.min(0);
                let sunk = (v0 + steps * sink).min((steps - 1) * sink);
                let (mut v, mut risen) = (v0, v0);
                for _ in 0..steps {
                    let u = v + high;
                    let left = if reset == Reset::Zero { 0 } else { u - theta };
                    v = if u < theta { u } else { left.max(theta - 1) };
                    risen = risen.max(u).max(v);
                }
                (low.min(sunk), high.max(risen))
            }
        };
        (low.min(v0), high.max(v0).max(theta))
    }
}

/// The last number from `from`, which fits, towards `to` that fits.
pub fn furthest(from: i64, to: i64, mut fits: impl FnMut(i64) -> bool) -> i64 {
    let (mut good, mut bad) = (from, to);
    if fits(to) {
        return to;
    }
    while (bad - good).abs() > 1 {
        let middle = good + (bad - good) / 2;
        *(if fits(middle) { &mut good } else { &mut bad }) = middle;
    }
    good
}
