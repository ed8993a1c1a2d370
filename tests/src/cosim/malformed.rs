//! Descriptors that the core must refuse, and random ones that it must survive.

use super::campaign::{Worlds, in_parallel};
use super::recovery::{Bench, write_descriptor};
use super::{Cosim, Session, text};
use crate::random::Random;
use driver::{DriverError, Link};
use isa::registers::{self, control};
use isa::{Descriptor, ErrorCode, MAX_COUNT, Op, descriptor};
use sim::SimOptions;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A descriptor that the core must refuse.
pub struct Malformed {
    /// What is wrong with it.
    pub what: &'static str,
    /// The operation of the layer that it replaces.
    pub op: Op,
    /// The code that it must be refused with.
    pub code: ErrorCode,
    /// Makes a good descriptor malformed.
    pub spoil: fn(&mut Descriptor),
    /// The value of `ERROR_ADDRESS`, where an address is what is wrong.
    pub address: Option<fn(&Descriptor) -> u32>,
}

/// Runs the network with each of the descriptors in place of a good one.
///
/// # Errors
/// The first that was not refused as it must be, or after which the core did not recover.
pub fn malformed_descriptors(cosim: &Cosim, cases: &[Malformed]) -> Result<(), String> {
    let bench = Bench::new();
    in_parallel(cases, |case| {
        let fails = |error| format!("{:?} with {}: {error}", case.op, case.what);
        let mut session = bench.session(cosim, &SimOptions::default())?;
        let layer = bench.layer(case.op);
        let good = session.program.layers[layer].descriptor.clone();
        let mut bad = good.clone();
        (case.spoil)(&mut bad);
        write_descriptor(&mut session, layer, &bad.to_words())?;
        let fault = bench.refused(&mut session, case.code, Some(layer)).map_err(fails)?;
        if let Some(expected) = case.address.map(|address| address(&bad)).filter(|&a| a != fault.address) {
            let found = fault.address;
            return Err(fails(format!("ERROR_ADDRESS is 0x{found:x}, expected 0x{expected:x}")));
        }
        write_descriptor(&mut session, layer, &good.to_words())?;
        bench.recover(&mut session).map_err(fails)
    })
}

macro_rules! malformed {
    ($($op:ident $code:ident $what:literal |$d:ident| $spoil:expr $(=> $address:ident)?;)*) => {
        /// Every check of the core, from both sides where it has two.
        pub const MALFORMED: &[Malformed] = &[$(Malformed {
            what: $what,
            op: Op::$op,
            code: ErrorCode::$code,
            spoil: |$d: &mut Descriptor| $spoil,
            address: malformed!(@address $($address)?),
        },)*];
    };
    (@address $address:ident) => { Some(|d: &Descriptor| d.$address) };
    (@address) => { None };
}

