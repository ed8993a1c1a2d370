//! What can be seen of a run beside the spikes that it transmits.

use crate::network::LayerId;
use crate::spikes::ones;

/// Watches the neurons of a run. What is not asked for costs nothing.
pub trait Observer {
    /// A neuron's membrane after its last time step.
    fn membrane(&mut self, layer: LayerId, membrane: i32, threshold: i32) {
        let _ = (layer, membrane, threshold);
    }

    /// Spikes that some neurons of one token fired, before the mask.
    fn fired(&mut self, layer: LayerId, row: &[u8]) {
        let _ = (layer, row);
    }
}

/// Watches nothing.
impl Observer for () {}

/// Counts the spikes that each layer fires, also those that its mask drops.
#[derive(Clone, Debug)]
pub(super) struct FiredSpikes(pub Vec<u64>);

impl Observer for FiredSpikes {
    #[inline(always)]
    fn fired(&mut self, layer: LayerId, row: &[u8]) {
        self.0[layer.0] += ones(row);
    }
}
