//! From the nodes between activations to the terms of a sum.
//!
//! Convolutions and linear layers are dense maps, depthwise convolutions and shortcuts diagonal ones; what adds up has the terms of all addends, those that
//! read the same positions of the same source as one.

use super::expression::{Entry, Expression, Map, Positions, Term};
use crate::error::ModelError;
use crate::graph::{Conv, Groups, Linear, Node, unmappable};
use crate::network::{Source, Taps};
use std::collections::BTreeMap;

/// A convolution's map of its input.
pub(super) fn conv(node: &Node, input: &Expression, conv: &Conv) -> Result<Expression, ModelError> {
    let (outputs, inputs, _, columns) = conv.weight.dim();
    let taps = conv.taps.count();
    let weight =
        |o: usize, i: usize, tap: usize| f64::from(conv.weight[(o, i, tap / columns, tap % columns)]);
    let map = match conv.groups {
        Groups::Depthwise => Map::diagonal(outputs, taps, |o, tap| weight(o, 0, tap)),
        Groups::One => {
            let mut data = Vec::with_capacity(conv.weight.len());
            for o in 0..outputs {
                for tap in 0..taps {
                    data.extend((0..inputs).map(|i| weight(o, i, tap)));
                }
            }
            Map::Dense(data)
        }
    };
    let mut output = input.mapped(node, conv.taps, &map, outputs)?;
    add_bias(&mut output, conv.bias.as_ref());
    Ok(output)
}

/// A linear layer's map of its input.
pub(super) fn linear(node: &Node, input: &Expression, linear: &Linear) -> Result<Expression, ModelError> {
    let data = linear.weight.iter().copied().map(f64::from).collect();
    let mut output = input.mapped(node, Taps::TOKEN, &Map::Dense(data), linear.weight.nrows())?;
    add_bias(&mut output, linear.bias.as_ref());
    Ok(output)
}

fn add_bias(output: &mut Expression, bias: Option<&Vec<f32>>) {
    let Some(bias) = bias else { return };
    output.add_offset(&bias.iter().copied().map(f64::from).collect::<Vec<_>>());
}

/// The sum of expressions of one shape.
pub(super) fn add(node: &Node, inputs: &[&Expression]) -> Result<Expression, ModelError> {
    let first = inputs[0];
    let alike = inputs.iter().all(|input| (input.positions, input.grid) == (first.positions, first.grid));
    let inputs = match alike {
        true => inputs.iter().map(|&input| input.clone()).collect::<Vec<_>>(),
        false => inputs.iter().map(|input| input.spread(node)).collect::<Result<_, _>>()?,
    };
    let mut inputs = inputs.into_iter();
    let mut sum = inputs.next().expect("an add has inputs");
    for input in inputs {
        sum.add_offset(&input.offset);
        for term in input.terms {
            add_term(&mut sum.terms, term);
        }
    }
    let images = sum.terms.iter().filter(|term| term.source == Source::Image).count();
    if images != 0 && images != sum.terms.len() {
        return Err(unmappable(
            node,
            "it adds up what comes from the image itself and what comes from activations",
            "put an activation between the image and this node, and train again",
        ));
    }
    debug_assert!(sum.positions == Positions::Averaged || sum.grid == sum.shown_grid());
    Ok(sum)
}

/// Adds a term, to the one that reads the same in the same form if there is one.
fn add_term(terms: &mut Vec<Term>, term: Term) {
    for other in terms.iter_mut() {
        if (other.source, other.taps) != (term.source, term.taps) {
            continue;
        }
        match (&mut other.map, &term.map) {
            (Map::Dense(sums), Map::Dense(data)) => {
                sums.iter_mut().zip(data).for_each(|(sum, weight)| *sum += weight);
                return;
            }
            (Map::Sparse(rows), Map::Sparse(others)) => {
                for (row, other) in rows.iter_mut().zip(others) {
                    let mut sums: BTreeMap<(usize, usize), f64> = BTreeMap::new();
                    for entry in row.iter().chain(other) {
                        *sums.entry((entry.tap, entry.channel)).or_insert(0.0) += entry.gain;
                    }
                    *row =
                        sums.into_iter().map(|((tap, channel), gain)| Entry { tap, channel, gain }).collect();
                }
                return;
            }
            _ => {}
        }
    }
    terms.push(term);
}

#[cfg(test)]
mod tests {
    use super::super::samples::{node, plane, plane_of};
    use super::*;
    use crate::network::LayerId;

    #[test]
    fn shortcuts_stay_terms_of_their_own() {
        let (stream, branch) = (plane(2, 2, 3), plane_of(LayerId(1), 2, 2, 3));
        let sum = add(&node(), &[&stream, &branch]).unwrap();
        let sources: Vec<_> = sum.terms.iter().map(|term| term.source).collect();
        assert_eq!(sources, [Source::Plane(LayerId(0)), Source::Plane(LayerId(1))]);
        let twice = add(&node(), &[&sum, &stream]).unwrap();
        assert_eq!(twice.terms.len(), 2);
        assert_eq!(twice.terms[0].map.row(2, 1, 3)[0].gain, 2.0);
    }

    #[test]
    fn image_and_planes_do_not_mix() {
        let mut image = plane(2, 2, 3);
        image.terms[0].source = Source::Image;
        let said = add(&node(), &[&image, &plane(2, 2, 3)]).unwrap_err().to_string();
        assert!(said.contains("module `here`") && said.contains("activation between"), "{said}");
    }
}