malformed! {
    Dense BadOp "operation 6" |d| d.op = 6;
    Dense BadOp "operation 15" |d| d.op = 15;
    Dense BadTimeSteps "no time steps" |d| d.time_steps = 0;
    Dense BadTimeSteps "65 time steps" |d| (d.time_steps, d.chunks, d.tail_steps) = (65, 9, 1);
    Dense BadTimeSteps "127 time steps" |d| d.time_steps = 127;
    Dense BadTimeSteps "a time step more than its chunks" |d| d.time_steps += 1;
    Dense BadTimeSteps "no tail steps" |d| d.tail_steps = 0;
    Dense BadTimeSteps "9 tail steps" |d| d.tail_steps = 9;
    Dense BadTimeSteps "no chunks" |d| d.chunks = 0;
    Dense BadTimeSteps "a chunk more than its time steps" |d| d.chunks += 1;
    Analog BadTimeSteps "two chunks of an analog input" |d| d.chunks = 2;
    Analog BadTimeSteps "the tail of other time steps" |d| d.tail_steps = d.tail_steps % 8 + 1;
    Dense BadTimeSteps "a rotation by all time steps" |d| d.rotate = d.time_steps;
    Dense BadSegments "no segments" |d| d.segments = 0;
    Shortcut BadSegments "17 segments" |d| d.segments = 17;
    Scores BadSegments "two segments of a query" |d| d.segments = 2;
    Context BadSegments "two segments of a row of scores" |d| d.segments = 2;
    Dense BadShape "no tiles" |d| d.tiles = 0;
    Dense BadShape "no groups" |d| d.groups = 0;
    Dense BadShape "no rows of blocks" |d| d.blocks_y = 0;
    Dense BadShape "no columns of blocks" |d| d.blocks_x = 0;
    Dense BadShape "no token rows" |d| d.inner_y = 0;
    Dense BadShape "no token columns" |d| d.inner_x = 0;
    Dense BadShape "no words in a segment" |d| d.segment_words = 0;
    Dense BadShape "no words in an output row" |d| d.output_words = 0;
    Dense BadShape "no matrix rows" |d| d.matrix_rows = 0;
    Scores BadShape "no words in a key" |d| d.matrix_words = 0;
    Scores BadShape "a shift by the rows of a block" |d| (d.shift, d.inner_x) = (d.inner_y, d.inner_y + 1);
    Scores BadShape "a shift by the columns of a block" |d| (d.shift, d.inner_y) = (d.inner_x, d.inner_x + 1);
    Dense BadShape "more tiles than output words" |d| d.tiles = MAX_COUNT;
    Scores BadShape "more tiles than keys" |d| (d.tiles, d.output_words) = (MAX_COUNT, MAX_COUNT);
    Context BadShape "more tiles than words of a value" |d| (d.tiles, d.output_words) = (MAX_COUNT, MAX_COUNT);
    Dense BadShape "a matrix row more than inputs" |d| d.matrix_rows += 1;
    Dense BadShape "a matrix row less than inputs" |d| d.matrix_rows -= 1;
    Analog BadShape "matrix rows for half its pixels" |d| d.matrix_rows /= 2;
    Readout BadShape "twice as many matrix rows as inputs" |d| d.matrix_rows *= 2;
    Shortcut BadShape "more matrix rows than segments" |d| d.matrix_rows = MAX_COUNT;
    Dense TooLarge "a fan-in beyond the buffer" |d| (d.segments, d.segment_words, d.matrix_rows) = (1, 65, 520);
    Dense TooLarge "a fan-in of 66 words" |d| (d.segments, d.segment_words, d.matrix_rows) = (1, 66, 528);
    Dense TooLarge "a fan-in of 68 words" |d| (d.segments, d.segment_words, d.matrix_rows) = (2, 34, 544);
    Dense TooLarge "a fan-in of 72 words" |d| (d.segments, d.segment_words, d.matrix_rows) = (4, 18, 576);
    Dense TooLarge "a fan-in of 80 words" |d| (d.segments, d.segment_words, d.matrix_rows) = (8, 10, 640);
    Dense TooLarge "a fan-in of 96 words" |d| (d.segments, d.segment_words, d.matrix_rows) = (16, 6, 768);
    Scores TooLarge "more keys than the buffer has bias rows" |d| d.matrix_rows = MAX_COUNT;
    Scores TooLarge "chunks of a query beyond the buffer" |d| (d.time_steps, d.chunks, d.tail_steps, d.segment_words) = (64, 8, 8, 64);
    Scores TooLarge "65 words of chunks" |d| (d.time_steps, d.chunks, d.tail_steps, d.segment_words) = (40, 5, 8, 13);
    Context TooLarge "66 words of chunks" |d| (d.time_steps, d.chunks, d.tail_steps, d.segment_words) = (48, 6, 8, 11);
    Scores TooLarge "68 words of chunks" |d| (d.time_steps, d.chunks, d.tail_steps, d.segment_words) = (32, 4, 8, 17);
    Context TooLarge "72 words of chunks" |d| (d.time_steps, d.chunks, d.tail_steps, d.segment_words) = (64, 8, 8, 9);
    Scores TooLarge "80 words of chunks" |d| (d.time_steps, d.chunks, d.tail_steps, d.segment_words) = (64, 8, 8, 10);
    Context TooLarge "96 words of chunks" |d| (d.time_steps, d.chunks, d.tail_steps, d.segment_words) = (64, 8, 8, 12);
    Scores TooLarge "128 words of chunks" |d| (d.time_steps, d.chunks, d.tail_steps, d.segment_words) = (64, 8, 8, 16);
    Dense Unaligned "parameters between words" |d| d.parameter_base += 4 => parameter_base;
    Scores Unaligned "bias rows between words" |d| d.bias_base += 1 => bias_base;
    Scores Unaligned "keys between words" |d| d.matrix_base += 2 => matrix_base;
    Context Unaligned "values between words" |d| d.matrix_base += 4 => matrix_base;
    Dense Unaligned "inputs between words" |d| d.segment_bases[0] += 4;
    Dense Unaligned "tokens between words" |d| d.input_x_stride += 4;
    Dense Unaligned "outputs between words" |d| d.output_base += 4 => output_base;
    Readout Unaligned "logits between words" |d| d.output_base += 7 => output_base;
    Dense OutOfRange "parameters outside the window" |d| d.parameter_base = 0xffff_ff00 => parameter_base;
    Scores OutOfRange "bias rows outside the window" |d| d.bias_base = 0x8000_0000 => bias_base;
    Scores OutOfRange "keys outside the window" |d| d.matrix_base = 0xffff_fff0 => matrix_base;
    Context OutOfRange "values outside the window" |d| d.matrix_base = 0x0040_0000 => matrix_base;
    Analog OutOfRange "inputs outside the window" |d| d.segment_bases[0] = 0xffff_fff0;
    Shortcut OutOfRange "a last segment outside the window" |d| d.segment_bases[d.segments as usize - 1] = 0x7fff_fff0;
    Dense OutOfRange "outputs outside the window" |d| d.output_base = 0xffff_fff0 => output_base;
    Context OutOfRange "a second group outside the window" |d| (d.groups, d.output_group_stride) = (2, 0x4000_0000);
    Readout OutOfRange "logits that end outside the window" |d| d.output_chunk_stride = 0x0040_0000;
}

