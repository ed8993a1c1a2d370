//! Small random convolutional networks: kernels, strides and padding of any kind, layers of many terms.

use super::Random;
use model::network::{
    Axis, Grid, ImageShape, Layer, LayerId, Mask, Network, Neuron, Operation, SlotOrder, Source, Taps, Term,
    Walk, Weights, Windows,
};

/// A network of two to six layers and a readout, and an image for it.
pub fn random(seed: u64) -> (Network, Vec<u8>) {
    let mut random = Random(seed ^ 0xc0de);
    let side = |random: &mut Random| random.pick(&[1, 3, 4, 5, 7, 8, 8, 9, 12, 12, 16]);
    let image = ImageShape {
        height: side(&mut random),
        width: side(&mut random),
        channels: random.range(1, 4) as usize,
    };
    let mut b = Builder { random: &mut random, image, layers: Vec::new() };
    b.first();
    for _ in 0..b.random.range(1, 5) {
        b.layer();
    }
    b.readout();
    let layers = b.layers;
    let classes = layers.last().map_or(0, |layer| layer.channels);
    let pixels = random.bytes(image.bytes());
    let border = if random.range(0, 1) == 0 { Vec::new() } else { random.bytes(image.channels) };
    let network = Network { border, ..Network::new("random", image, classes, layers, random.next() as u32) };
    (network, pixels)
}

struct Builder<'a> {
    random: &'a mut Random,
    image: ImageShape,
    layers: Vec<Layer>,
}

