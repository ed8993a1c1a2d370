//! An integer network against the float network it comes from, layer by layer, from the same inputs.

#![allow(dead_code, reason = "each test uses its own part")]

use model::network::{Operation, Source, Taps, Term, Walk, Weights};
use model::{Checkpoint, Configured, Executor, Layer, LayerId, SpikePlane, Trace};
use ndarray::Array2;

/// How many spike counts were compared with QCFS, and how many differ.
#[derive(Debug, Default)]
pub struct Agreement {
    pub layers: usize,
    pub cells: usize,
    pub different: usize,
}

impl Agreement {
    /// Runs one image with T = levels and compares every layer.
    ///
    /// # Panics
    /// If a count differs by more than rounding of weights, bias and threshold explains.
    pub fn of(checkpoint: &Checkpoint, configured: &Configured, image: &[u8]) -> Agreement {
        let trace = Executor::new(configured).trace(image).unwrap();
        let pair = Pair { checkpoint, configured, trace: &trace, image };
        let mut result = Agreement::default();
        for (layer, plane) in configured.layers.iter().zip(&trace.planes) {
            result.layers += 1;
            pair.compare(layer, plane, &mut result);
        }
        result
    }

    pub fn add(&mut self, other: &Agreement) {
        self.layers += other.layers;
        self.cells += other.cells;
        self.different += other.different;
    }
}

/// Float drives of a layer (tokens x channels), and the sum of its inputs' rates, which rounded weights are multiplied with.
struct Drive {
    value: Array2<f64>,
    inputs: Array2<f64>,
}

struct Pair<'a> {
    checkpoint: &'a Checkpoint,
    configured: &'a Configured,
    trace: &'a Trace,
    image: &'a [u8],
}

