//! Linear layers of every shape: the reference against plain loops, written from the contract of [`model::network`].

mod plain;
mod synthetic;

use model::network::{
    Axis, Grid, ImageShape, Mask, Neuron, Operation, Reset, SlotOrder, Source, Taps, Term, Walk, Weights,
    Windows,
};
use model::{Configured, Executor, Layer, LayerId, ModelError, Network, RunOptions, SpikePlane, synapses};
use proptest::prelude::*;
use synthetic::Random;

/// Draws networks.
struct Draw(Random);

impl Draw {
    fn size(&mut self, low: usize, high: usize) -> usize {
        low + self.0.bits() as usize % (high - low + 1)
    }

    fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.size(0, choices.len() - 1)].clone()
    }

    /// Some axis over `size` positions, to `tokens` if given.
    fn axis(&mut self, size: usize, tokens: Option<usize>) -> Option<Axis> {
        let mut axes = Vec::new();
        for kernel in 1..=7 {
            for (stride, padding) in
                (1..=4).flat_map(|stride| (0..=kernel + 1).map(move |padding| (stride, padding)))
            {
                let axis = Axis { kernel, stride, padding };
                let fits = axis.along(size).is_some_and(|along| tokens.is_none_or(|tokens| tokens == along));
                axes.extend(fits.then_some(axis));
            }
        }
        (!axes.is_empty()).then(|| self.pick(&axes))
    }

    /// Taps over `source`, to `grid` if given.
    fn taps(&mut self, source: Grid, grid: Option<Grid>) -> Option<Taps> {
        if self.size(0, 3) == 0 && grid.is_none_or(|grid| grid == source) {
            return Some(Taps::TOKEN);
        }
        let rows = self.axis(source.rows, grid.map(|grid| grid.rows))?;
        Some(Taps { rows, columns: self.axis(source.columns, grid.map(|grid| grid.columns))? })
    }

    fn weights(&mut self, count: usize, reach: i32) -> Vec<i8> {
        let reach = reach as usize;
        (0..count).map(|_| (self.size(0, 2 * reach + 1) as i32 - reach as i32 - 1) as i8).collect()
    }

    /// A term for `outputs` channels on `grid` (any, if none is given yet), or none where no taps fit.
    fn term(
        &mut self,
        (source, shape): (Source, (Grid, usize)),
        grid: Option<Grid>,
        outputs: usize,
        reach: i32,
    ) -> Option<Term> {
        let taps = self.taps(shape.0, grid)?;
        let weights = if shape.1 == outputs && self.size(0, 1) == 0 {
            Weights::Diagonal(self.weights(taps.count() * outputs, reach))
        } else {
            Weights::Dense(self.weights(outputs * taps.count() * shape.1, reach))
        };
        let shift = if self.size(0, 2) == 0 { self.size(0, 4) as u32 } else { 0 };
        Some(Term { source, taps, weights, shift })
    }

    /// A linear layer of up to `terms` terms that read some of `sources`.
    fn layer(
        &mut self,
        name: &str,
        sources: &[(Source, (Grid, usize))],
        terms: usize,
        outputs: usize,
        reach: i32,
    ) -> Layer {
        let (mut drawn, mut grid) = (Vec::<Term>::new(), None);
        for _ in 0..self.size(1, terms) {
            let source = self.pick(sources);
            let Some(term) = self.term(source, grid, outputs, reach) else { continue };
            grid = grid.or_else(|| term.taps.grid(source.1.0));
            drawn.push(term);
        }
        let grid = grid.expect("the first term fits");
        let bias = (0..outputs).map(|_| self.size(0, 40) as i32 - 20).collect();
        let theta: Vec<i32> = (0..outputs).map(|_| self.pick(&[1, 7, 40, 300])).collect();
        let neuron = self.pick(&[Neuron::TWO_PHASE, Neuron::IF, Neuron::OR]);
        let ratio = if self.size(0, 2) == 0 { self.size(1, 255) as u8 } else { 0 };
        let walk = self.walk(grid, &drawn);
        let label = self.pick(&[None, Some("conv".to_owned())]);
        Layer {
            neuron: Some(neuron),
            walk,
            order: self.pick(&[SlotOrder::Identity, SlotOrder::Spread]),
            rotate: self.size(0, 5) as u32,
            v0: (0..outputs).map(|_| self.size(0, 60) as i32 - 20).collect(),
            mask: Mask { label, ratio, shared: self.size(0, 1) == 0, draws_of: None },
            ..Layer::new(name, Operation::Linear { terms: drawn, bias }, grid, theta)
        }
    }

    fn walk(&mut self, grid: Grid, terms: &[Term]) -> Walk {
        let fits = |size: &usize| grid.rows.is_multiple_of(*size) && grid.columns.is_multiple_of(*size);
        let sizes: Vec<usize> = (1..=4).filter(fits).collect();
        let size = self.pick(&sizes);
        let shift =
            if terms.iter().all(|term| term.taps == Taps::TOKEN) { self.size(0, size - 1) } else { 0 };
        if self.size(0, 1) == 0 { Walk::Raster } else { Walk::Windows(Windows { size, shift }) }
    }

    /// Three layers that read the image, one with up to `terms` terms that read those, and a readout of some of all.
    fn network(&mut self, terms: usize) -> Network {
        let image = ImageShape { height: self.size(1, 9), width: self.size(1, 9), channels: self.size(1, 3) };
        let border = if self.size(0, 1) == 0 {
            Vec::new()
        } else {
            (0..image.channels).map(|_| self.size(0, 255) as u8).collect()
        };
        let pixels = [(Source::Image, (image.grid(), image.channels))];
        let outputs = self.size(1, 5);
        let mut layers = Vec::new();
        for index in 0..3 {
            // Diagonal terms need as many channels as outputs.
            let channels = if self.size(0, 1) == 0 { outputs } else { self.size(1, 6) };
            layers.push(self.layer(&format!("image {index}"), &pixels, 3, channels, 20));
        }
        let outputs = if terms < 4 && self.size(0, 2) == 0 { self.size(30, 70) } else { outputs };
        let reach = self.pick(&[3, 30, 127]);
        layers.push(self.layer("linear", &planes(&layers), terms, outputs, reach));
        let Layer { operation, grid, .. } = self.layer("readout", &planes(&layers), 4, 4, 127);
        let Operation::Linear { terms, bias } = operation else { unreachable!() };
        layers.push(Layer::readout("readout", terms, bias, grid));
        let seed = self.size(0, 1000) as u32;
        Network { border, ..Network::new("linear", image, 4, layers, seed) }
    }
}

