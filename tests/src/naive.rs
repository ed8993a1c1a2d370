//! A second executor, plain loops over plain bits, written from the contract of `model::network` alone.
//!
//! It shares nothing with `model::reference` but the network's types, so that an agreement of the two means something.

#![expect(clippy::needless_range_loop, reason = "loops over indices, as in the contract")]

use isa::Schedule;
use model::Configured;
use model::network::{Layer, Operation, Reset, Source, Term, Walk, Weights};
use std::cell::Cell;

/// `spikes[token][channel][t]`.
pub type Plane = Vec<Vec<Vec<bool>>>;

/// What an image gives.
pub struct Outcome {
    /// The plane of every layer but the readout.
    pub planes: Vec<Plane>,
    /// The logits.
    pub logits: Vec<i64>,
    /// The least and greatest value of any membrane of each layer, the logits of the readout.
    pub reached: Vec<(i64, i64)>,
}

/// Runs one image.
///
/// # Panics
/// If a membrane or a logit leaves the bounds that were proven for it.
pub fn run(network: &Configured, image: &[u8]) -> Outcome {
    let steps = network.time_steps() as usize;
    let mut planes: Vec<Plane> = Vec::new();
    let mut reached = Vec::new();
    for (id, layer) in network.layers.iter().enumerate() {
        let neurons = Neurons { network, layer, id, steps, reached: Cell::new((0, 0)) };
        let (rows, columns) = (layer.grid.rows, layer.grid.columns);
        let bit = |plane: usize, token: usize, channel: usize, t: usize| {
            i64::from(planes[plane][token][channel][t])
        };
        let plane = match &layer.operation {
            Operation::Linear { terms, bias } if layer.neuron.is_some() => neurons.by_token(|token, o, t| {
                i64::from(bias[o])
                    + linear(network, image, terms, layer, (token, o), &|p, n, c| bit(p, n, c, t))
            }),
            Operation::Linear { terms, bias } => {
                let mut logits: Vec<i64> = bias.iter().map(|&b| steps as i64 * i64::from(b)).collect();
                for o in 0..layer.channels {
                    for token in 0..rows * columns {
                        for t in 0..steps {
                            logits[o] +=
                                linear(network, image, terms, layer, (token, o), &|p, n, c| bit(p, n, c, t));
                        }
                    }
                }
                logits.iter().for_each(|&logit| {
                    neurons.proven(logit);
                });
                reached.push(neurons.reached.get());
                return Outcome { planes, logits, reached };
            }
            Operation::Scores { query, key, heads, bias, fraction } => {
                let (size, shift) = window(layer);
                let (tokens, windows) = (size * size, rows * columns / (size * size));
                let head_size = network.layer(*query).channels / heads;
                let mut plane: Plane = vec![vec![vec![]; tokens]; heads * windows * tokens];
                for head in 0..*heads {
                    for w in 0..windows {
                        let region = |i: usize| {
                            let last_row = w / (columns / size) == rows / size - 1;
                            let last_column = w % (columns / size) == columns / size - 1;
                            (last_row && i / size >= size - shift, last_column && i % size >= size - shift)
                        };
                        for j in 0..tokens {
                            let mut draws = neurons.draws((w * heads + head) * tokens + j);
                            for i in 0..tokens {
                                let y = i / size + size - 1 - j / size;
                                let x = i % size + size - 1 - j % size;
                                let relative = y * (2 * size - 1) + x;
                                let drive = |t| {
                                    let product = |c: usize| {
                                        let channel = head * head_size + c;
                                        bit(query.0, neurons.token(w, i), channel, t)
                                            * bit(key.0, neurons.token(w, j), channel, t)
                                    };
                                    let bias = bias[head * (2 * size - 1) * (2 * size - 1) + relative];
                                    i64::from(bias) + ((0..head_size).map(product).sum::<i64>() << fraction)
                                };
                                let mut spikes = neurons.fire(head, i, drive);
                                spikes.iter_mut().for_each(|s| *s &= region(i) == region(j));
                                neurons.mask(&mut draws, &mut spikes);
                                plane[(head * windows + w) * tokens + i][j] = spikes;
                            }
                        }
                    }
                }
                plane
            }
            Operation::Context { scores, value, heads, fraction } => {
                let (size, _) = window(layer);
                let (tokens, windows) = (size * size, rows * columns / (size * size));
                let head_size = layer.channels / heads;
                let mut plane: Plane = vec![vec![vec![]; layer.channels]; rows * columns];
                for channel in 0..layer.channels {
                    let head = channel / head_size;
                    for w in 0..windows {
                        let mut draws = neurons.draws((w * heads + head) * head_size + channel % head_size);
                        for i in 0..tokens {
                            let drive = |t| {
                                let product = |j: usize| {
                                    bit(scores.0, (head * windows + w) * tokens + i, j, t)
                                        * bit(value.0, neurons.token(w, j), channel, t)
                                };
                                (0..tokens).map(product).sum::<i64>() << fraction
                            };
                            let mut spikes = neurons.fire(channel, i, drive);
                            neurons.mask(&mut draws, &mut spikes);
                            plane[neurons.token(w, i)][channel] = spikes;
                        }
                    }
                }
                plane
            }
        };
        planes.push(plane);
        reached.push(neurons.reached.get());
    }
    unreachable!("the last layer is a readout")
}