impl Pair<'_> {
    fn compare(&self, layer: &Layer, plane: &SpikePlane, result: &mut Agreement) {
        let levels = f64::from(self.configured.time_steps());
        let (drive, units) = (self.drive(layer), self.thresholds(&layer.name));
        for ((n, c), &value) in drive.value.indexed_iter() {
            if !value.is_finite() {
                assert_eq!(plane.count(n, c), 0, "`{}`: a pair of different regions fires", layer.name);
                continue;
            }
            let neuron = if layer.theta.len() == plane.channels() {
                c
            } else {
                n / (plane.tokens() / layer.theta.len())
            };
            let exact = value * levels / f64::from(units[neuron]);
            let difference = f64::from(plane.count(n, c)) - (exact + 0.5).floor().clamp(0.0, levels);
            let to_level = (exact + 0.5 - (exact + 0.5).round()).abs();
            // Half a unit for each weight that is added and for bias, threshold and initial membrane; a unit is 1 / theta.
            let rounding = 0.5 * (levels * (drive.inputs[(n, c)] + 1.0) + exact.abs() + 1.0)
                / f64::from(layer.theta[neuron]);
            let what =
                format!("`{}`, token {n}, channel {c}: {exact} became {}", layer.name, plane.count(n, c));
            assert!(difference.abs() <= rounding + 1.0, "{what}: off by {difference}");
            assert!(difference == 0.0 || to_level < rounding + 1e-4, "{what}, no close call: {rounding}");
            result.cells += 1;
            result.different += usize::from(difference != 0.0);
        }
    }

    /// One a channel; of scores one a head.
    fn thresholds(&self, name: &str) -> &[f32] {
        let block = || self.block(name).unwrap();
        match name.rsplit('.').next().unwrap() {
            "scores" => &block().attention.score_thresholds,
            "context" => &block().attention.context_thresholds,
            _ => match self.linear(name) {
                Some(linear) => &linear.thresholds,
                None => &self.norm(name).thresholds,
            },
        }
    }

    /// What a spike of each channel stands for.
    fn units(&self, id: LayerId) -> Vec<f64> {
        self.thresholds(&self.configured.layer(id).name).iter().copied().map(f64::from).collect()
    }

    fn numbers(name: &str) -> Vec<usize> {
        name.split('.').filter_map(|part| part.parse().ok()).collect()
    }

    fn block(&self, name: &str) -> Option<&model::checkpoint::Block> {
        let numbers = Pair::numbers(name);
        self.checkpoint.stages.get(*numbers.first()?)?.blocks.get(*numbers.get(1)?)
    }

    fn merge(&self, name: &str) -> &model::checkpoint::Merge {
        self.checkpoint.stages[Pair::numbers(name)[0]].merge.as_ref().unwrap()
    }

    fn linear(&self, name: &str) -> Option<&model::checkpoint::Linear> {
        let block = self.block(name);
        Some(match (name.rsplit('.').next().unwrap(), block) {
            ("patch_embed", _) => &self.checkpoint.patch_embed,
            ("reduction", _) => &self.merge(name).reduction,
            ("q", Some(block)) => &block.attention.q,
            ("k", Some(block)) => &block.attention.k,
            ("v", Some(block)) => &block.attention.v,
            ("proj", Some(block)) => &block.attention.proj,
            ("fc1", Some(block)) => &block.fc1,
            ("fc2", Some(block)) => &block.fc2,
            _ => return None,
        })
    }

    fn norm(&self, name: &str) -> &model::checkpoint::Norm {
        match (name.rsplit('.').next().unwrap(), self.block(name)) {
            ("norm1", Some(block)) => &block.norm1,
            ("norm2", Some(block)) => &block.norm2,
            _ if name == "head.norm" => &self.checkpoint.head.norm,
            _ => &self.merge(name).norm,
        }
    }

    /// Firing rates of a plane, 0 to 1, and what a rate of 1 stands for, channel by channel.
    fn input(&self, id: LayerId) -> (Array2<f64>, Vec<f64>) {
        let plane = &self.trace.planes[id.0];
        let steps = f64::from(self.configured.time_steps());
        let rate = |(n, c)| f64::from(plane.count(n, c)) / steps;
        let rates = Array2::from_shape_fn((plane.tokens(), plane.channels()), rate);
        (rates, self.units(id))
    }

    fn drive(&self, layer: &Layer) -> Drive {
        match &layer.operation {
            Operation::Linear { terms, .. } => match &terms[..] {
                [Term { source: Source::Image, taps, .. }] => self.patches(layer, *taps),
                [Term { source: Source::Plane(input), taps, weights: Weights::Dense(_), .. }] => {
                    let (x, units) = self.input(*input);
                    let source = self.configured.layer(*input).grid;
                    let (channels, count) = (x.ncols(), taps.count());
                    let row =
                        |n| taps.positions(source, layer.grid, n).map(Option::unwrap).collect::<Vec<_>>();
                    let gathered = |(n, i): (usize, usize)| x[(row(n)[i / channels], i % channels)];
                    let x = Array2::from_shape_fn((layer.grid.tokens(), count * channels), gathered);
                    let seen = Array2::from_shape_fn(x.raw_dim(), |(n, i)| x[(n, i)] * units[i % channels]);
                    self.linear_drive(&layer.name, &x, &seen)
                }
                terms => self.stream(layer, terms),
            },
            Operation::Scores { query, key, heads, .. } => self.scores(layer, *query, *key, *heads),
            Operation::Context { scores, value, heads, .. } => self.context(layer, *scores, *value, *heads),
        }
    }

    /// The drive of the patch embedding, whose inputs are channel by channel in the checkpoint.
    fn patches(&self, layer: &Layer, taps: Taps) -> Drive {
        let (shape, size) = (self.configured.image, taps.count());
        let pixel = |(n, i): (usize, usize)| {
            let at = taps.positions(shape.grid(), layer.grid, n).nth(i % size).flatten().unwrap();
            f64::from(self.image[i / size * shape.grid().tokens() + at])
        };
        let x = Array2::from_shape_fn((layer.grid.tokens(), size * shape.channels), pixel);
        let input = &self.checkpoint.input;
        let seen = Array2::from_shape_fn(x.raw_dim(), |(n, i)| {
            (x[(n, i)] / 255.0 - input.mean[i / size]) / input.std[i / size]
        });
        // A weight is rounded for a pixel of 1, not for the largest.
        self.linear_drive(&layer.name, &x, &seen)
    }

    /// The drive of a norm of the residual stream: a diagonal term for each of its planes.
    fn stream(&self, layer: &Layer, terms: &[Term]) -> Drive {
        let norm = &self.norm(&layer.name).norm;
        let source = |term: &Term| match term.source {
            Source::Plane(id) => self.input(id),
            Source::Image => panic!("`{}` reads planes", layer.name),
        };
        let inputs: Vec<_> = terms.iter().map(source).collect();
        let total = |planes: Vec<Array2<f64>>| planes.into_iter().reduce(|a, b| a + b).unwrap();
        let weighted =
            inputs.iter().map(|(x, units)| Array2::from_shape_fn(x.raw_dim(), |(n, c)| x[(n, c)] * units[c]));
        let mut value = total(weighted.collect());
        value.indexed_iter_mut().for_each(|((_, c), y)| *y = *y * norm.gain[c] + norm.offset[c]);
        Drive { value, inputs: total(inputs.into_iter().map(|(x, _)| x).collect()) }
    }

    /// The drive of a linear layer from what its inputs, `x` in units of rounding, stand for.
    fn linear_drive(&self, name: &str, x: &Array2<f64>, seen: &Array2<f64>) -> Drive {
        let linear = self.linear(name).unwrap();
        let mut value = seen.dot(&linear.weight.mapv(f64::from).t());
        let norm = &linear.norm;
        value.indexed_iter_mut().for_each(|((_, c), y)| *y = *y * norm.gain[c] + norm.offset[c]);
        let inputs = Array2::from_shape_fn(value.raw_dim(), |(n, _)| x.row(n).sum());
        Drive { value, inputs }
    }

    /// Mean over time of what two spike trains have in common.
    fn coincidences(&self, a: (&SpikePlane, usize, usize), b: (&SpikePlane, usize, usize)) -> f64 {
        let steps = self.configured.time_steps() as usize;
        let both = (0..steps).filter(|&t| a.0.get(a.1, a.2, t) && b.0.get(b.1, b.2, t)).count();
        both as f64 / steps as f64
    }

    fn scores(&self, layer: &Layer, query: LayerId, key: LayerId, heads: usize) -> Drive {
        let Walk::Windows(windows) = layer.walk else { panic!("attention walks windows") };
        let (tokens, count) = (windows.tokens(), windows.count(layer.grid));
        let (q, k) = (&self.trace.planes[query.0], &self.trace.planes[key.0]);
        let head_size = q.channels() / heads;
        let (queries, keys) = (self.units(query), self.units(key));
        let table = &self.block(&layer.name).unwrap().attention.bias_table;
        let value = |(n, j): (usize, usize)| {
            let (head, window, i) = (n / tokens / count, n / tokens % count, n % tokens);
            if windows.region(layer.grid, window, i) != windows.region(layer.grid, window, j) {
                return f64::NEG_INFINITY;
            }
            let token = |inner| windows.token(layer.grid, window, inner);
            let channels = head * head_size..(head + 1) * head_size;
            let product = |c| queries[c] * keys[c] * self.coincidences((q, token(i), c), (k, token(j), c));
            let sum: f64 = channels.map(product).sum();
            sum / (head_size as f64).sqrt() + f64::from(table[(windows.relative(i, j), head)])
        };
        let value = Array2::from_shape_fn((heads * count * tokens, tokens), value);
        // Coincidences are exact.
        Drive { inputs: Array2::zeros(value.raw_dim()), value }
    }

    fn context(&self, layer: &Layer, scores: LayerId, value: LayerId, heads: usize) -> Drive {
        let Walk::Windows(windows) = layer.walk else { panic!("attention walks windows") };
        let (tokens, count) = (windows.tokens(), windows.count(layer.grid));
        let (a, v) = (&self.trace.planes[scores.0], &self.trace.planes[value.0]);
        let (attention, values) = (self.units(scores), self.units(value));
        let mut drive = Array2::zeros((layer.grid.tokens(), layer.channels));
        for window in 0..count {
            let token = |inner| windows.token(layer.grid, window, inner);
            for i in 0..tokens {
                for c in 0..layer.channels {
                    let row = (c / (layer.channels / heads) * count + window) * tokens + i;
                    let sum: f64 =
                        (0..tokens).map(|j| self.coincidences((a, row, j), (v, token(j), c))).sum();
                    drive[(token(i), c)] = attention[c / (layer.channels / heads)] * values[c] * sum;
                }
            }
        }
        Drive { inputs: Array2::zeros(drive.raw_dim()), value: drive }
    }
}
