//! Linear layers: terms with weights, thresholds that suit them.

use super::builder::{Builder, Fate, Place};
use model::network::{Grid, Layer, LayerId, Neuron, Operation, Source, Taps, Term, Walk, Weights, Windows};

/// Share of the membrane that the inputs of a sum may take.
const ROOM: f64 = (1 << 23) as f64 / 8.0;
/// Most inputs of a neuron.
const MOST_INPUTS: usize = 4000;

/// What a term reads, before it has weights.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    pub source: Source,
    pub taps: Taps,
    pub diagonal: bool,
    pub shift: u32,
}

impl Reading {
    pub fn dense(source: Source, taps: Taps) -> Reading {
        Reading { source, taps, diagonal: false, shift: 0 }
    }

    pub fn diagonal(input: LayerId, taps: Taps) -> Reading {
        Reading { source: Source::Plane(input), taps, diagonal: true, shift: 0 }
    }
}

/// Numbers of a term: `inputs` for each output, one after the other, with what they multiply on average.
struct Matrix {
    inputs: usize,
    data: Vec<i8>,
    shift: u32,
    rate: f64,
}

impl Matrix {
    fn of(&self, output: usize) -> impl Iterator<Item = f64> {
        let factor = f64::from(1 << self.shift);
        self.data[output * self.inputs..][..self.inputs].iter().map(move |&weight| f64::from(weight) * factor)
    }
}

impl Builder {
    /// Weights on every channel of what taps see of one earlier layer.
    pub fn dense(&mut self, input: LayerId, channels: Option<usize>, taps: Taps) -> LayerId {
        let grid = taps.grid(self.network.layer(input).grid).expect("the caller has looked");
        let place = self.raster_place(grid);
        self.linear("dense", &[Reading::dense(Source::Plane(input), taps)], channels, place)
    }

    /// A convolution: dense, or of each channel alone; now and then evaluated window by window.
    pub fn convolution(&mut self, input: LayerId) -> LayerId {
        let Layer { grid: source, channels, .. } = *self.network.layer(input);
        let most = self.affordable_inputs(source.tokens(), 4) / channels;
        let taps = self.any_taps(source, most.clamp(1, 49));
        let grid = taps.grid(source).expect("taps are drawn for the grid");
        if self.lies_flat(input) && self.random.chance(1, 3) {
            let (taps, grid) = if self.random.chance(1, 2) {
                (taps, grid)
            } else {
                let taps = self.any_taps(source, 49);
                (taps, taps.grid(source).expect("taps are drawn for the grid"))
            };
            let place = self.raster_place(grid);
            return self.linear("depthwise", &[Reading::diagonal(input, taps)], Some(channels), place);
        }
        let place = self.windowed_place(grid, taps == Taps::TOKEN);
        let reading =
            Reading { shift: self.random.size(0, 7) as u32, ..Reading::dense(Source::Plane(input), taps) };
        self.linear("conv", &[reading], None, place)
    }

    /// Several terms from anywhere: other grids, other strides, dense and of each channel alone.
    pub fn residual(&mut self, input: LayerId) -> LayerId {
        let Layer { grid: source, channels: inputs, .. } = *self.network.layer(input);
        let most = (self.affordable_inputs(source.tokens(), 4) / inputs).clamp(1, 25);
        let taps = self.any_taps(source, most);
        let grid = taps.grid(source).expect("taps are drawn for the grid");
        let place = self.windowed_place(grid, false);
        let channels = if inputs <= 40 && self.random.chance(1, 2) {
            inputs
        } else {
            self.channels(grid.tokens(), 2 * taps.count() * inputs, place.neuron)
        };
        let mut readings = vec![Reading::dense(Source::Plane(input), taps)];
        let most_terms = self.random.pick(&[2, 2, 3, 5, 20]);
        let mut left = self.affordable_inputs(grid.tokens(), channels).saturating_sub(taps.count() * inputs);
        for _ in 0..self.random.size(1, most_terms - 1) {
            let other = self.raster[self.random.size(0, self.raster.len() - 1)];
            let Layer { grid: from, channels: others, .. } = *self.network.layer(other);
            let diagonal = others == channels && self.lies_flat(other) && self.random.chance(2, 3);
            let each = if diagonal { 1 } else { others };
            if each > left {
                continue;
            }
            let Some(taps) = self.taps_between(from, grid, (left / each).min(49)) else { continue };
            if taps.count() * each > left {
                continue;
            }
            left -= taps.count() * each;
            let shift = if self.random.chance(1, 2) { 0 } else { self.random.size(0, 7) as u32 };
            readings.push(Reading { source: Source::Plane(other), taps, diagonal, shift });
        }
        if self.random.chance(1, 2) {
            readings.rotate_left(1);
        }
        self.linear("residual", &readings, Some(channels), place)
    }

