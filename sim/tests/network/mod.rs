//! Small random networks with every operation, from a seed: transformers here, [convolutions](conv) beside.

#[allow(dead_code, reason = "not every test that has these networks runs convolutions")]
pub mod conv;

use model::network::{
    Grid, ImageShape, Layer, LayerId, Mask, Network, Neuron, Operation, SlotOrder, Source, Taps, Term, Walk,
    Weights, Windows,
};

/// SplitMix64: enough randomness for weights and images.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub fn range(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1) as u64) as i64
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.next() as usize % of.len()]
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// What is drawn for a network.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub windows: Windows,
    pub grid: Grid,
    pub heads: usize,
    pub head_size: usize,
    pub masked: bool,
    pub neuron: Option<Neuron>,
}

impl Shape {
    pub fn random(random: &mut Random) -> Shape {
        let size = random.pick(&[2, 2, 3, 4]);
        let (down, across) = (random.range(1, 2) as usize * 2, random.range(1, 3) as usize * 2);
        Shape {
            windows: Windows { size, shift: random.range(0, size as i64 - 1) as usize },
            grid: Grid { rows: size * down, columns: size * across },
            heads: random.range(1, 3) as usize,
            head_size: random.range(1, 18) as usize,
            masked: random.range(0, 1) == 1,
            neuron: random.pick(&[None, Some(Neuron::IF), Some(Neuron::TWO_PHASE)]),
        }
    }
}

/// A network of one attention block, an MLP and patch merging, and an image for it.
pub fn random(seed: u64) -> (Network, Vec<u8>) {
    let mut random = Random(seed);
    let shape = Shape::random(&mut random);
    with_shape(&mut random, shape)
}

pub fn with_shape(random: &mut Random, shape: Shape) -> (Network, Vec<u8>) {
    let image_channels = random.range(1, 3) as usize;
    let image =
        ImageShape { height: 2 * shape.grid.rows, width: 2 * shape.grid.columns, channels: image_channels };
    let channels = shape.heads * shape.head_size;
    let hidden = random.range(1, 40) as usize;
    let half = Grid { rows: shape.grid.rows / 2, columns: shape.grid.columns / 2 };
    let windows = Walk::Windows(shape.windows);
    let mut b = Builder { random, layers: Vec::new(), shape };

    let embed = b.embed(Taps::square(3, 2, 1), image_channels, channels);
    let norm = b.shortcut(&[embed], channels);
    let q = b.dense("q", norm, channels, channels, windows);
    let k = b.dense("k", norm, channels, channels, windows);
    let v = b.dense("v", norm, channels, channels, windows);
    let scores = b.scores(q, k);
    let context = b.context(scores, v, channels);
    let proj = b.dense("proj", context, channels, channels, Walk::Raster);
    let norm = b.shortcut(&[embed, proj], channels);
    let fc1 = b.dense("fc1", norm, channels, hidden, Walk::Raster);
    let fc2 = b.dense("fc2", fc1, hidden, channels, Walk::Raster);
    let norm = b.shortcut(&[embed, proj, fc2], channels);
    let merge = b.merge(norm, channels, channels + 3, half);
    let classes = b.random.range(1, 20) as usize;
    b.readout(merge, channels + 3, classes, half);

    let layers = b.layers;
    let pixels = random.bytes(image.bytes());
    let any = random.next() as u32;
    let network = Network::new("random", image, classes, layers, random.pick(&[any, any, 0, u32::MAX]));
    (network, pixels)
}

struct Builder<'a> {
    random: &'a mut Random,
    layers: Vec<Layer>,
    shape: Shape,
}

impl Random {
    /// Rows of weights of which one in four has the ends of the range.
    fn weights(&mut self, outputs: usize, inputs: usize) -> Vec<i8> {
        let row = |random: &mut Random| {
            let extreme = random.range(0, 3) == 0;
            let weight = |random: &mut Random| match extreme {
                true => random.pick(&[i8::MIN, -127, 0, 127]),
                false => random.range(-40, 60) as i8,
            };
            (0..inputs).map(|_| weight(random)).collect::<Vec<_>>()
        };
        (0..outputs).flat_map(|_| row(self)).collect()
    }

    /// Weights of pixels, which stay small so that sums fit 24 bits.
    fn small_weights(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| self.range(-40, 60) as i8).collect()
    }

    fn bias(&mut self, count: usize, span: i64) -> Vec<i32> {
        (0..count).map(|_| self.range(-span, span) as i32).collect()
    }
}

