//! The example of a graph: images with the logits that the framework computed for them.

use super::Graph;
use crate::checkpoint::Agreement;
use crate::error::ModelError;

impl Graph {
    /// Runs the example, if there is one, and compares the logits with the framework's, as
    /// [`Checkpoint::check_example`](crate::Checkpoint::check_example) does: by what the rounding of a float32 framework explains.
    ///
    /// # Errors
    /// If the graph's shapes do not fit, or a logit differs by more: names the image and the class that differ most.
    pub fn check_example(&self) -> Result<Option<Agreement>, ModelError> {
        let Some(example) = &self.example else { return Ok(None) };
        let shapes = self.shapes()?;
        example.check(&|pixels, jitter| self.forward(&shapes, pixels, &mut |_, _| (), jitter)).map(Some)
    }
}