    /// Average pooling: the same gain for every tap of each channel.
    pub fn pool(&mut self, input: LayerId) -> LayerId {
        let Layer { grid: source, channels, .. } = *self.network.layer(input);
        if !self.lies_flat(input) {
            return self.convolution(input);
        }
        let size = self.random.size(1, 4).min(source.rows).min(source.columns);
        let taps = Taps::square(size, size, 0);
        let grid = taps.grid(source).expect("the size is that of the grid at most");
        let place = self.raster_place(grid);
        let gain = self.random.between(1, 20) as i8;
        let threshold = i32::from(gain) * taps.count() as i32;
        let weights = Weights::Diagonal(vec![gain; taps.count() * channels]);
        let term = Term { taps, weights, ..Term::diagonal(input, Vec::new()) };
        let operation = Operation::Linear { terms: vec![term], bias: vec![0; channels] };
        let theta = vec![threshold; channels];
        let fate = Fate { v0: self.initial(&theta), theta, rate: self.rates[input.0] };
        self.push("pool", operation, channels, place, fate)
    }

    /// Max pooling: a spike wherever a tap has one.
    pub fn or_pool(&mut self, input: LayerId) -> LayerId {
        let Layer { grid: source, channels, .. } = *self.network.layer(input);
        if !self.lies_flat(input) {
            return self.convolution(input);
        }
        let taps = self.any_taps(source, 16);
        let place = Place {
            grid: taps.grid(source).expect("taps are drawn for the grid"),
            walk: Walk::Raster,
            neuron: Neuron::OR,
        };
        let weights = Weights::Diagonal(vec![1; taps.count() * channels]);
        let term = Term { taps, weights, ..Term::diagonal(input, Vec::new()) };
        let operation = Operation::Linear { terms: vec![term], bias: vec![0; channels] };
        let rate = 1.0 - (1.0 - self.rates[input.0]).max(0.0).powi(taps.count() as i32);
        self.push(
            "max",
            operation,
            channels,
            place,
            Fate { theta: vec![1; channels], v0: vec![0; channels], rate },
        )
    }

    /// Planes of the same channels, each with a gain a channel.
    pub fn shortcut(&mut self, stream: &[LayerId]) -> LayerId {
        let most = self.random.pick(&[2, 4, 20]);
        let Layer { grid, channels, .. } = *self.network.layer(stream[0]);
        let flat: Vec<LayerId> = stream.iter().copied().filter(|&id| self.lies_flat(id)).collect();
        if flat.is_empty() {
            return self.dense(stream[0], None, Taps::TOKEN);
        }
        let shifts = self.random.chance(1, 2);
        let readings: Vec<Reading> = (0..self.random.size(1, most))
            .map(|_| Reading {
                shift: if shifts { self.random.size(0, 7) as u32 } else { 0 },
                ..Reading::diagonal(self.random.pick(&flat), Taps::TOKEN)
            })
            .collect();
        let place = self.windowed_place(grid, true);
        self.linear("shortcut", &readings, Some(channels), place)
    }

