//! What layers compute, in words.

use model::network::{Axis, Operation, Source, Taps, Term, Weights};
use model::{Layer, Network};

/// `image` (linear, reads the image), `linear`, `scores`, `context` or `readout`.
pub fn kind(layer: &Layer) -> &'static str {
    match &layer.operation {
        Operation::Linear { .. } if layer.neuron.is_none() => "readout",
        Operation::Linear { .. } if layer.operation.reads_image() => "image",
        Operation::Linear { .. } => "linear",
        Operation::Scores { .. } => "scores",
        Operation::Context { .. } => "context",
    }
}

/// The terms of a linear layer, as in `3x3/2 conv + identity`; none for attention.
pub fn terms(layer: &Layer) -> Option<String> {
    let Operation::Linear { terms, .. } = &layer.operation else { return None };
    let mut words: Vec<(String, usize)> = Vec::new();
    for term in terms.iter().map(term) {
        match words.last_mut() {
            Some((last, times)) if *last == term => *times += 1,
            _ => words.push((term, 1)),
        }
    }
    let words = words.into_iter().map(|(term, times)| match times {
        1 => term,
        _ => format!("{term} x{times}"),
    });
    Some(words.collect::<Vec<_>>().join(" + "))
}

/// What a layer computes, short enough for a column: the terms of a linear layer, else its kind.
pub fn words(layer: &Layer) -> String {
    match (kind(layer), terms(layer)) {
        ("readout", Some(terms)) => format!("readout: {terms}"),
        (kind, terms) => terms.unwrap_or_else(|| kind.to_owned()),
    }
}

/// `dense` and `identity` read each token's own position; `conv` and `pool` a neighbourhood, `pool` each channel its own; `image` the pixels.
fn term(term: &Term) -> String {
    let noun = match (&term.source, &term.weights, term.taps == Taps::TOKEN) {
        (Source::Image, Weights::Dense(_), _) => "image",
        (Source::Image, Weights::Diagonal(_), _) => "image by channel",
        (Source::Plane(_), Weights::Dense(_), true) => return "dense".to_owned(),
        (Source::Plane(_), Weights::Diagonal(_), true) => return "identity".to_owned(),
        (Source::Plane(_), Weights::Dense(_), false) => "conv",
        (Source::Plane(_), Weights::Diagonal(_), false) => "pool",
    };
    format!("{} {noun}", taps(term.taps))
}

/// Kernel and stride: `3x3`, `3x3/2`, `1x5/1x2`.
fn taps(Taps { rows, columns }: Taps) -> String {
    let size = |of: fn(Axis) -> usize| format!("{}x{}", of(rows), of(columns));
    let kernel = size(|axis| axis.kernel);
    match (rows.stride, columns.stride) {
        (1, 1) => kernel,
        (down, across) if down == across => format!("{kernel}/{down}"),
        _ => format!("{kernel}/{}", size(|axis| axis.stride)),
    }
}

/// Inputs of one neuron: taps times channels of dense terms, taps of diagonal ones.
pub fn fan_in(network: &Network, layer: &Layer) -> usize {
    match &layer.operation {
        Operation::Linear { terms, .. } => {
            let inputs = |term: &Term| match (&term.weights, term.source) {
                (Weights::Diagonal(_), _) => 1,
                (Weights::Dense(_), Source::Image) => network.image.channels,
                (Weights::Dense(_), Source::Plane(id)) => network.layer(id).channels,
            };
            terms.iter().map(|term| term.taps.count() * inputs(term)).sum()
        }
        Operation::Scores { query, heads, .. } => network.layer(*query).channels / heads,
        Operation::Context { scores, .. } => network.layer(*scores).channels,
    }
}

/// Number of 8-bit weights and of 32-bit biases.
pub fn stored(operation: &Operation) -> (usize, usize) {
    match operation {
        Operation::Linear { terms, bias } => {
            (terms.iter().map(|term| term.weights.data().len()).sum(), bias.len())
        }
        Operation::Scores { bias, .. } => (0, bias.len()),
        Operation::Context { .. } => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::LayerId;
    use model::network::{Grid, ImageShape};

    fn network() -> Network {
        let image = ImageShape { height: 4, width: 4, channels: 3 };
        let grid = |side| Grid { rows: side, columns: side };
        let layer = |name: &str, terms, side| {
            Layer::new(name, Operation::Linear { terms, bias: vec![0; 2] }, grid(side), vec![1; 2])
        };
        let taps = |term: Term, kernel, stride, padding| Term {
            taps: Taps::square(kernel, stride, padding),
            ..term
        };
        let dense = |id, weights| Term::dense(LayerId(id), vec![0; weights]);
        let diagonal = |id, weights| Term::diagonal(LayerId(id), vec![0; weights]);
        let pixels = Term { source: Source::Image, ..dense(0, 2 * 4 * 3) };
        let layers = vec![
            layer("patch", vec![taps(pixels, 2, 2, 0)], 2),
            layer("conv", vec![taps(dense(0, 2 * 9 * 2), 3, 1, 1), diagonal(0, 2)], 2),
            layer("add", vec![diagonal(0, 2), diagonal(1, 2), dense(1, 4)], 2),
            layer("pool", vec![taps(diagonal(2, 4 * 2), 2, 2, 0)], 1),
            Layer::readout("head", vec![dense(3, 2 * 2)], vec![0; 2], grid(1)),
        ];
        Network::new("words", image, 2, layers, 1)
    }

    #[test]
    fn layers_say_what_they_compute() {
        let network = network();
        network.validate().unwrap();
        let words: Vec<String> = network.layers.iter().map(words).collect();
        assert_eq!(
            words,
            ["2x2/2 image", "3x3 conv + identity", "identity x2 + dense", "2x2/2 pool", "readout: dense"]
        );
        let kinds: Vec<&str> = network.layers.iter().map(kind).collect();
        assert_eq!(kinds, ["image", "linear", "linear", "linear", "readout"]);
        let fan_in: Vec<usize> = network.layers.iter().map(|layer| fan_in(&network, layer)).collect();
        assert_eq!(fan_in, [12, 19, 4, 4, 2]);
        assert_eq!(stored(&network.layers[1].operation), (38, 2));
    }

    #[test]
    fn sides_that_differ_are_both_told() {
        let axis = |kernel, stride| Axis { kernel, stride, padding: 0 };
        assert_eq!(taps(Taps { rows: axis(1, 1), columns: axis(5, 2) }), "1x5/1x2");
    }

    /// What costs are told by is what the model calls it.
    #[test]
    fn kinds_are_those_of_the_work() {
        let configured = network().configure(&model::RunOptions::new(4)).unwrap();
        let image = vec![0; configured.image.bytes()];
        let trace = model::Executor::new(&configured).trace(&image).unwrap();
        let core = isa::CoreConfig::preset("tiny").unwrap();
        let work = model::work::work(&configured, &image, &trace, &core);
        for (layer, work) in configured.layers.iter().zip(work) {
            assert_eq!(kind(layer), work.operation);
        }
    }
}