/// What the terms of a linear layer add up to for output `o` of a token; `bit(plane, token, channel)` is a spike of the time step.
fn linear(
    network: &Configured,
    image: &[u8],
    terms: &[Term],
    layer: &Layer,
    (token, o): (usize, usize),
    bit: &dyn Fn(usize, usize, usize) -> i64,
) -> i64 {
    let mut drive = 0;
    for term in terms {
        let (height, width, inputs) = match term.source {
            Source::Image => (network.image.height, network.image.width, network.image.channels),
            Source::Plane(id) => {
                let layer = network.layer(id);
                (layer.grid.rows, layer.grid.columns, layer.channels)
            }
        };
        let value = |position: Option<usize>, channel: usize| match (term.source, position) {
            (Source::Image, Some(position)) => i64::from(image[channel * height * width + position]),
            (Source::Image, None) if network.border.is_empty() => 0,
            (Source::Image, None) => i64::from(network.border[channel]),
            (Source::Plane(id), Some(position)) => bit(id.0, position, channel),
            (Source::Plane(_), None) => 0,
        };
        let (down, across) = (term.taps.rows, term.taps.columns);
        let mut sum = 0;
        for dy in 0..down.kernel {
            for dx in 0..across.kernel {
                let y = (token / layer.grid.columns * down.stride + dy) as i64 - down.padding as i64;
                let x = (token % layer.grid.columns * across.stride + dx) as i64 - across.padding as i64;
                let position = if y < 0 || y >= height as i64 || x < 0 || x >= width as i64 {
                    None
                } else {
                    Some(y as usize * width + x as usize)
                };
                let tap = dy * across.kernel + dx;
                match &term.weights {
                    Weights::Dense(weights) => {
                        let row = &weights[(o * down.kernel * across.kernel + tap) * inputs..];
                        for i in 0..inputs {
                            sum += i64::from(row[i]) * value(position, i);
                        }
                    }
                    Weights::Diagonal(gains) => {
                        sum += i64::from(gains[tap * layer.channels + o]) * value(position, o);
                    }
                }
            }
        }
        drive += sum * (1 << term.shift);
    }
    drive
}

fn window(layer: &Layer) -> (usize, usize) {
    match layer.walk {
        Walk::Raster => (0, 0),
        Walk::Windows(windows) => (windows.size, windows.shift),
    }
}

struct Neurons<'a> {
    network: &'a Configured,
    layer: &'a Layer,
    id: usize,
    steps: usize,
    reached: Cell<(i64, i64)>,
}