    /// The readout, which may have taps and several terms.
    pub fn readout(&mut self, input: LayerId) {
        let Layer { grid: source, channels: inputs, .. } = *self.network.layer(input);
        let most = if self.shape == super::Shape::Wide { (100_000 / inputs).min(2000) } else { 12 };
        let classes = self.random.size(1, most);
        let plain = self.shape != super::Shape::Ordinary || self.random.chance(1, 2);
        let taps = if plain {
            Taps::TOKEN
        } else {
            let most = (self.affordable_inputs(source.tokens(), classes) / inputs).clamp(1, 16);
            self.any_taps(source, most)
        };
        let grid = taps.grid(source).expect("taps are drawn for the grid");
        let mut readings = vec![Reading::dense(Source::Plane(input), taps)];
        for _ in 0..if plain { 0 } else { self.random.size(0, 2) } {
            let other = self.raster[self.random.size(0, self.raster.len() - 1)];
            let Layer { grid: from, channels, .. } = *self.network.layer(other);
            let diagonal = channels == classes && self.lies_flat(other);
            if let Some(taps) = self.taps_between(from, grid, (500 / channels).max(1)) {
                let shift = self.random.size(0, 3) as u32;
                readings.push(Reading { source: Source::Plane(other), taps, diagonal, shift });
            }
        }
        self.readout_of(&readings, classes, grid);
    }

    /// A readout of these readings.
    pub fn readout_of(&mut self, readings: &[Reading], classes: usize, grid: Grid) {
        let terms = self.terms(&mut readings.to_vec(), classes, grid.tokens());
        let bias = (0..classes).map(|_| self.random.between(-1000, 1000) as i32).collect();
        self.network.classes = classes;
        let name = format!("readout{}", self.network.layers.len());
        let terms = terms.into_iter().map(|(term, _)| term).collect();
        self.network.layers.push(Layer::readout(name, terms, bias, grid));
    }

    /// A linear layer of these readings, with some number of channels if none is given.
    pub fn linear(
        &mut self,
        name: &str,
        readings: &[Reading],
        channels: Option<usize>,
        place: Place,
    ) -> LayerId {
        let fan_in = readings.iter().map(|reading| self.fan_in(reading)).sum();
        let channels = channels.unwrap_or_else(|| self.channels(place.grid.tokens(), fan_in, place.neuron));
        let mut readings = readings.to_vec();
        let terms = self.terms(&mut readings, channels, 1);
        let (terms, matrices): (Vec<Term>, Vec<Matrix>) = terms.into_iter().unzip();
        let spread = if readings[0].source == Source::Image { 128.0 } else { 0.5 };
        let (theta, bias, rate) = self.thresholds(&matrices, channels, spread);
        let fate = Fate { v0: self.initial(&theta), theta, rate };
        self.push(name, Operation::Linear { terms, bias }, channels, place, fate)
    }

    /// Inputs of a neuron that a reading gives.
    fn fan_in(&self, reading: &Reading) -> usize {
        let channels = match (reading.diagonal, reading.source) {
            (true, _) => 1,
            (_, Source::Image) => self.network.image.channels,
            (_, Source::Plane(id)) => self.network.layer(id).channels,
        };
        channels * reading.taps.count()
    }

    /// Weights for readings of `channels` outputs whose sums go over `tokens` tokens. Shifts that leave no room for a weight of 1 become
    /// smaller.
    fn terms(&mut self, readings: &mut [Reading], channels: usize, tokens: usize) -> Vec<(Term, Matrix)> {
        let count = readings.len();
        let mut terms = Vec::with_capacity(count);
        for reading in readings {
            let (most, rate) = match reading.source {
                Source::Image => (255.0, self.image_mean()),
                Source::Plane(id) => (1.0, self.rates[id.0]),
            };
            let inputs = self.fan_in(reading);
            let all = most * (self.time_steps * tokens * inputs * count) as f64;
            while reading.shift > 0 && all * f64::from(1 << reading.shift) > ROOM {
                reading.shift -= 1;
            }
            let largest = (ROOM / all / f64::from(1 << reading.shift)).clamp(1.0, 127.0) as i64;
            let matrix =
                Matrix { inputs, data: self.weights(channels * inputs, largest), shift: reading.shift, rate };
            let weights = if reading.diagonal {
                let gain = |n: usize| matrix.data[n % channels * inputs + n / channels];
                Weights::Diagonal((0..inputs * channels).map(gain).collect())
            } else {
                Weights::Dense(matrix.data.clone())
            };
            let Reading { source, taps, shift, .. } = *reading;
            terms.push((Term { source, taps, weights, shift }, matrix));
        }
        terms
    }

