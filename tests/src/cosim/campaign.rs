//! Many random networks at once, on all processors, and the smallest one that fails.

use super::{Cosim, rough_world};
use crate::random_network::{Case, MAX_SIZE};
use compile::ProgramOptions;
use driver::Counters;
use isa::CoreConfig;
use isa::program::{Planes, Program};
use model::Configured;
use sim::SimOptions;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What a seed stands for besides its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worlds {
    /// A memory that never stalls.
    Quiet,
    /// Every second network meets random stalls, latency and power-up state.
    Mixed,
    /// All networks do.
    Rough,
}

impl Worlds {
    /// The world of a seed.
    pub fn of(self, seed: u64) -> SimOptions {
        match self {
            Worlds::Mixed if seed % 2 == 1 => rough_world(seed),
            Worlds::Rough => rough_world(seed),
            _ => SimOptions::default(),
        }
    }
}

/// Calls `job` with every item, on all processors. After a failure no further item is begun.
///
/// # Errors
/// What the jobs that failed reported.
pub fn in_parallel<T: Sync>(
    items: &[T],
    job: impl Fn(&T) -> Result<(), String> + Sync,
) -> Result<(), String> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let errors = Mutex::new(Vec::new());
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
            if let Err(error) = job(item) {
                failed.store(true, Ordering::Relaxed);
                errors.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(error);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    let errors = errors.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    if errors.is_empty() { Ok(()) } else { Err(errors.join("\n")) }
}

/// The random networks that docs/coverage.md counts, by core: `tiny`, and a core of few inputs a pass and few sums, which refuses some.
///
/// # Panics
/// Never: `tiny` is a preset.
pub fn many() -> [(CoreConfig, Range<u64>); 2] {
    let tiny = CoreConfig::preset("tiny").expect("a preset");
    let narrow = CoreConfig { max_fan_in: 64, weight_rows: 64, sum_rows: 16, ..tiny.clone() };
    [(tiny, 10_000..11_200), (narrow, 11_200..12_300)]
}

/// Compares the random networks of `seeds`, sizes 1 to [`MAX_SIZE`] in turn. Of every fourth network a second image follows the first:
/// nothing may be left of it.
///
/// # Errors
/// For the first that fails, the smallest network of its seed that does, and the difference.
pub fn random_networks(cosim: &Cosim, seeds: Range<u64>, worlds: Worlds) -> Result<Counters, String> {
    let total = Mutex::new(Counters::default());
    let seeds: Vec<u64> = seeds.collect();
    in_parallel(&seeds, |&seed| {
        let size = size_of(seed);
        let counters = case(cosim, seed, size, worlds).map_err(|error| {
            let smaller = (1..size).find_map(|size| Some((size, case(cosim, seed, size, worlds).err()?)));
            let (size, error) = smaller.unwrap_or((size, error));
            let lanes = cosim.core.lanes;
            let case = Case::of_width(seed, size, cosim.core.membrane_bits);
            format!("{error}; {case:?}, {lanes} lanes, {worlds:?}")
        })?;
        *total.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) += counters;
        Ok(())
    })?;
    Ok(total.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()))
}

/// Runs the random networks of `seeds` one after the other on one core, without a reset.
///
/// # Errors
/// The first that differs.
pub fn networks_follow_each_other(cosim: &Cosim, seeds: Range<u64>) -> Result<(), String> {
    let mut accelerator = cosim.accelerator(&Worlds::Mixed.of(seeds.start))?;
    for seed in seeds {
        let case = Case::of_width(seed, size_of(seed), cosim.core.membrane_bits);
        let network = case.configure();
        let mut session = cosim.loaded(accelerator, &network)?;
        session.compare(&case.image).map_err(|error| format!("{error}; {case:?}, behind others"))?;
        accelerator = session.accelerator;
    }
    Ok(())
}

/// Like [`random_networks`], without a search for a smaller network that fails, too.
///
/// # Errors
/// The difference in the first that fails.
pub fn random_networks_as_they_come(cosim: &Cosim, seeds: Range<u64>, worlds: Worlds) -> Result<(), String> {
    let seeds: Vec<u64> = seeds.collect();
    in_parallel(&seeds, |&seed| case(cosim, seed, size_of(seed), worlds).map(drop))
}

/// Size of the random network of a seed.
pub fn size_of(seed: u64) -> u32 {
    1 + (seed / 2 % u64::from(MAX_SIZE)) as u32
}

fn case(cosim: &Cosim, seed: u64, size: u32, worlds: Worlds) -> Result<Counters, String> {
    let case = Case::of_width(seed, size, cosim.core.membrane_bits);
    let network = case.configure();
    let mut session = cosim.session(&network, &worlds.of(seed))?;
    let counters = session.compare(&case.image)?;
    if seed.is_multiple_of(4) {
        let negative: Vec<u8> = case.image.iter().map(|pixel| 255 - pixel).collect();
        session.compare(&negative).map_err(|error| format!("second image: {error}"))?;
    }
    Ok(counters)
}

/// The random networks of `seeds` that fit the core's buffers, with their programs.
pub fn fitting(core: &CoreConfig, seeds: Range<u64>) -> impl Iterator<Item = (Case, Configured, Program)> {
    let core = core.clone();
    seeds.filter_map(move |seed| {
        let case = Case::of_width(seed, size_of(seed), core.membrane_bits);
        let network = case.configure();
        let options =
            ProgramOptions { memory_size: SimOptions::default().memory_bytes as u64, planes: Planes::Keep };
        let program = compile::compile(&network, &core, &options).ok()?;
        Some((case, network, program))
    })
}

/// Compares those random networks of `seeds` that fit the core's buffers, and returns how many they were.
///
/// # Errors
/// The first that fails.
pub fn networks_that_fit(cosim: &Cosim, seeds: Range<u64>) -> Result<usize, String> {
    let fitting: Vec<_> = fitting(&cosim.core, seeds).collect();
    in_parallel(&fitting, |(case, network, _)| {
        let outcome = cosim.check(network, &case.image, &Worlds::Mixed.of(case.seed));
        outcome.map(drop).map_err(|error| format!("{error}; {case:?}"))
    })?;
    Ok(fitting.len())
}
