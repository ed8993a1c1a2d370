//! The checks of a linear layer: its terms, their taps and their weights.

use super::{Check, MAX_LAYERS};
use crate::error::ModelError;
use crate::network::{Axis, Grid, Source, Taps, Term, Walk, Weights, Windows};

/// Largest number of inputs of a neuron, over all terms and taps: their products with counts up to 256 then sum up in 64 bits whatever
/// their shifts.
const MAX_FAN_IN: usize = 1 << 15;
/// Largest kernel and stride in positions.
const MAX_TAPS: usize = 256;
/// Largest padding, so that starts of passes stay far inside their field.
pub(crate) const MAX_PADDING: usize = 255;
/// Largest shift of a term.
const MAX_SHIFT: usize = 7;

impl Check<'_> {
    pub(super) fn linear(&self, terms: &[Term], bias: &[i32]) -> Result<(), ModelError> {
        self.within("number of terms", terms.len(), 1, MAX_LAYERS)?;
        self.equal("number of biases", bias.len(), self.layer.channels)?;
        self.sources(terms)?;
        let mut fan_in = 0usize;
        for (index, term) in terms.iter().enumerate() {
            fan_in = fan_in.saturating_add(self.term(index, term)?);
        }
        self.within("fan-in (taps times channels, over all terms)", fan_in, 1, MAX_FAN_IN)
    }

    /// All terms read the image, or all read planes.
    fn sources(&self, terms: &[Term]) -> Result<(), ModelError> {
        let image = |term: &Term| term.source == Source::Image;
        if let Some(index) = terms.iter().position(|term| image(term) != image(&terms[0])) {
            let [found, allowed] =
                if image(&terms[0]) { ["a plane", "the image"] } else { ["the image", "a plane"] };
            let allowed = format!("{allowed}, as in the terms before it: a layer reads either");
            return Err(self.error(&format!("source of term {index}"), found, allowed));
        }
        if image(&terms[0]) && self.layer.neuron.is_none() {
            return Err(self.error("source of term 0", "the image", "earlier layers: a readout sums spikes"));
        }
        Ok(())
    }

    /// Checks one term and tells the inputs that it gives a neuron.
    fn term(&self, index: usize, term: &Term) -> Result<usize, ModelError> {
        let what = |value: &str| format!("{value} of term {index}");
        let (source, inputs, name) = match term.source {
            Source::Image => (self.network.image.grid(), self.network.image.channels, "the image".to_owned()),
            Source::Plane(id) => {
                let input = self.input(&what("source"), id)?;
                (input.grid, input.channels, format!("`{}`", input.name))
            }
        };
        self.axis(&what("kernel"), &what("stride"), &what("padding"), term.taps.rows, source.rows)?;
        self.axis(&what("kernel"), &what("stride"), &what("padding"), term.taps.columns, source.columns)?;
        let size = |grid: Grid| format!("{}x{} tokens", grid.rows, grid.columns);
        let given = term.taps.grid(source);
        if given != Some(self.layer.grid) {
            let given = given.map_or_else(String::new, size);
            let allowed =
                format!("{given}, as the taps of term {index} give over the {} of {name}", size(source));
            return Err(self.error("grid", size(self.layer.grid), allowed));
        }
        if let (Walk::Windows(Windows { shift: 1.., .. }), true) = (self.layer.walk, term.taps != Taps::TOKEN)
        {
            let found = format!("shifted windows with the taps of term {index}");
            let allowed = "raster or windows without shift, or a kernel of 1 with stride 1: taps read neighbours on the grid";
            return Err(self.error("walk", found, allowed));
        }
        self.within(&what("shift"), term.shift as usize, 0, MAX_SHIFT)?;
        let (taps, outputs) = (term.taps.count(), self.layer.channels);
        match &term.weights {
            Weights::Dense(data) => {
                self.equal(&what("number of weights"), data.len(), outputs * taps * inputs)?;
                Ok(taps * inputs)
            }
            Weights::Diagonal(data) => {
                if inputs != outputs {
                    let found = format!("{inputs} of {name}");
                    let allowed =
                        format!("{outputs}, as the outputs of a diagonal term see their own channel");
                    return Err(self.error(&what("channels"), found, allowed));
                }
                self.equal(&what("number of gains"), data.len(), taps * outputs)?;
                Ok(taps)
            }
        }
    }

    fn axis(
        &self,
        kernel: &str,
        stride: &str,
        padding: &str,
        axis: Axis,
        size: usize,
    ) -> Result<(), ModelError> {
        self.within(kernel, axis.kernel, 1, MAX_TAPS)?;
        self.within(stride, axis.stride, 1, MAX_TAPS)?;
        self.within(padding, axis.padding, 0, MAX_PADDING)?;
        let padded = size + 2 * axis.padding;
        if axis.kernel > padded {
            return Err(self.error(
                kernel,
                axis.kernel,
                format!("at most the {padded} positions of the source with padding"),
            ));
        }
        Ok(())
    }
}