/// Codes of what is wrong with a descriptor, whatever its addresses.
const SHAPES: [ErrorCode; 5] = [
    ErrorCode::BadOp,
    ErrorCode::BadTimeSteps,
    ErrorCode::BadShape,
    ErrorCode::BadSegments,
    ErrorCode::TooLarge,
];

/// Of each operation's layer, sets each field that gives its shape to 0, to the most it holds, and to what it is but for one bit: what
/// the interpreter of descriptors refuses, the core refuses. Returns how many that were.
///
/// # Errors
/// The first that was not refused.
pub fn every_shape_is_checked(cosim: &Cosim) -> Result<u32, String> {
    let bench = Bench::new();
    let refused = AtomicU32::new(0);
    in_parallel(&Op::ALL, |&op| {
        let mut session = bench.session(cosim, &SimOptions::default())?;
        let layer = bench.layer(op);
        let good = session.program.layers[layer].descriptor.clone();
        for field in descriptor::FIELDS.iter().filter(|field| field.width < 32) {
            let all = ((1u64 << field.width) - 1) << field.lsb;
            let word = good.to_words()[field.word];
            let flipped = (field.lsb..field.lsb + field.width).map(|bit| word ^ 1 << bit);
            for changed in flipped.chain([word & !all, word | all]) {
                let mut words = good.to_words();
                words[field.word] = changed;
                let changed_to = Descriptor::from_words(&words);
                let refusal = sim::soft_core::accepts(&changed_to, &cosim.core);
                if !refusal.is_err_and(|code| SHAPES.contains(&code)) {
                    continue;
                }
                refused.fetch_add(1, Ordering::Relaxed);
                write_descriptor(&mut session, layer, &words)?;
                alone(&mut session, layer)
                    .map_err(|error| format!("{op:?} with {} of 0x{changed:x}: {error}", field.name))?;
            }
        }
        write_descriptor(&mut session, layer, &good.to_words())?;
        bench.recover(&mut session)
    })?;
    Ok(refused.into_inner())
}

