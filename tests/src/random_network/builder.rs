//! A network that grows layer by layer within a budget of cycles.

use super::stretched::Shape;
use crate::random::Random;
use model::network::{
    Grid, ImageShape, Layer, LayerId, Mask, Network, Neuron, Operation, Schedule, SlotOrder, Source, Taps,
    Walk, Weights,
};

/// A network under construction, with the image that it will be run on.
pub(super) struct Builder {
    pub random: Random,
    pub shape: Shape,
    pub network: Network,
    pub image: Vec<u8>,
    pub time_steps: usize,
    /// Cycles that may still be spent.
    pub budget: f64,
    /// Mean of each layer's inputs to others: spikes a time step.
    pub rates: Vec<f64>,
    /// Layers whose planes lie row by row, so that any layer may read them.
    pub raster: Vec<LayerId>,
}

/// Where and how a layer is evaluated.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub grid: Grid,
    pub walk: Walk,
    pub neuron: Neuron,
}

/// What becomes of a layer's sums, besides its place.
pub(super) struct Fate {
    pub theta: Vec<i32>,
    pub v0: Vec<i32>,
    /// Mean spikes a time step that follow.
    pub rate: f64,
}

impl Builder {
    pub fn new(random: Random, shape: Shape, time_steps: usize, budget: f64) -> Builder {
        let image = ImageShape { height: 1, width: 1, channels: 1 };
        Builder {
            random,
            shape,
            network: Network::new("random", image, 1, Vec::new(), 1),
            image: Vec::new(),
            time_steps,
            budget,
            rates: Vec::new(),
            raster: Vec::new(),
        }
    }

    /// A whole network of a few steps, more of them for larger sizes.
    pub fn steps(&mut self, size: u32) {
        self.network.seed = self.random.bits() as u32;
        let mut current = self.first();
        // Layers of one grid and number of channels, which may be summed up.
        let mut stream = vec![current];
        for _ in 0..self.random.size(0, 2 + size as usize / 2) {
            let Some((next, joins)) = self.step(current, &stream) else { continue };
            let alike = |of: &LayerId| {
                let (one, other) = (self.network.layer(*of), self.network.layer(next));
                one.grid == other.grid && one.channels == other.channels
            };
            if !joins || !stream.iter().all(alike) {
                stream.clear();
            }
            stream.push(next);
            current = next;
        }
        self.readout(current);
    }

    /// One more layer, or several, and whether it may join the stream; `None` if what was drawn does not fit.
    fn step(&mut self, current: LayerId, stream: &[LayerId]) -> Option<(LayerId, bool)> {
        let Layer { grid, channels, .. } = *self.network.layer(current);
        let of_stream = self.network.layer(stream[0]).channels;
        let joins = self.random.chance(1, 2);
        let next = match self.random.between(0, 13) {
            1 if self.affordable(grid.tokens(), of_stream, channels) => {
                (self.dense(current, Some(of_stream), Taps::TOKEN), true)
            }
            0 | 1 => (self.dense(current, None, Taps::TOKEN), false),
            2 | 3 => (self.shortcut(stream), joins),
            4..=6 if self.affordable(grid.tokens(), of_stream, 40) => {
                (self.attention(current, stream[0])?, true)
            }
            7 if grid.rows % 2 == 0 && grid.columns % 2 == 0 && channels <= 75 => {
                (self.dense(current, None, Taps::square(2, 2, 0)), false)
            }
            7..=9 => (self.convolution(current), joins),
            10 => (self.residual(current), joins),
            11 => (self.pool(current), joins),
            12 => (self.or_pool(current), joins),
            _ => (self.second_look(current), joins),
        };
        Some(next)
    }

    /// Cycles of a layer at 8 lanes: its events, and its weights on their way into the core.
    pub fn cost(&self, tokens: usize, channels: usize, fan_in: usize, neuron: Neuron) -> f64 {
        let active = match neuron.schedule {
            Schedule::AfterAll => 1.6 * self.time_steps.div_ceil(8) as f64,
            Schedule::EachStep => 0.5 * self.time_steps as f64,
        };
        let of_tile = tokens as f64 * (fan_in as f64 * active).max(self.time_steps as f64) + fan_in as f64;
        channels.div_ceil(8) as f64 * of_tile
    }

