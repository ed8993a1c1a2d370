//! Attention: keys, values, queries, scores, context and projection.

use super::Shape;
use super::builder::{Builder, Fate, Place};
use super::linear::Reading;
use model::network::{Layer, LayerId, Operation, Source, Taps, Walk, Windows};

impl Builder {
    /// Attention and a projection to the channels of `stream`; `None` if no window fits the grid or the budget.
    pub fn attention(&mut self, input: LayerId, stream: LayerId) -> Option<LayerId> {
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
            1.5 * cost < self.budget || matches!(self.shape, Shape::Window(_))
        };
        let rows = |head_size: usize| head_size.next_multiple_of(16) * self.time_steps.div_ceil(8);
        let (heads, head_size) = tries.into_iter().find(|tried| affordable(tried) && rows(tried.1) <= 512)?;
        let keys = windows.tokens().next_multiple_of(16) * self.time_steps.div_ceil(8);
        if keys > 512 && self.shape == Shape::Ordinary {
            return None;
        }
        let channels = heads * head_size;
        let mut site = || self.operand(input, channels, heads, place);
        let (key, value, query) = (site(), site(), site());
        let scores = self.scores([query, key], heads, windows, place);
        let context = self.context([scores, value], heads, windows, place);
        let outputs = self.network.layer(stream).channels;
        Some(self.dense(context, Some(outputs), Taps::TOKEN))
    }

    /// Queries, keys or values: of each token, or of what taps see around it, and of other planes.
    fn operand(&mut self, input: LayerId, channels: usize, heads: usize, place: Place) -> LayerId {
        let source = self.network.layer(input).grid;
        let shifted = matches!(place.walk, Walk::Windows(Windows { shift: 1.., .. }));
        let plain = self.shape != Shape::Ordinary || self.random.chance(1, 2);
        let taps = if plain || shifted {
            Taps::TOKEN
        } else {
            let most = (100 / self.network.layer(input).channels).max(1);
            self.taps_between(source, place.grid, most).unwrap_or(Taps::TOKEN)
        };
        let mut readings = vec![Reading::dense(Source::Plane(input), taps)];
        if !plain {
            let alike = |id: &LayerId| self.network.layer(*id).grid == place.grid;
            let others: Vec<LayerId> = self.raster.iter().copied().filter(alike).collect();
            let other = self.random.pick(&others);
            let own = self.network.layer(other).channels == channels && self.lies_flat(other);
            let diagonal = own && (heads == 1 || (channels / heads).is_multiple_of(16));
            let shift = self.random.size(0, 7) as u32;
            readings.push(Reading { source: Source::Plane(other), taps: Taps::TOKEN, diagonal, shift });
        }
        let id = self.linear("dense", &readings, Some(channels), place);
        // It lies window by window.
        self.raster.retain(|other| *other != id);
        id
    }

    pub fn scores(
        &mut self,
        [query, key]: [LayerId; 2],
        heads: usize,
        windows: Windows,
        place: Place,
    ) -> LayerId {
        let fraction = self.random.size(0, 7) as u32;
        let head_size = self.network.layer(query).channels / heads;
        let coincidences =
            head_size as f64 * self.rates[query.0] * self.rates[key.0] * f64::from(1 << fraction);
        let theta: Vec<i32> =
            (0..heads).map(|_| self.random.between(1, (2.0 * coincidences) as i64 + 2) as i32).collect();
        let reach = (12_000 / self.time_steps as i64).min(i64::from(theta[0]));
        let bias =
            (0..heads * windows.positions()).map(|_| self.random.between(-reach, reach / 2) as i32).collect();
        let operation = Operation::Scores { query, key, heads, bias, fraction };
        let fate = Fate { v0: self.initial(&theta), theta, rate: 0.4 };
        self.push("scores", operation, windows.tokens(), place, fate)
    }

    pub fn context(
        &mut self,
        [scores, value]: [LayerId; 2],
        heads: usize,
        windows: Windows,
        place: Place,
    ) -> LayerId {
        let fraction = self.random.size(0, 7) as u32;
        let channels = self.network.layer(value).channels;
        let coincidences = windows.tokens() as f64 * 0.4 * self.rates[value.0] * f64::from(1 << fraction);
        let theta: Vec<i32> =
            (0..channels).map(|_| self.random.between(1, (3.0 * coincidences) as i64 + 2) as i32).collect();
        let operation = Operation::Context { scores, value, heads, fraction };
        let fate = Fate { v0: self.initial(&theta), theta, rate: 0.6 };
        self.push("context", operation, channels, place, fate)
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
}
