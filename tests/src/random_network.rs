//! Random networks, images and run options that a core can run: the stimuli of every differential test.
//!
//! A [`Case`] is a function of seed, size and membrane width alone, so a failure is reproduced by printing three numbers, and shrinking
//! lowers `size`. Networks start with an analog layer, end with a readout, satisfy the overflow proof at that width and the limits
//! of a core with 512 inputs, 512 weight rows and 64 bias rows. Their size bounds a cosimulation with 8 lanes to about
//! `12,000 * size` cycles. Of two in three, thresholds and biases are drawn so that neurons spike at all rates from never to always;
//! of the third the sums reach the ends of the membrane's range.

mod limits;
mod stretched;

use crate::random::Random;
use isa::{Axis, Schedule, Taps};
pub use limits::furthest;
use model::network::{
    Grid, ImageShape, Layer, LayerId, Mask, Network, Neuron, Operation, SlotOrder, Source, Term, Walk,
    Weights, Windows,
};
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
        let time_steps = if random.chance(3, 4) { random.between(1, 16) } else { random.between(1, 40) };
        let mut options = RunOptions::new(time_steps as u32);
        if random.chance(1, 3) {
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

struct Builder {
    random: Random,
    shape: Shape,
    network: Network,
    image: Vec<u8>,
    time_steps: usize,
    /// Cycles that may still be spent.
    budget: f64,
    /// Mean of each layer's inputs to others: spikes a time step.
    rates: Vec<f64>,
}

/// Where and how a layer is evaluated.
#[derive(Clone, Copy)]
struct Place {
    grid: Grid,
    walk: Walk,
    neuron: Neuron,
}

/// Numbers of a linear sum: `inputs` for each of `outputs`.
struct Matrix {
    outputs: usize,
    inputs: usize,
    data: Vec<i8>,
}

impl Matrix {
    /// Columns `range`, output by output.
    fn columns(&self, range: std::ops::Range<usize>) -> Vec<i8> {
        self.data.chunks_exact(self.inputs).flat_map(|row| &row[range.clone()]).copied().collect()
    }

    /// Columns `range`, column by column.
    fn transposed(&self, range: std::ops::Range<usize>) -> Vec<i8> {
        range.flat_map(|i| (0..self.outputs).map(move |o| self.data[o * self.inputs + i])).collect()
    }
}

/// Patch merging: the four tokens of a square.
const MERGE: Taps = Taps::square(2, 2, 0);

/// Share of the membrane that one term of a sum may take.
const ROOM: f64 = (1 << 23) as f64 / 4.0;

impl Builder {
    fn new(random: Random, shape: Shape, time_steps: usize, budget: f64) -> Builder {
        let image = ImageShape { height: 1, width: 1, channels: 1 };
        let network = Network::new("random", image, 1, Vec::new(), 1);
        Builder { random, shape, network, image: Vec::new(), time_steps, budget, rates: Vec::new() }
    }

    fn steps(&mut self, size: u32) {
        self.network.seed = self.random.bits() as u32;
        let mut current = self.analog();
        let mut stream = vec![current];
        for _ in 0..self.random.size(0, 1 + size as usize / 2) {
            match self.random.between(0, 5) {
                0 => {
                    current = self.dense(current, None, Taps::TOKEN);
                    stream = vec![current];
                }
                1 => {
                    let channels = self.network.layer(stream[0]).channels;
                    current = self.dense(current, Some(channels), Taps::TOKEN);
                    stream.push(current);
                }
                2 => current = self.shortcut(&stream),
                3 | 4 => {
                    if let Some(output) = self.attention(current, stream[0]) {
                        current = output;
                        stream.push(output);
                    }
                }
                _ => {
                    let Layer { grid, channels, .. } = *self.network.layer(current);
                    if grid.rows % 2 == 0 && grid.columns % 2 == 0 && channels <= 75 {
                        current = self.dense(current, None, MERGE);
                        stream = vec![current];
                    }
                }
            }
        }
        self.readout(current);
    }

    /// Cycles of a layer at 8 lanes.
    fn cost(&self, tokens: usize, channels: usize, fan_in: usize, neuron: Neuron) -> f64 {
        let active = match neuron.schedule {
            Schedule::AfterAll => 1.6 * self.time_steps.div_ceil(8) as f64,
            Schedule::EachStep => 0.5 * self.time_steps as f64,
        };
        (tokens * channels.div_ceil(8)) as f64 * (fan_in as f64 * active).max(self.time_steps as f64)
    }

    /// A number of channels that leaves most of the budget, mostly small.
    fn channels(&mut self, tokens: usize, fan_in: usize, neuron: Neuron) -> usize {
        if self.shape == Shape::Wide {
            return self.wide_channels(fan_in);
        }
        let tile = self.cost(tokens, 1, fan_in, neuron);
        let most = (self.budget * 0.3 / tile).clamp(1.0, 37.0) * 8.0;
        (most.powf(self.random.unit()) as usize).clamp(1, 300)
    }

    fn neuron(&mut self) -> Neuron {
        self.random.pick(&[Neuron::IF, Neuron::TWO_PHASE, Neuron::TWO_PHASE])
    }

    /// A grid, and the largest kernel of the patches on it.
    fn grid(&mut self) -> (Grid, usize) {
        if self.shape != Shape::Ordinary {
            return (self.stretched_grid(), 1);
        }
        let size = self.random.size(2, 8);
        let windows = 8 / size;
        let grid = if self.random.chance(2, 3) {
            Grid { rows: size * self.random.size(1, windows), columns: size * self.random.size(1, windows) }
        } else {
            Grid { rows: self.random.size(1, 8), columns: self.random.size(1, 8) }
        };
        (grid, 5)
    }

    fn analog(&mut self) -> LayerId {
        let (grid, most) = self.grid();
        let kernel = self.random.size(1, most);
        let mut patch = Axis {
            kernel,
            stride: self.random.size(1, kernel + 1),
            padding: self.random.size(0, kernel - 1),
        };
        let least = |patches: usize| (patches - 1) * patch.stride + kernel;
        let (height, width) = (least(grid.rows), least(grid.columns));
        if height.min(width) <= 2 * patch.padding {
            patch.padding = 0;
        }
        let mut slack = || self.random.size(0, patch.stride - 1);
        let (height, width) = (height - 2 * patch.padding + slack(), width - 2 * patch.padding + slack());
        let image = ImageShape { height, width, channels: self.random.size(1, 3) };
        self.network.image = image;
        let brightest = self.random.pick(&[0, 1, 60, 255, 255, 255]);
        let sparse = self.random.pick(&[1, 2, 5]);
        let image_bytes = (0..image.bytes())
            .map(|_| if self.random.chance(1, sparse) { self.random.between(0, brightest) as u8 } else { 0 });
        self.image = image_bytes.collect();

        let fan_in = kernel * kernel * image.channels;
        let neuron = self.neuron();
        let channels = self.channels(grid.tokens(), fan_in, neuron);
        let largest = (ROOM / (self.time_steps * fan_in * 255) as f64).clamp(1.0, 127.0) as i64;
        let weights = self.weights(channels, fan_in, largest);
        let mean = self.image.iter().map(|&p| f64::from(p)).sum::<f64>() / self.image.len() as f64;
        let (theta, bias, rate) = self.thresholds(&weights, mean, 128.0);
        let place = Place { grid, walk: Walk::Raster, neuron };
        let term = Term {
            source: Source::Image,
            taps: Taps { rows: patch, columns: patch },
            weights: Weights::Dense(weights.data),
            shift: 0,
        };
        self.push("analog", Operation::Linear { terms: vec![term], bias }, channels, place, theta, rate)
    }

    fn dense(&mut self, input: LayerId, channels: Option<usize>, taps: Taps) -> LayerId {
        let grid = taps.grid(self.network.layer(input).grid).expect("the caller has looked");
        let neuron = self.neuron();
        self.dense_at(input, channels, taps, Place { grid, walk: Walk::Raster, neuron })
    }

    fn dense_at(&mut self, input: LayerId, channels: Option<usize>, taps: Taps, place: Place) -> LayerId {
        let fan_in = self.network.layer(input).channels * taps.count();
        let channels = channels.unwrap_or_else(|| self.channels(place.grid.tokens(), fan_in, place.neuron));
        let weights = self.weights(channels, fan_in, 127);
        let (theta, bias, rate) = self.thresholds(&weights, self.rates[input.0], 0.5);
        let term = Term { taps, ..Term::dense(input, weights.data) };
        let operation = Operation::Linear { terms: vec![term], bias };
        self.push("dense", operation, channels, place, theta, rate)
    }

    fn shortcut(&mut self, stream: &[LayerId]) -> LayerId {
        let most = self.random.pick(&[1, 3, 16]);
        let inputs: Vec<LayerId> = (0..self.random.size(1, most)).map(|_| self.random.pick(stream)).collect();
        let Layer { grid, channels, .. } = *self.network.layer(stream[0]);
        let by_channel = self.weights(channels, inputs.len(), 127);
        let rate = inputs.iter().map(|id| self.rates[id.0]).sum::<f64>() / inputs.len() as f64;
        let (theta, bias, rate) = self.thresholds(&by_channel, rate, 0.5);
        let term = |(k, &id): (usize, &LayerId)| Term::diagonal(id, by_channel.transposed(k..k + 1));
        let terms = inputs.iter().enumerate().map(term).collect();
        let place = Place { grid, walk: Walk::Raster, neuron: self.neuron() };
        self.push("shortcut", Operation::Linear { terms, bias }, channels, place, theta, rate)
    }

    /// Keys, values, queries, scores, context and projection; `None` if no window fits the grid or the budget.
    fn attention(&mut self, input: LayerId, stream: LayerId) -> Option<LayerId> {
        let Layer { grid, channels: inputs, .. } = *self.network.layer(input);
        let fits = |size: &usize| grid.rows % size == 0 && grid.columns % size == 0;
        let sizes: Vec<usize> = match self.shape {
            Shape::Window(size) => vec![size],
            _ => (2..=8).filter(fits).collect(),
        };
        let size = *sizes.get(self.random.size(0, sizes.len().saturating_sub(1)))?;
        let windows = Windows { size, shift: self.random.size(0, size - 1) * self.random.size(0, 1) };
        let (tokens, place) =
            (grid.tokens(), Place { grid, walk: Walk::Windows(windows), neuron: self.neuron() });
        let mut tries = [(); 3].map(|()| self.heads());
        tries.sort_by_key(|(heads, head_size)| std::cmp::Reverse(heads * head_size));
        let affordable = |&(heads, head_size): &(usize, usize)| {
            let cost = 3.0 * self.cost(tokens, heads * head_size, inputs, place.neuron)
                + self.cost(heads * tokens, windows.tokens(), head_size, place.neuron)
                + self.cost(heads * tokens, head_size, windows.tokens(), place.neuron);
            cost < self.budget || matches!(self.shape, Shape::Window(_))
        };
        let (heads, head_size) = tries.into_iter().find(affordable)?;
        let channels = heads * head_size;
        let mut site = || self.dense_at(input, Some(channels), Taps::TOKEN, place);
        let (key, value, query) = (site(), site(), site());
        let fraction = self.random.size(0, 7) as u32;
        let coincidences =
            head_size as f64 * self.rates[query.0] * self.rates[key.0] * f64::from(1 << fraction);
        let theta: Vec<i32> =
            (0..heads).map(|_| self.random.between(1, (2.0 * coincidences) as i64 + 2) as i32).collect();
        let reach = (12_000 / self.time_steps as i64).min(i64::from(theta[0]));
        let bias =
            (0..heads * windows.positions()).map(|_| self.random.between(-reach, reach / 2) as i32).collect();
        let operation = Operation::Scores { query, key, heads, bias, fraction };
        let scores = self.push("scores", operation, windows.tokens(), place, theta, 0.4);
        let coincidences = windows.tokens() as f64 * 0.4 * self.rates[value.0] * f64::from(1 << fraction);
        let theta =
            (0..channels).map(|_| self.random.between(1, (3.0 * coincidences) as i64 + 2) as i32).collect();
        let operation = Operation::Context { scores, value, heads, fraction };
        let context = self.push("context", operation, channels, place, theta, 0.6);
        let outputs = self.network.layer(stream).channels;
        Some(self.dense(context, Some(outputs), Taps::TOKEN))
    }

    /// Attention heads, and the channels of each.
    fn heads(&mut self) -> (usize, usize) {
        match self.shape {
            Shape::Ordinary | Shape::Long => {
                (self.random.size(1, 3), self.random.pick(&[1, 2, 5, 8, 11, 16, 32]))
            }
            Shape::Wide | Shape::Heads => self.stretched_heads(),
            Shape::Window(_) => (self.random.size(1, 2), self.random.pick(&[4, 8])),
        }
    }

    fn readout(&mut self, input: LayerId) {
        let Layer { grid, channels: inputs, .. } = *self.network.layer(input);
        let most = if self.shape == Shape::Wide { (100_000 / inputs).min(2000) } else { 12 };
        let classes = self.random.size(1, most);
        let largest = (ROOM / (self.time_steps * grid.tokens() * inputs) as f64).clamp(1.0, 127.0) as i64;
        let weights = self.weights(classes, inputs, largest);
        let bias = (0..classes).map(|_| self.random.between(-1000, 1000) as i32).collect();
        self.network.classes = classes;
        let operation = Operation::Linear { terms: vec![Term::dense(input, weights.data)], bias };
        let place = Place { grid, walk: Walk::Raster, neuron: Neuron::TWO_PHASE };
        self.push("readout", operation, classes, place, Vec::new(), 0.0);
    }

    /// Weights of one of several kinds, up to `largest`.
    fn weights(&mut self, outputs: usize, inputs: usize, largest: i64) -> Matrix {
        let reach = self.random.pick(&[largest, largest, 3.min(largest), 1]);
        let (low, high) =
            self.random.pick(&[(-reach, reach), (-reach, reach), (0, reach), (-reach, reach / 4)]);
        let kept = self.random.pick(&[4, 4, 1]);
        let mut weight =
            |_| if self.random.chance(kept, 4) { self.random.between(low, high) as i8 } else { 0 };
        let mut data: Vec<i8> = (0..outputs * inputs).map(&mut weight).collect();
        if reach == 127 {
            data[0] = i8::MIN;
        }
        Matrix { outputs, inputs, data }
    }

    /// Thresholds and biases for inputs of mean `rate`, such that the mean drive is a random share of the threshold. Also
    /// the mean rate that follows.
    fn thresholds(&mut self, weights: &Matrix, rate: f64, spread: f64) -> (Vec<i32>, Vec<i32>, f64) {
        let aim = self.random.pick(&[-0.1, 0.1, 0.3, 0.5, 0.7, 1.1]);
        let (mut theta, mut bias, mut sum) = (Vec::new(), Vec::new(), 0.0);
        for row in weights.data.chunks_exact(weights.inputs) {
            let energy = row.iter().map(|&w| f64::from(w) * f64::from(w)).sum::<f64>();
            let threshold = 1.0 + spread * energy.sqrt() * (0.2 + 3.0 * self.random.unit());
            let share = aim + 0.4 * (self.random.unit() - 0.5);
            let mean = row.iter().map(|&w| f64::from(w)).sum::<f64>() * rate;
            theta.push(threshold as i32);
            bias.push((share * threshold - mean).round() as i32);
            sum += share.clamp(0.05, 1.0);
        }
        let mean = sum / theta.len() as f64;
        (theta, bias, mean)
    }

    fn order(&mut self) -> SlotOrder {
        let mut order: Vec<u32> = (0..self.time_steps as u32).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, self.random.size(0, i));
        }
        match self.random.between(0, 2) {
            0 => SlotOrder::Identity,
            1 => SlotOrder::Spread,
            _ => SlotOrder::Explicit(order),
        }
    }

    fn push(
        &mut self,
        name: &str,
        operation: Operation,
        channels: usize,
        Place { grid, walk, neuron }: Place,
        theta: Vec<i32>,
        rate: f64,
    ) -> LayerId {
        let fan_in = match &operation {
            Operation::Linear { terms, .. } => terms.iter().map(|term| events(term, channels)).sum(),
            Operation::Scores { query, heads, .. } => self.network.layer(*query).channels / heads,
            Operation::Context { .. } => channels,
        };
        self.budget -= self.cost(grid.tokens(), channels, fan_in, neuron);
        let half = |theta: &i32| theta / 2;
        let v0 = if self.random.chance(3, 4) {
            theta.iter().map(half).collect()
        } else {
            theta
                .iter()
                .map(|&theta| self.random.between(-i64::from(theta), i64::from(theta) * 3 / 2) as i32)
                .collect()
        };
        let readout = name == "readout";
        let ratio = if readout || self.random.chance(2, 3) { 0 } else { self.random.pick(&[1, 128, 255]) };
        let label = self.random.pick(&[None, Some("q"), Some("k"), Some("attn"), Some("fc1")]);
        let mask = Mask { label: label.map(str::to_owned), ratio, shared: false };
        self.rates.push(rate * (1.0 - f64::from(ratio) / 256.0));
        let id = LayerId(self.network.layers.len());
        let layer = Layer {
            name: format!("{name}{}", id.0),
            operation,
            grid,
            channels,
            walk,
            neuron: (!readout).then_some(neuron),
            theta,
            v0,
            order: self.order(),
            rotate: self.random.pick(&[0, 1, 3, 7, 1_000_003]),
            mask: if readout { Mask::default() } else { mask },
        };
        self.network.layers.push(layer);
        id
    }
}

/// About how many active inputs of a token cost what a spike costs.
fn events(term: &Term, outputs: usize) -> usize {
    let inputs = match &term.weights {
        Weights::Dense(data) => data.len() / outputs,
        Weights::Diagonal(data) => data.len() / outputs,
    };
    if term.source == Source::Image { 4 * inputs } else { inputs }
}