/// Starts a run of one layer, which must be refused for its shape.
fn alone(session: &mut Session<'_>, layer: usize) -> Result<(), String> {
    let base = session.program.descriptor_base + (layer * descriptor::BYTES) as u32;
    let link = session.accelerator.link();
    for (register, value) in [
        (registers::DESCRIPTOR_BASE, base),
        (registers::DESCRIPTOR_COUNT, 1),
        (registers::CONTROL, control::START),
    ] {
        link.write_register(register, value).map_err(text)?;
    }
    let refused = link.wait_interrupt(PATIENCE).map_err(text)?;
    let code = link.read_register(registers::ERROR).map_err(text)?;
    if !refused || !SHAPES.iter().any(|shape| *shape as u32 == code) {
        return Err(format!("ERROR is {code}, interrupt {refused}"));
    }
    session.accelerator.reset().map_err(text)
}

/// How runs with random descriptors ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Endings {
    /// With logits, of whatever value.
    pub finished: u32,
    /// With an error code.
    pub refused: u32,
    /// Not in the time they were given.
    pub endless: u32,
}

/// Time that a run with a random descriptor gets: some times that of a good one.
const PATIENCE: Duration = Duration::from_micros(500);

/// Changes one descriptor at random for each seed and runs the network: it finishes, is refused or does not end, and a reset recovers. Odd
/// seeds stall at random.
///
/// # Errors
/// The first that broke a rule of the bus, left the memory window, or after which the core did not recover.
pub fn random_descriptors(cosim: &Cosim, seeds: Range<u64>) -> Result<Endings, String> {
    let bench = Bench::new();
    let seeds: Vec<u64> = seeds.collect();
    let endings = std::sync::Mutex::new(Endings::default());
    in_parallel(&seeds, |&seed| {
        let world = Worlds::Mixed.of(seed);
        let mut session = bench.session(cosim, &world)?;
        let mut random = Random(seed);
        let layer = random.size(0, session.program.layers.len() - 1);
        let words = mutate(&mut random, session.program.layers[layer].descriptor.to_words());
        let fails = |error| format!("seed {seed}, layer {layer}, {words:x?}: {error}");
        write_descriptor(&mut session, layer, &words)?;
        session.accelerator.set_deadline(PATIENCE);
        let ending = session.accelerator.infer(&bench.image);
        {
            let mut endings = endings.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            match ending {
                // A run of other descriptors than the program's may end with any logits.
                Ok(_) | Err(DriverError::Logit { .. } | DriverError::Memory { .. }) => endings.finished += 1,
                Err(DriverError::Core(_)) => endings.refused += 1,
                Err(DriverError::Deadline { .. }) => endings.endless += 1,
                Err(other) => return Err(fails(other.to_string())),
            }
        }
        reload(&mut session).map_err(fails)?;
        bench.recover(&mut session).map_err(fails)
    })?;
    Ok(endings.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()))
}

/// Stops the run and writes the program again, for what ran may have overwritten any of it.
fn reload(session: &mut Session<'_>) -> Result<(), String> {
    session.accelerator.reset().map_err(text)?;
    session.accelerator.load(&session.program).map_err(text)
}

/// Flips bits, or replaces a field, a word or everything by random or extreme values.
fn mutate(random: &mut Random, mut words: [u64; descriptor::WORDS]) -> [u64; descriptor::WORDS] {
    match random.between(0, 5) {
        0 | 1 => {
            for _ in 0..random.between(1, 4) {
                words[random.size(0, descriptor::WORDS - 1)] ^= 1 << random.between(0, 63);
            }
        }
        2 | 3 => {
            for _ in 0..random.between(1, 3) {
                let field = &descriptor::FIELDS[random.size(0, descriptor::FIELDS.len() - 1)];
                let mask = ((1u64 << field.width) - 1) << field.lsb;
                let old = (words[field.word] & mask) >> field.lsb;
                let (any, small) = (random.bits(), random.between(0, 9) as u64);
                let value =
                    random.pick(&[small, small, u64::MAX, old + 1, old.wrapping_sub(1), old ^ 8, any]);
                words[field.word] = words[field.word] & !mask | (value << field.lsb) & mask;
            }
        }
        4 => words[random.size(0, descriptor::WORDS - 1)] = random.bits(),
        _ => words.iter_mut().for_each(|word| *word = random.bits()),
    }
    words
}