/// What layers can be read from, with grid and channels.
fn planes(layers: &[Layer]) -> Vec<(Source, (Grid, usize))> {
    let of = |(index, layer): (usize, &Layer)| (Source::Plane(LayerId(index)), (layer.grid, layer.channels));
    layers.iter().enumerate().map(of).collect()
}

/// The network, with weights halved until no sum leaves 32 bits.
fn configured(mut network: Network, time_steps: u32) -> Configured {
    loop {
        let found = network.configure(&RunOptions { membrane_bits: 32, ..RunOptions::new(time_steps) });
        match found {
            Ok(configured) => return configured,
            Err(ModelError::Overflow { .. }) => network.layers.iter_mut().for_each(halve),
            Err(error) => panic!("{error}: {network:?}"),
        }
    }
}

fn halve(layer: &mut Layer) {
    let Operation::Linear { terms, .. } = &mut layer.operation else { return };
    for term in terms {
        let (Weights::Dense(data) | Weights::Diagonal(data)) = &mut term.weights;
        data.iter_mut().for_each(|weight| *weight /= 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_reference_equals_plain_loops(seed: u64, time_steps in 1u32..70, many in any::<bool>()) {
        let mut draw = Draw(Random(seed));
        let network = configured(draw.network(if many { 20 } else { 3 }), time_steps);
        let image = synthetic::image_of(seed, network.image.bytes());
        let trace = Executor::new(&network).trace(&image).unwrap();
        let run = plain::run(&network, &image);
        for (index, (plane, expected)) in trace.planes.iter().zip(&run.planes).enumerate() {
            let layer = &network.layers[index];
            for (token, channels) in expected.iter().enumerate() {
                for (channel, train) in channels.iter().enumerate() {
                    let found: Vec<bool> = (0..time_steps as usize).map(|t| plane.get(token, channel, t)).collect();
                    prop_assert_eq!(&found, train, "token {}, channel {} of {:?}", token, channel, layer);
                }
            }
        }
        for (index, reached) in run.reached.iter().enumerate() {
            let bounds = network.bounds(LayerId(index));
            prop_assert!(bounds.low <= reached.low && reached.high <= bounds.high, "{:?} beyond {:?}", reached, bounds);
        }
        let logits: Vec<i64> = trace.logits.into_iter().map(i64::from).collect();
        prop_assert_eq!(logits, run.logits);
    }

    /// If every neuron spiked once and every pixel were a spike, the synaptic events would be the products.
    #[test]
    fn products_are_the_events_of_one_spike_each(seed: u64, many in any::<bool>()) {
        let network = Draw(Random(seed)).network(if many { 20 } else { 3 });
        let products = synapses::products(&network);
        let planes: Vec<SpikePlane> = network.layers[..network.layers.len() - 1].iter().map(|layer| {
            let mut plane = SpikePlane::new(layer.grid.tokens(), layer.channels, 1);
            let cells = (0..layer.grid.tokens()).flat_map(|token| (0..layer.channels).map(move |channel| (token, channel)));
            cells.for_each(|(token, channel)| plane.set(token, channel, 0, true));
            plane
        }).collect();
        let events = synapses::events(&network, &planes);
        for (index, layer) in network.layers.iter().enumerate() {
            let Operation::Linear { terms, .. } = &layer.operation else { unreachable!() };
            if !layer.operation.reads_image() {
                prop_assert_eq!(products[index], events[index]);
                continue;
            }
            let grid = network.image.grid();
            let each = |term: &Term| {
                let positions = |token| term.taps.positions(grid, layer.grid, token).flatten().count();
                let inputs = (0..layer.grid.tokens()).map(positions).sum::<usize>() * network.image.channels;
                if let Weights::Dense(_) = term.weights { inputs * layer.channels } else { inputs }
            };
            prop_assert_eq!(products[index], terms.iter().map(each).sum::<usize>() as u64);
        }
    }

    /// A two-phase neuron in slot order spikes first and is silent then, so the OR of neighbours spikes as often as the one that does most.
    #[test]
    fn the_or_of_thermometers_is_the_maximum_of_counts(seed: u64, time_steps in 1u32..70) {
        let mut draw = Draw(Random(seed));
        let mut network = draw.network(1);
        let channels = network.layers[0].channels;
        let (order, rotate) = (SlotOrder::Identity, 0);
        let source = Layer { neuron: Some(Neuron::TWO_PHASE), order, rotate, mask: Mask::default(), ..network.layers[0].clone() };
        let taps = draw.taps(source.grid, None).unwrap();
        let ones = Weights::Diagonal(vec![1; taps.count() * channels]);
        let term = Term { taps, weights: ones, ..Term::dense(LayerId(0), Vec::new()) };
        let operation = Operation::Linear { terms: vec![term], bias: vec![0; channels] };
        let grid = taps.grid(source.grid).unwrap();
        let neuron = Some(Neuron::OR);
        let pool = Layer { neuron, ..Layer::new("pool", operation, grid, vec![1; channels]) };
        let readout = Layer::readout("readout", vec![Term::dense(LayerId(1), vec![1; 4 * channels])], vec![0; 4], grid);
        let source_grid = source.grid;
        network.layers = vec![source, pool, readout];
        // Pools stay what they are when the neurons of a run are chosen.
        let options = RunOptions { schedule: Some(isa::Schedule::AfterAll), membrane_bits: 32, ..RunOptions::new(time_steps) };
        let network = network.configure(&options).unwrap();
        let trace = Executor::new(&network).trace(&synthetic::image_of(seed, network.image.bytes())).unwrap();
        for token in 0..grid.tokens() {
            for channel in 0..channels {
                let counts = taps.positions(source_grid, grid, token).flatten();
                let most = counts.map(|at| trace.planes[0].count(at, channel)).max().unwrap_or(0);
                prop_assert_eq!(trace.planes[1].count(token, channel), most);
                prop_assert!((0..time_steps as usize).all(|t| trace.planes[1].get(token, channel, t) == (t < most as usize)));
            }
        }
    }
}

/// Inputs of one sign's weights alone are there: sums reach the ends of their bounds, and no further.
#[test]
fn bounds_are_reached() {
    let grid = Grid { rows: 3, columns: 3 };
    for (neuron, time_steps, positive) in [(Neuron::TWO_PHASE, 9), (Neuron::IF, 1), (Neuron::OR, 1)]
        .into_iter()
        .flat_map(|(neuron, time_steps)| [true, false].map(|positive| (neuron, time_steps, positive)))
    {
        // Channel 0 has the positive weights; the channel of the sign asked for spikes always, the other never.
        let drives: [i32; 2] = if positive { [1, 0] } else { [0, 1] };
        let image = |taps: Taps, weights| Term {
            source: Source::Image,
            taps,
            weights: Weights::Dense(weights),
            shift: 0,
        };
        let source = Layer {
            neuron: Some(Neuron::IF),
            v0: vec![0; 2],
            ..Layer::new(
                "source",
                Operation::Linear { terms: vec![image(Taps::TOKEN, vec![0; 4])], bias: drives.to_vec() },
                grid,
                vec![1; 2],
            )
        };
        let taps = Taps::square(3, 1, 1);
        let plane = |weights, shift| Term { taps, weights, shift, ..Term::dense(LayerId(0), Vec::new()) };
        let signs = |positive: i8, negative: i8| [positive, negative].repeat(9);
        let dense = signs(100, -90).into_iter().chain(signs(3, -4)).collect();
        let terms = vec![plane(Weights::Dense(dense), 1), plane(Weights::Diagonal(signs(5, -6)), 3)];
        let spikes = Operation::Linear { terms, bias: vec![7, 2] };
        let bytes = Operation::Linear { terms: vec![image(taps, signs(11, -12))], bias: vec![-3] };
        let layer = |name: &str, operation, channels| Layer {
            neuron: Some(neuron),
            v0: vec![3; channels],
            ..Layer::new(name, operation, grid, vec![1; channels])
        };
        let readout = Layer::readout("readout", vec![Term::dense(LayerId(0), vec![9, -8])], vec![5], grid);
        let layers = vec![source, layer("spikes", spikes, 2), layer("bytes", bytes, 1), readout];
        let shape = ImageShape { height: 3, width: 3, channels: 2 };
        let network =
            Network::new("bounds", shape, 1, layers, 1).configure(&RunOptions::new(time_steps)).unwrap();
        let lit: Vec<u8> = drives.iter().flat_map(|&drive| [255 * drive as u8; 9]).collect();
        let run = plain::run(&network, &lit);
        for index in 1..4 {
            let (bounds, reached) = (network.bounds(LayerId(index)), run.reached[index]);
            let [found, expected] =
                if positive { [reached.high, bounds.high] } else { [reached.low, bounds.low] };
            assert_eq!(found, expected, "{neuron:?}, `{}`", network.layers[index].name);
        }
        let trace = Executor::new(&network).trace(&lit).unwrap();
        assert_eq!(i64::from(trace.logits[0]), run.logits[0]);
    }
}

/// A layer that always fires shows its mask.
fn masked(mask: Mask, walk: Walk) -> Network {
    let grid = Grid { rows: 4, columns: 4 };
    let terms = vec![Term { source: Source::Image, ..Term::dense(LayerId(0), vec![0; 5]) }];
    let fires = Operation::Linear { terms, bias: vec![1; 5] };
    let linear = Layer { walk, mask: mask.clone(), ..Layer::new("linear", fires, grid, vec![1; 5]) };
    let (query, key) = (LayerId(0), LayerId(0));
    let windows = Windows { size: 2, shift: 0 };
    let scores = Operation::Scores { query, key, heads: 1, bias: vec![90; windows.positions()], fraction: 0 };
    let scores = Layer {
        channels: 4,
        walk: Walk::Windows(windows),
        mask,
        ..Layer::new("scores", scores, grid, vec![1])
    };
    let readout = Layer::readout("readout", vec![Term::dense(LayerId(0), vec![0; 5])], vec![0], grid);
    let image = ImageShape { height: 4, width: 4, channels: 1 };
    Network::new("masked", image, 1, vec![linear, scores, readout], 7)
}

#[test]
fn masks_shared_by_tokens_drop_alike() {
    for (time_steps, walk) in
        [(5, Walk::Raster), (8, Walk::Windows(Windows { size: 2, shift: 1 })), (19, Walk::Raster)]
    {
        let planes = |shared| {
            let network = masked(Mask { ratio: 100, shared, ..Mask::default() }, walk);
            let network = network.configure(&RunOptions::new(time_steps)).unwrap();
            Executor::new(&network).trace(&[0; 16]).unwrap().planes
        };
        let (shared, running) = (planes(true), planes(false));
        let (linear, scores) = (&shared[0], &shared[1]);
        let first = walk.steps(Grid { rows: 4, columns: 4 }).next().unwrap().token;
        assert_eq!(linear.row(first), running[0].row(first), "the first token drops what it dropped");
        assert!((0..16).all(|token| linear.row(token) == linear.row(first)));
        assert!((0..16).any(|token| running[0].row(token) != running[0].row(first)));
        let kept = linear.spikes() as f64 / f64::from(16 * 5 * time_steps);
        assert!((0.3..0.9).contains(&kept), "{kept}");
        // Each window has its own registers, which start over at each query.
        for window in 0..4 {
            assert_eq!(scores.row(4 * window), running[1].row(4 * window));
            assert!((1..4).all(|query| scores.row(4 * window + query) == scores.row(4 * window)));
        }
        assert!((1..4).any(|window| scores.row(4 * window) != scores.row(0)));
    }
}

#[test]
fn masks_with_the_same_draws_keep_the_same_slots() {
    let planes = |draws_of: Option<&str>| {
        let mut network = masked(Mask { ratio: 100, shared: true, ..Mask::default() }, Walk::Raster);
        let again = Layer { name: "again".to_owned(), ..network.layers[0].clone() };
        network.layers.insert(2, again);
        network.layers[2].mask.draws_of = draws_of.map(str::to_owned);
        Executor::new(&network.configure(&RunOptions::new(8)).unwrap()).trace(&[0; 16]).unwrap().planes
    };
    let (same, own) = (planes(Some("linear")), planes(None));
    assert_eq!(same[2].row(0), same[0].row(0));
    assert_ne!(own[2].row(0), own[0].row(0));
}

#[test]
fn hard_reset_is_a_matter_of_the_neuron() {
    assert_eq!((Neuron::OR.name(), Neuron::OR.reset), ("if_hard_reset", Reset::Zero));
}