impl Builder<'_> {
    fn push(
        &mut self,
        name: &str,
        operation: Operation,
        grid: Grid,
        channels: usize,
        walk: Walk,
        theta: (usize, i64),
    ) -> LayerId {
        let (count, scale) = theta;
        let theta: Vec<i32> = (0..count).map(|_| self.random.range(scale / 3 + 1, scale) as i32).collect();
        let neuron = self.shape.neuron.unwrap_or_else(|| self.random.pick(&[Neuron::IF, Neuron::TWO_PHASE]));
        let ratio = if self.shape.masked { self.random.pick(&[0, 64, 192, 255]) } else { 0 };
        let mask = Mask { ratio, shared: self.random.range(0, 3) == 0, ..Mask::labelled("any") };
        self.layers.push(Layer {
            channels,
            walk,
            neuron: Some(neuron),
            order: self.random.pick(&[SlotOrder::Identity, SlotOrder::Spread].each_ref()).clone(),
            rotate: self.random.pick(&[0, 1, 2, 5, 9, u32::MAX]),
            mask: if self.shape.masked { mask } else { Mask::default() },
            ..Layer::new(name, operation, grid, theta)
        });
        LayerId(self.layers.len() - 1)
    }

    fn embed(&mut self, taps: Taps, image_channels: usize, channels: usize) -> LayerId {
        let inputs = taps.count() * image_channels;
        let weights = Weights::Dense(self.random.small_weights(channels * inputs));
        let terms = vec![Term { source: Source::Image, taps, weights, shift: 0 }];
        let operation = Operation::Linear { terms, bias: self.random.bias(channels, 900) };
        let scale = 900 * inputs as i64;
        self.push("embed", operation, self.shape.grid, channels, Walk::Raster, (channels, scale))
    }

    fn dense(&mut self, name: &str, input: LayerId, inputs: usize, channels: usize, walk: Walk) -> LayerId {
        let terms = vec![Term::dense(input, self.random.weights(channels, inputs))];
        let operation = Operation::Linear { terms, bias: self.random.bias(channels, 30) };
        self.push(name, operation, self.shape.grid, channels, walk, (channels, 9 * inputs as i64))
    }

    fn merge(&mut self, input: LayerId, inputs: usize, channels: usize, grid: Grid) -> LayerId {
        let taps = Taps::square(2, 2, 0);
        let terms = vec![Term { taps, ..Term::dense(input, self.random.weights(channels, 4 * inputs)) }];
        let operation = Operation::Linear { terms, bias: self.random.bias(channels, 30) };
        self.push("merge", operation, grid, channels, Walk::Raster, (channels, 36 * inputs as i64))
    }

    fn shortcut(&mut self, inputs: &[LayerId], channels: usize) -> LayerId {
        let terms = inputs.iter().map(|&input| Term::diagonal(input, self.random.weights(1, channels)));
        let terms = terms.collect();
        let operation = Operation::Linear { terms, bias: self.random.bias(channels, 10) };
        let name = format!("norm{}", self.layers.len());
        self.push(&name, operation, self.shape.grid, channels, Walk::Raster, (channels, 30))
    }

    fn scores(&mut self, query: LayerId, key: LayerId) -> LayerId {
        let Shape { windows, heads, grid, .. } = self.shape;
        let fraction = self.random.range(0, 7) as u32;
        let bias = self.random.bias(heads * windows.positions(), 2);
        let operation = Operation::Scores { query, key, heads, bias, fraction };
        let theta = (heads, 3 << fraction);
        self.push("scores", operation, grid, windows.tokens(), Walk::Windows(windows), theta)
    }

    fn context(&mut self, scores: LayerId, value: LayerId, channels: usize) -> LayerId {
        let Shape { windows, heads, grid, .. } = self.shape;
        let fraction = self.random.range(0, 7) as u32;
        let operation = Operation::Context { scores, value, heads, fraction };
        self.push("context", operation, grid, channels, Walk::Windows(windows), (channels, 2 << fraction))
    }

    fn readout(&mut self, input: LayerId, inputs: usize, classes: usize, grid: Grid) {
        let terms = vec![Term::dense(input, self.random.weights(classes, inputs))];
        self.layers.push(Layer::readout("readout", terms, self.random.bias(classes, 99), grid));
    }
}
