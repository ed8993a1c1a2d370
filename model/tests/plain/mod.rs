//! Networks of linear layers in plain loops, spike by spike, as the contract of [`model::network`] words them.

use isa::Schedule;
use model::Configured;
use model::network::{Layer, Operation, Reset, Source, Term, Walk, Weights};

/// Spikes by token, channel and time step.
pub type Plane = Vec<Vec<Vec<bool>>>;

/// The lowest and the highest value that a sum of a layer took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reached {
    pub low: i64,
    pub high: i64,
}

impl Reached {
    fn see(&mut self, value: i64) {
        (self.low, self.high) = (self.low.min(value), self.high.max(value));
    }
}

/// What a network did with an image.
pub struct Run {
    pub planes: Vec<Plane>,
    pub logits: Vec<i64>,
    /// One a layer.
    pub reached: Vec<Reached>,
}

pub fn run(network: &Configured, image: &[u8]) -> Run {
    let mut run = Run { planes: Vec::new(), logits: Vec::new(), reached: Vec::new() };
    for (index, layer) in network.layers.iter().enumerate() {
        let mut reached = Reached::default();
        let sums = Sums { network, layer, image, planes: &run.planes };
        if layer.neuron.is_some() {
            let plane = sums.plane(index, &mut reached);
            run.planes.push(plane);
        } else {
            run.logits = sums.logits(&mut reached);
        }
        run.reached.push(reached);
    }
    run
}

struct Sums<'a> {
    network: &'a Configured,
    layer: &'a Layer,
    image: &'a [u8],
    planes: &'a [Plane],
}