    /// Whether what is left of the budget allows a layer.
    fn affordable(&self, tokens: usize, channels: usize, fan_in: usize) -> bool {
        self.shape != Shape::Ordinary
            || self.cost(tokens, channels, fan_in, Neuron::TWO_PHASE) < self.budget.max(4000.0)
    }

    /// A number of channels that leaves most of the budget, mostly small.
    pub fn channels(&mut self, tokens: usize, fan_in: usize, neuron: Neuron) -> usize {
        if self.shape == Shape::Wide {
            return self.wide_channels(fan_in);
        }
        let tile = self.cost(tokens, 1, fan_in, neuron);
        let most = (self.budget * 0.3 / tile).clamp(1.0, 37.0) * 8.0;
        (most.powf(self.random.unit()) as usize).clamp(1, 300)
    }

    pub fn neuron(&mut self) -> Neuron {
        let hard = Neuron::OR;
        self.random.pick(&[
            Neuron::IF,
            Neuron::IF,
            hard,
            Neuron::TWO_PHASE,
            Neuron::TWO_PHASE,
            Neuron::TWO_PHASE,
        ])
    }

    /// Row by row, on a grid, with some neuron.
    pub fn raster_place(&mut self, grid: Grid) -> Place {
        Place { grid, walk: Walk::Raster, neuron: self.neuron() }
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

    fn any_mask(&mut self) -> Mask {
        let ratio = if self.random.chance(2, 3) { 0 } else { self.random.pick(&[1, 128, 255]) };
        let label = self.random.pick(&[None, Some("q"), Some("k"), Some("attn"), Some("fc1"), Some("conv")]);
        let shared = self.random.chance(1, 3);
        // Now and then the draws of an earlier layer.
        let own = |layer: &&Layer| layer.neuron.is_some() && layer.mask.draws_of.is_none();
        let others: Vec<String> =
            self.network.layers.iter().filter(own).map(|layer| layer.name.clone()).collect();
        let draws_of = (!others.is_empty() && self.random.chance(1, 4))
            .then(|| others[self.random.size(0, others.len() - 1)].clone());
        Mask { label: label.map(str::to_owned), ratio, shared, draws_of }
    }

    /// Initial membranes: half of the thresholds, or any.
    pub fn initial(&mut self, theta: &[i32]) -> Vec<i32> {
        let usual = self.random.chance(3, 4);
        let any = |theta: &i32| {
            if usual {
                theta / 2
            } else {
                self.random.between(-i64::from(*theta), i64::from(*theta) * 3 / 2) as i32
            }
        };
        theta.iter().map(any).collect()
    }

    /// Adds a layer with neurons.
    pub fn push(
        &mut self,
        name: &str,
        operation: Operation,
        channels: usize,
        Place { grid, walk, neuron }: Place,
        Fate { theta, v0, rate }: Fate,
    ) -> LayerId {
        self.budget -= self.cost(grid.tokens(), channels, self.inputs(&operation, channels), neuron);
        let mask = self.any_mask();
        self.rates.push(rate * (1.0 - f64::from(mask.ratio) / 256.0));
        let id = LayerId(self.network.layers.len());
        if !matches!(operation, Operation::Scores { .. }) {
            self.raster.push(id);
        }
        let order = self.order();
        let rotate = self.random.pick(&[0, 1, 3, 7, 1_000_003]);
        self.network.layers.push(Layer {
            name: format!("{name}{}", id.0),
            operation,
            grid,
            channels,
            walk,
            neuron: Some(neuron),
            theta,
            v0,
            order,
            rotate,
            mask,
        });
        id
    }

    /// How many spikes' worth of events a neuron may have in a time step.
    fn inputs(&self, operation: &Operation, channels: usize) -> usize {
        match operation {
            Operation::Linear { terms, .. } => {
                let of = |weights: &Weights| weights.data().len() / channels;
                let events = |source| if source == Source::Image { 4 } else { 1 };
                terms.iter().map(|term| events(term.source) * of(&term.weights)).sum()
            }
            Operation::Scores { query, heads, .. } => self.network.layer(*query).channels / heads,
            Operation::Context { .. } => channels,
        }
    }
}
