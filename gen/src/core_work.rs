//! What images ask of a core, estimated from their spikes.

use crate::error::GenError;
use crate::inputs::Images;
use compile::ProgramOptions;
use isa::program::{Planes, Program};
use isa::{CoreConfig, LARGEST_WINDOW};
use model::work::work;
use model::{Configured, Executor};

/// Images that it is estimated from, at most.
const IMAGES: usize = 16;

/// What an image asks of a core: means over the first images of a run.
pub struct CoreWork {
    /// The program, with as much memory as it needs.
    pub program: Program,
    /// Images that were looked at.
    pub images: usize,
    /// Events an image.
    pub events: u64,
    /// Least cycles an image.
    pub cycles: u64,
}

/// Counts it; or says why the core does not run the network.
pub fn core_work(
    network: &Configured,
    images: &Images,
    core: &CoreConfig,
) -> Result<Result<CoreWork, String>, GenError> {
    let options = ProgramOptions { memory_size: LARGEST_WINDOW, planes: Planes::Reuse };
    let program = match compile::compile(network, core, &options) {
        Ok(program) => program,
        Err(refused) => return Ok(Err(refused.to_string())),
    };
    let count = images.count().min(IMAGES);
    let executor = Executor::new(network);
    let (mut events, mut cycles) = (0, 0);
    for image in (0..count).map(|index| images.image(index)) {
        for layer in work(network, image, &executor.trace(image)?, core) {
            events += layer.events;
            cycles += layer.needed_cycles;
        }
    }
    let each = |sum: u64| sum / count.max(1) as u64;
    Ok(Ok(CoreWork { program, images: count, events: each(events), cycles: each(cycles) }))
}