impl Builder<'_> {
    fn axis(&mut self, size: usize) -> Axis {
        let kernel = self.random.pick(&[1, 1, 2, 3, 3, 3, 5, 7]);
        let padding = self.random.range(0, kernel as i64 - 1) as usize;
        let axis = Axis { kernel, stride: self.random.pick(&[1, 1, 1, 2, 3]), padding };
        if axis.along(size).is_some() { axis } else { Axis::TOKEN }
    }

    fn taps(&mut self, grid: Grid) -> Taps {
        if self.random.range(0, 3) == 0 {
            return Taps::TOKEN;
        }
        let rows = self.axis(grid.rows);
        let square = Taps { rows, columns: rows };
        if self.random.range(0, 1) == 0 && square.grid(grid).is_some() {
            return square;
        }
        Taps { rows, columns: self.axis(grid.columns) }
    }

    /// Taps that sample `source` on `grid`, if a few tries find any.
    fn taps_onto(&mut self, source: Grid, grid: Grid) -> Option<Taps> {
        let token = (source == grid && self.random.range(0, 1) == 0).then_some(Taps::TOKEN);
        token.or_else(|| (0..40).map(|_| self.taps(source)).find(|taps| taps.grid(source) == Some(grid)))
    }

    /// Rows and columns, and channels.
    fn source(&self, source: Source) -> (Grid, usize) {
        match source {
            Source::Image => (self.image.grid(), self.image.channels),
            Source::Plane(id) => (self.layers[id.0].grid, self.layers[id.0].channels),
        }
    }

    fn term(&mut self, source: Source, taps: Taps, outputs: usize) -> Term {
        let (_, inputs) = self.source(source);
        let weights = if inputs == outputs && self.random.range(0, 1) == 0 {
            Weights::Diagonal(self.random.weights(taps.count(), outputs))
        } else {
            Weights::Dense(self.random.small_weights(outputs * taps.count() * inputs))
        };
        // Sums of many inputs leave the membrane if their products are large, too.
        let few = source != Source::Image && weights.data().len() < 64 * outputs;
        let shift = if few { self.random.pick(&[0, 0, 1, 3, 7]) } else { 0 };
        Term { source, taps, weights, shift }
    }

    /// The image, in one term or two.
    fn first(&mut self) {
        let taps = self.taps(self.image.grid());
        let grid = taps.grid(self.image.grid()).unwrap();
        let outputs = self.random.pick(&[1, 3, 4, 8, 17, 40]);
        let mut terms = vec![self.term(Source::Image, taps, outputs)];
        if let (0, Some(taps)) = (self.random.range(0, 2), self.taps_onto(self.image.grid(), grid)) {
            terms.push(self.term(Source::Image, taps, outputs));
        }
        self.push("image", terms, grid, outputs, 20_000);
    }

    /// Terms of the latest plane and of others that can be sampled on the same grid.
    fn terms(&mut self, outputs: usize, taps: Taps, more: &[u32]) -> (Vec<Term>, Grid) {
        let latest = Source::Plane(LayerId(self.layers.len() - 1));
        let (from, _) = self.source(latest);
        let grid = taps.grid(from).unwrap();
        let mut terms = vec![self.term(latest, taps, outputs)];
        let own = taps == Taps::TOKEN && self.random.range(0, 1) == 0;
        let more = if own { self.random.range(1, 5) } else { i64::from(self.random.pick(more)) };
        for _ in 0..more {
            let source = Source::Plane(LayerId(self.random.range(0, self.layers.len() as i64 - 1) as usize));
            let (from, _) = self.source(source);
            let taps = if own { (from == grid).then_some(Taps::TOKEN) } else { self.taps_onto(from, grid) };
            if let Some(taps) = taps {
                let term = self.term(source, taps, outputs);
                let at = self.random.range(0, terms.len() as i64) as usize;
                terms.insert(at, term);
            }
        }
        (terms, grid)
    }

    fn layer(&mut self) {
        let latest = self.layers.last().unwrap();
        let (grid, channels) = (latest.grid, latest.channels);
        let taps = self.taps(grid);
        let outputs = self.random.pick(&[channels, channels, 2, 9, 33, 80]);
        let (terms, grid) = self.terms(outputs, taps, &[0, 0, 1, 2, 3, 20]);
        let name = format!("layer{}", self.layers.len());
        self.push(&name, terms, grid, outputs, 100);
    }

    fn push(&mut self, name: &str, terms: Vec<Term>, grid: Grid, channels: usize, scale: i64) {
        let inputs: usize = terms.iter().map(|term| term.weights.data().len() / channels).sum();
        let scale = scale * (inputs as i64).isqrt().max(1);
        let theta: Vec<i32> = (0..channels).map(|_| self.random.range(1, scale) as i32).collect();
        let walk = self.walk(&terms, grid);
        let bias = self.random.bias(channels, scale / 4);
        let ratio = self.random.pick(&[0, 0, 90, 200]);
        self.layers.push(Layer {
            walk,
            neuron: Some(self.random.pick(&[Neuron::TWO_PHASE, Neuron::TWO_PHASE, Neuron::IF, Neuron::OR])),
            order: self.random.pick(&[SlotOrder::Identity, SlotOrder::Spread].each_ref()).clone(),
            rotate: self.random.pick(&[0, 1, 3, 7]),
            mask: Mask { ratio, shared: self.random.range(0, 2) == 0, ..Mask::default() },
            ..Layer::new(name, Operation::Linear { terms, bias }, grid, theta)
        });
    }

    /// Windows of a size that divides the grid, shifted where all terms read their own tokens.
    fn walk(&mut self, terms: &[Term], grid: Grid) -> Walk {
        let divides = |size: &usize| grid.rows.is_multiple_of(*size) && grid.columns.is_multiple_of(*size);
        let shifted = terms.iter().all(|term| term.taps == Taps::TOKEN);
        if self.random.range(0, if shifted { 3 } else { 1 }) == 0 {
            return Walk::Raster;
        }
        let smallest = if shifted { 2 } else { 1 };
        let sizes: Vec<usize> = (smallest..=4).filter(divides).collect();
        let size = if sizes.is_empty() { 1 } else { self.random.pick(&sizes) };
        let shift = if shifted { self.random.range(0, size as i64 - 1) as usize } else { 0 };
        Walk::Windows(Windows { size, shift })
    }

    fn readout(&mut self) {
        let latest = self.layers.last().unwrap();
        let (grid, channels) = (latest.grid, latest.channels);
        let taps = self.taps(grid);
        let classes = self.random.pick(&[channels, 10]);
        let (mut terms, grid) = self.terms(classes, taps, &[0, 1, 2]);
        terms.iter_mut().for_each(|term| term.shift = term.shift.min(1));
        self.layers.push(Layer::readout("readout", terms, self.random.bias(classes, 99), grid));
    }
}
