//! What fixes the shape of a network.

use crate::error::ModelError;
use crate::network::{Grid, ImageShape, Windows};
use serde::{Deserialize, Serialize};

/// Everything that fixes the network's shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// Input.
    pub image: ImageShape,
    /// Rows, columns and stride of a patch.
    pub patch: usize,
    /// Channels of each stage.
    pub dims: Vec<usize>,
    /// Blocks of each stage.
    pub depths: Vec<usize>,
    /// Attention heads of each stage.
    pub heads: Vec<usize>,
    /// Rows and columns of an attention window.
    pub window: usize,
    /// Channels of the first MLP layer, in multiples of the stage's.
    pub mlp_ratio: usize,
    /// Levels of the activations.
    pub levels: u32,
    /// Number of classes.
    pub classes: usize,
    /// What batch norm adds to the variance.
    pub bn_eps: f64,
}

impl Architecture {
    /// Token grid of a stage.
    pub fn grid(&self, stage: usize) -> Grid {
        Grid {
            rows: (self.image.height / self.patch) >> stage,
            columns: (self.image.width / self.patch) >> stage,
        }
    }

    /// Attention windows of a block: odd blocks are shifted by half a window, unless one window covers the grid.
    pub fn windows(&self, stage: usize, block: usize) -> Windows {
        let grid = self.grid(stage);
        let shifted = block % 2 == 1 && grid.rows.min(grid.columns) > self.window;
        Windows { size: self.window, shift: if shifted { self.window / 2 } else { 0 } }
    }

    /// Checks every number and that the grids divide.
    ///
    /// # Errors
    /// Names the first number that is out of range.
    pub fn validate(&self) -> Result<(), ModelError> {
        let refuse = |what: &'static str, found: String, allowed: &str| {
            Err(ModelError::Network { what, found, allowed: allowed.to_owned() })
        };
        let ImageShape { height, width, channels } = self.image;
        let stages = self.dims.len();
        let numbers =
            [("image height", height, 4096), ("image width", width, 4096), ("image channels", channels, 64)];
        let numbers = numbers.into_iter().chain([("number of stages", stages, 8), ("patch", self.patch, 64)]);
        let numbers = numbers.chain([("window", self.window, 64), ("mlp_ratio", self.mlp_ratio, 64)]);
        let numbers =
            numbers.chain([("classes", self.classes, 65536), ("levels", self.levels as usize, 256)]);
        let numbers = numbers.chain(self.dims.iter().map(|&dim| ("dims", dim, 8192)));
        let numbers = numbers.chain(self.heads.iter().map(|&heads| ("heads", heads, 8192)));
        for (what, found, most) in numbers {
            if !(1..=most).contains(&found) {
                return refuse(what, found.to_string(), &format!("1..={most}"));
            }
        }
        if self.depths.len() != stages || self.heads.len() != stages {
            let found = format!("{}, {} and {} entries", stages, self.depths.len(), self.heads.len());
            return refuse("dims, depths and heads", found, "one entry a stage each");
        }
        if let Some(depth) = self.depths.iter().find(|&&depth| depth > 256) {
            return refuse("depths", depth.to_string(), "0..=256");
        }
        if !(self.bn_eps >= 0.0 && self.bn_eps < 1.0) {
            return refuse("bn_eps", self.bn_eps.to_string(), "0 to 1");
        }
        if height % self.patch != 0 || width % self.patch != 0 {
            return refuse(
                "patch",
                self.patch.to_string(),
                &format!("a divisor of {height} and {width} pixels"),
            );
        }
        for stage in 0..stages {
            let Grid { rows, columns } = self.grid(stage);
            if !self.dims[stage].is_multiple_of(self.heads[stage]) {
                return refuse(
                    "heads",
                    self.heads[stage].to_string(),
                    &format!("a divisor of {}", self.dims[stage]),
                );
            }
            if rows == 0 || columns == 0 || rows % self.window != 0 || columns % self.window != 0 {
                let allowed = format!("a divisor of the {rows}x{columns} tokens of stage {stage}");
                return refuse("window", self.window.to_string(), &allowed);
            }
            if stage + 1 < stages && (rows % 2 != 0 || columns % 2 != 0) {
                return refuse("token grid", format!("{rows}x{columns}"), "even, as another stage follows");
            }
        }
        Ok(())
    }
}