    /// Weights of one of several kinds, up to `largest`.
    fn weights(&mut self, count: usize, largest: i64) -> Vec<i8> {
        let reach = self.random.pick(&[largest, largest, 3.min(largest), 1]);
        let (low, high) =
            self.random.pick(&[(-reach, reach), (-reach, reach), (0, reach), (-reach, reach / 4)]);
        let kept = self.random.pick(&[4, 4, 1]);
        let mut weight =
            |_| if self.random.chance(kept, 4) { self.random.between(low, high) as i8 } else { 0 };
        let mut data: Vec<i8> = (0..count).map(&mut weight).collect();
        if reach == 127 {
            data[0] = i8::MIN;
        }
        data
    }

    /// Thresholds and biases such that the mean drive is a random share of the threshold. Also the mean rate that follows.
    fn thresholds(&mut self, matrices: &[Matrix], channels: usize, spread: f64) -> (Vec<i32>, Vec<i32>, f64) {
        let aim = self.random.pick(&[-0.1, 0.1, 0.3, 0.5, 0.7, 1.1]);
        let (mut theta, mut bias, mut sum) = (Vec::new(), Vec::new(), 0.0);
        for output in 0..channels {
            let energy: f64 = matrices
                .iter()
                .map(|matrix| matrix.of(output).map(|weight| weight * weight).sum::<f64>())
                .sum();
            let mean: f64 = matrices.iter().map(|matrix| matrix.of(output).sum::<f64>() * matrix.rate).sum();
            let threshold = 1.0 + spread * energy.sqrt() * (0.2 + 3.0 * self.random.unit());
            let share = aim + 0.4 * (self.random.unit() - 0.5);
            theta.push(threshold as i32);
            bias.push((share * threshold - mean).round() as i32);
            sum += share.clamp(0.05, 1.0);
        }
        let mean = sum / theta.len() as f64;
        (theta, bias, mean)
    }

    fn image_mean(&self) -> f64 {
        self.image.iter().map(|&pixel| f64::from(pixel)).sum::<f64>() / self.image.len() as f64
    }

    /// Inputs that a neuron may have for half of what is left of the budget.
    fn affordable_inputs(&self, tokens: usize, channels: usize) -> usize {
        let one = self.cost(tokens, channels, 100, Neuron::TWO_PHASE) / 100.0;
        ((self.budget * 0.5 / one.max(1.0)).max(0.0) as usize).clamp(16, MOST_INPUTS)
    }

    /// Whether the channels of a plane lie side by side, so that diagonal terms of flat layers may read it.
    pub fn lies_flat(&self, id: LayerId) -> bool {
        match &self.network.layer(id).operation {
            // Heads are padded to the bus.
            Operation::Context { heads, .. } => {
                *heads == 1 || (self.network.layer(id).channels / heads).is_multiple_of(16)
            }
            _ => true,
        }
    }

    /// Row by row, or window by window; `tokens` says that all terms read their own token, so that windows may be shifted.
    fn windowed_place(&mut self, grid: Grid, tokens: bool) -> Place {
        let place = self.raster_place(grid);
        let fits = |size: &usize| grid.rows.is_multiple_of(*size) && grid.columns.is_multiple_of(*size);
        let sizes: Vec<usize> = (1..=4).filter(fits).collect();
        if !self.random.chance(1, if tokens { 2 } else { 4 }) {
            return place;
        }
        let size = sizes[self.random.size(0, sizes.len() - 1)];
        let shift = if tokens { self.random.size(0, size - 1) } else { 0 };
        Place { walk: Walk::Windows(Windows { size, shift }), ..place }
    }
}