impl Sums<'_> {
    fn time_steps(&self) -> usize {
        self.network.time_steps() as usize
    }

    /// The weighted inputs of one output in one time step, each on its own.
    fn products(&self, token: usize, output: usize, t: usize) -> Vec<i64> {
        let Operation::Linear { terms, .. } = &self.layer.operation else { panic!("linear layers alone") };
        terms.iter().flat_map(|term| self.products_of(term, token, output, t)).collect()
    }

    fn products_of(&self, term: &Term, token: usize, output: usize, t: usize) -> Vec<i64> {
        let (rows, columns, channels) = match term.source {
            Source::Image => {
                let image = self.network.image;
                (image.height, image.width, image.channels)
            }
            Source::Plane(id) => {
                let layer = self.network.layer(id);
                (layer.grid.rows, layer.grid.columns, layer.channels)
            }
        };
        let input = |at: Option<(usize, usize)>, channel: usize| match (term.source, at) {
            (Source::Image, Some((y, x))) => i64::from(self.image[(channel * rows + y) * columns + x]),
            (Source::Image, None) => self.network.border.get(channel).copied().unwrap_or(0).into(),
            (Source::Plane(id), Some((y, x))) => i64::from(self.planes[id.0][y * columns + x][channel][t]),
            (Source::Plane(_), None) => 0,
        };
        let (down, across) = (term.taps.rows, term.taps.columns);
        let taps = down.kernel * across.kernel;
        let (row, column) = (token / self.layer.grid.columns, token % self.layer.grid.columns);
        let mut products = Vec::new();
        for tap in 0..taps {
            let y = (row * down.stride + tap / across.kernel) as i64 - down.padding as i64;
            let x = (column * across.stride + tap % across.kernel) as i64 - across.padding as i64;
            let outside = y < 0 || x < 0 || y >= rows as i64 || x >= columns as i64;
            let at = (!outside).then_some((y as usize, x as usize));
            let mut add = |weight: i8, channel: usize| {
                products.push((i64::from(weight) * input(at, channel)) << term.shift);
            };
            match &term.weights {
                Weights::Dense(data) => {
                    (0..channels).for_each(|i| add(data[(output * taps + tap) * channels + i], i));
                }
                Weights::Diagonal(gains) => add(gains[tap * self.layer.channels + output], output),
            }
        }
        products
    }

    fn bias(&self, output: usize) -> i64 {
        let Operation::Linear { bias, .. } = &self.layer.operation else { panic!("linear layers alone") };
        bias[output].into()
    }

    /// Adds products onto a start, and sees every sum on the way.
    fn sum(start: i64, products: &[i64], reached: &mut Reached) -> i64 {
        products.iter().fold(start, |sum, product| {
            reached.see(sum + product);
            sum + product
        })
    }

    fn logits(&self, reached: &mut Reached) -> Vec<i64> {
        let steps = self.time_steps();
        let logit = |output: usize| {
            let mut logit = steps as i64 * self.bias(output);
            for token in 0..self.layer.grid.tokens() {
                for t in 0..steps {
                    logit = Sums::sum(logit, &self.products(token, output, t), reached);
                }
            }
            logit
        };
        (0..self.layer.channels).map(logit).collect()
    }

    fn plane(&self, index: usize, reached: &mut Reached) -> Plane {
        let (steps, channels) = (self.time_steps(), self.layer.channels);
        let mut plane = vec![vec![vec![false; steps]; channels]; self.layer.grid.tokens()];
        let of = |name: &String| self.network.layers.iter().position(|layer| layer.name == *name).unwrap();
        let draws = self.layer.mask.draws_of.as_ref().map_or(index, of) as u32;
        let start: Vec<u32> =
            (0..channels).map(|c| isa::mask::seed(self.network.seed, draws, c as u32)).collect();
        let mut registers = start.clone();
        for (token, rotation) in walk(self.layer) {
            if self.layer.mask.shared {
                registers.clone_from(&start);
            }
            for (channel, register) in registers.iter_mut().enumerate() {
                let fired = self.fire(token, rotation, channel, reached);
                for (t, fired) in fired.into_iter().enumerate() {
                    let draw = draw(register);
                    plane[token][channel][t] = fired && draw >= self.layer.mask.ratio;
                }
            }
        }
        plane
    }

    fn fire(&self, token: usize, rotation: usize, output: usize, reached: &mut Reached) -> Vec<bool> {
        let (steps, neuron) = (self.time_steps(), self.layer.neuron.unwrap());
        let (theta, v0) = (i64::from(self.layer.theta[output]), i64::from(self.layer.v0[output]));
        let mut spikes = vec![false; steps];
        let mut v = v0;
        reached.see(v);
        if neuron.schedule == Schedule::EachStep {
            for (t, spike) in spikes.iter_mut().enumerate() {
                let drive = Sums::sum(self.bias(output), &self.products(token, output, t), reached);
                let u = v + drive;
                reached.see(u);
                *spike = u >= theta;
                v = match (*spike, neuron.reset) {
                    (false, _) => u,
                    (true, Reset::Subtract) => u - theta,
                    (true, Reset::Zero) => 0,
                };
                reached.see(v);
            }
            return spikes;
        }
        let mut drives = 0;
        for t in 0..steps {
            drives += self.bias(output) + self.products(token, output, t).iter().sum::<i64>();
        }
        v += drives;
        reached.see(drives);
        reached.see(v);
        let order = self.layer.order.permutation(steps as u32).unwrap();
        for k in order {
            let spike = v >= theta;
            v -= if spike { theta } else { 0 };
            spikes[(k as usize + self.layer.rotate as usize * rotation) % steps] = spike;
        }
        reached.see(v);
        spikes
    }
}

/// The tokens in the order of evaluation, each with the index that `rotate` multiplies.
fn walk(layer: &Layer) -> Vec<(usize, usize)> {
    let (rows, columns) = (layer.grid.rows, layer.grid.columns);
    let Walk::Windows(windows) = layer.walk else { return (0..rows * columns).map(|n| (n, n)).collect() };
    let mut tokens = Vec::new();
    for (window_y, window_x) in
        (0..rows / windows.size).flat_map(|y| (0..columns / windows.size).map(move |x| (y, x)))
    {
        for (y, x) in (0..windows.size).flat_map(|y| (0..windows.size).map(move |x| (y, x))) {
            let row = (window_y * windows.size + y + windows.shift) % rows;
            let column = (window_x * windows.size + x + windows.shift) % columns;
            tokens.push((row * columns + column, y * windows.size + x));
        }
    }
    tokens
}

/// The next eight bits of a register.
fn draw(register: &mut u32) -> u8 {
    for _ in 0..isa::mask::DRAW_BITS {
        let bit = isa::mask::TAPS.iter().fold(0, |bit, tap| bit ^ (*register >> (tap - 1) & 1));
        *register = *register << 1 | bit;
    }
    *register as u8
}