impl Neurons<'_> {
    /// The raster token at position `i` of window `w`.
    fn token(&self, w: usize, i: usize) -> usize {
        let (rows, columns) = (self.layer.grid.rows, self.layer.grid.columns);
        let (size, shift) = window(self.layer);
        let row = (w / (columns / size) * size + i / size + shift) % rows;
        let column = (w % (columns / size) * size + i % size + shift) % columns;
        row * columns + column
    }

    /// A layer that takes each token on its own; `drive(token, channel, t)`.
    fn by_token(&self, drive: impl Fn(usize, usize, usize) -> i64) -> Plane {
        let tokens = self.layer.grid.rows * self.layer.grid.columns;
        let (size, _) = window(self.layer);
        let mut plane: Plane = vec![vec![vec![]; self.layer.channels]; tokens];
        for channel in 0..self.layer.channels {
            let mut draws = self.draws(channel);
            for n in 0..tokens {
                let (token, index) = match self.layer.walk {
                    Walk::Raster => (n, n),
                    Walk::Windows(_) => (self.token(n / (size * size), n % (size * size)), n % (size * size)),
                };
                let mut spikes = self.fire(channel, index, |t| drive(token, channel, t));
                self.mask(&mut draws, &mut spikes);
                plane[token][channel] = spikes;
            }
        }
        plane
    }

    fn fire(&self, neuron: usize, index: usize, drive: impl Fn(usize) -> i64) -> Vec<bool> {
        let (theta, mut v) = (i64::from(self.layer.theta[neuron]), i64::from(self.layer.v0[neuron]));
        let mut spikes = vec![false; self.steps];
        let neuron = self.layer.neuron.expect("all but the readout have neurons");
        match neuron.schedule {
            Schedule::EachStep => {
                for (t, spike) in spikes.iter_mut().enumerate() {
                    let u = self.proven(v + drive(t));
                    *spike = u >= theta;
                    v = match neuron.reset {
                        Reset::Subtract => self.proven(u - i64::from(*spike) * theta),
                        Reset::Zero if *spike => 0,
                        Reset::Zero => u,
                    };
                }
            }
            Schedule::AfterAll => {
                (0..self.steps).for_each(|t| v += drive(t));
                self.proven(v);
                let order = self.layer.order.permutation(self.steps as u32).expect("fits the time steps");
                for slot in order {
                    let spike = v >= theta;
                    v -= i64::from(spike) * theta;
                    spikes[(slot as usize + self.layer.rotate as usize * index) % self.steps] = spike;
                }
            }
        }
        spikes
    }

    fn proven(&self, value: i64) -> i64 {
        let (least, greatest) = self.reached.get();
        self.reached.set((least.min(value), greatest.max(value)));
        let bounds = self.network.bounds(model::LayerId(self.id));
        assert!(
            (bounds.low..=bounds.high).contains(&value),
            "`{}`: {value} is outside {bounds:?}",
            self.layer.name
        );
        value
    }

    /// A neuron's shift register at the start of the image.
    fn draws(&self, channel: usize) -> u32 {
        let of = |name: &String| self.network.layers.iter().position(|layer| layer.name == *name).unwrap();
        let layer = self.layer.mask.draws_of.as_ref().map_or(self.id, of);
        isa::mask::seed(self.network.seed, layer as u32, channel as u32)
    }

    /// Draws for every slot of one token, one bit at a time; a mask shared by tokens starts over with each.
    fn mask(&self, state: &mut u32, spikes: &mut [bool]) {
        let start = *state;
        for spike in spikes {
            for _ in 0..isa::mask::DRAW_BITS {
                let fresh = isa::mask::TAPS.iter().fold(0, |bit, tap| bit ^ (*state >> (tap - 1) & 1));
                *state = *state << 1 | fresh;
            }
            *spike &= *state as u8 >= self.layer.mask.ratio;
        }
        if self.layer.mask.shared {
            *state = start;
        }
    }
}
