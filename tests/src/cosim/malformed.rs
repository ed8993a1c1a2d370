//! Descriptors and pass records that the core must refuse, and random ones that it must survive.

use super::campaign::{Worlds, in_parallel};
use super::recovery::{Bench, Part, strip, write_descriptor, write_pass, write_strip};
use super::{Cosim, Session, text};
use crate::random::Random;
use driver::{DriverError, Link};
use isa::program::Strip;
use isa::registers::{self, control};
use isa::{Descriptor, ErrorCode, Field, MAX_COUNT, Pass, descriptor, pass};
use sim::SimOptions;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Records that the core must refuse.
pub struct Malformed {
    /// What is wrong with them.
    pub what: &'static str,
    /// The layer whose first descriptor, and its last pass, they replace.
    pub part: Part,
    /// The code that they must be refused with.
    pub code: ErrorCode,
    /// Makes good records malformed.
    pub spoil: fn(&mut Descriptor, &mut Pass),
    /// The value of `ERROR_ADDRESS`, where an address is what is wrong.
    pub address: Option<fn(&Descriptor) -> u32>,
}

/// Runs the network with each of the records in place of good ones.
///
/// # Errors
/// The first that was not refused as it must be, or after which the core did not recover.
pub fn malformed_descriptors(cosim: &Cosim, cases: &[Malformed]) -> Result<(), String> {
    let bench = Bench::new();
    in_parallel(cases, |case| {
        let fails = |error| format!("{:?} with {}: {error}", case.part, case.what);
        let mut session = bench.session(cosim, &SimOptions::default())?;
        let index = bench.descriptor(&session, case.part);
        let good = strip(&session, index).clone();
        let mut bad = good.clone();
        let last = bad.passes.last_mut().ok_or("a strip without passes")?;
        (case.spoil)(&mut bad.descriptor, last);
        write_strip(&mut session, index, &bad)?;
        let fault = bench.refused(&mut session, case.code, Some(index)).map_err(fails)?;
        let address = case.address.map(|address| address(&bad.descriptor));
        if let Some(expected) = address.filter(|&address| address != fault.address) {
            let found = fault.address;
            return Err(fails(format!("ERROR_ADDRESS is 0x{found:x}, expected 0x{expected:x}")));
        }
        write_strip(&mut session, index, &good)?;
        bench.recover(&mut session).map_err(fails)
    })
}

macro_rules! malformed {
    ($($part:ident $code:ident $what:literal |$d:pat_param, $p:pat_param| $spoil:expr $(=> $address:ident)?;)*) => {
        /// Every check of the core, from both sides where it has two.
        pub const MALFORMED: &[Malformed] = &[$(Malformed {
            what: $what,
            part: Part::$part,
            code: ErrorCode::$code,
            spoil: |$d: &mut Descriptor, $p: &mut Pass| $spoil,
            address: malformed!(@address $($address)?),
        },)*];
    };
    (@address $address:ident) => { Some(|d: &Descriptor| d.$address) };
    (@address) => { None };
}

malformed! {
    Dense BadOp "operation 3" |d, _| d.op = 3;
    Dense BadOp "operation 15" |d, _| d.op = 15;
    Dense BadTimeSteps "no time steps" |d, _| d.time_steps = 0;
    Dense BadTimeSteps "65 time steps" |d, _| (d.time_steps, d.chunks, d.tail_steps) = (65, 9, 1);
    Dense BadTimeSteps "65 time steps with the chunks of one" |d, _| (d.time_steps, d.chunks, d.tail_steps) = (65, 1, 1);
    Dense BadTimeSteps "127 time steps" |d, _| d.time_steps = 127;
    Dense BadTimeSteps "a time step more than its chunks" |d, _| d.time_steps += 1;
    Dense BadTimeSteps "no tail steps" |d, _| d.tail_steps = 0;
    Dense BadTimeSteps "9 tail steps" |d, _| d.tail_steps = 9;
    Dense BadTimeSteps "no chunks" |d, _| d.chunks = 0;
    Dense BadTimeSteps "a chunk more than its time steps" |d, _| d.chunks += 1;
    Image BadTimeSteps "two chunks of bytes" |d, _| d.chunks = 2;
    Image BadTimeSteps "the tail of other time steps" |d, _| d.tail_steps = d.tail_steps % 8 + 1;
    Dense BadTimeSteps "a rotation by all time steps" |d, _| d.rotate = d.time_steps;
    Dense BadSegments "records of 7 words" |d, _| d.pass_words = 7;
    Dense BadSegments "records of no words" |d, _| d.pass_words = 0;
    Dense BadSegments "records of 25 words" |d, _| d.pass_words = 25;
    Dense BadSegments "no segments" |_, p| p.segments = 0;
    Shortcut BadSegments "17 segments" |d, p| (d.pass_words, p.segments) = (24, 17);
    Shortcut BadSegments "31 segments" |_, p| p.segments = 31;
    Shortcut BadSegments "a segment more than its record holds" |d, p| p.segments = d.pass_words - 6;
    Residual BadSegments "no segments in the second pass" |_, p| p.segments = 0;
    Scores BadSegments "two segments of a query" |d, p| (d.pass_words, p.segments) = (10, 2);
    Context BadSegments "two segments of a row of scores" |d, p| (d.pass_words, p.segments) = (10, 2);
    Dense BadShape "no tiles" |d, _| d.tiles = 0;
    Dense BadShape "no groups" |d, _| d.groups = 0;
    Dense BadShape "no rows of blocks" |d, _| d.blocks_y = 0;
    Dense BadShape "no columns of blocks" |d, _| d.blocks_x = 0;
    Dense BadShape "no token rows" |d, _| d.inner_y = 0;
    Dense BadShape "no token columns" |d, _| d.inner_x = 0;
    Dense BadShape "no passes" |d, _| d.passes = 0;
    Dense BadShape "no words in an output row" |d, _| d.output_words = 0;
    Dense BadShape "a hard reset after all drives" |d, _| d.hard_reset = 1;
    Image BadShape "a sum of bytes" |d, _| d.sum = 1;
    Scores BadShape "queries of bytes" |d, _| (d.bytes, d.chunks) = (1, 1);
    Context BadShape "values of bytes" |d, _| (d.bytes, d.chunks) = (1, 1);
    Scores BadShape "a sum of scores" |d, _| d.sum = 1;
    Context BadShape "a sum of attention" |d, _| d.sum = 1;
    Scores BadShape "two passes of a query" |d, _| d.passes = 2;
    Context BadShape "two passes of a row of scores" |d, _| d.passes = 2;
    Scores BadShape "no keys" |d, _| d.keys = 0;
    Context BadShape "no keys" |d, _| d.keys = 0;
    Scores BadShape "no words in a key" |d, _| d.key_words = 0;
    Context BadShape "no words in a value" |d, _| d.key_words = 0;
    Scores BadShape "a shift by the rows of a block" |d, _| (d.shift, d.inner_x) = (d.inner_y, d.inner_y + 1);
    Scores BadShape "a shift by the columns of a block" |d, _| (d.shift, d.inner_y) = (d.inner_x, d.inner_x + 1);
    Dense BadShape "more tiles than output words" |d, _| d.tiles = MAX_COUNT;
    Scores BadShape "more tiles than keys" |d, _| (d.tiles, d.output_words) = (MAX_COUNT, MAX_COUNT);
    Context BadShape "more tiles than words of a value" |d, _| (d.tiles, d.output_words) = (MAX_COUNT, MAX_COUNT);
    Dense BadShape "no words in a segment" |_, p| p.segment_words = 0;
    Shortcut BadShape "no words in a row of channels" |_, p| p.segment_words = 0;
    Dense BadShape "no rows of the source" |_, p| p.rows = 0;
    Dense BadShape "no columns of the source" |_, p| p.columns = 0;
    Residual BadShape "no rows of the second pass's source" |_, p| p.rows = 0;
    Dense BadShape "no matrix rows" |_, p| p.matrix_rows = 0;
    Dense BadShape "a matrix row more than inputs" |_, p| p.matrix_rows += 1;
    Dense BadShape "a matrix row less than inputs" |_, p| p.matrix_rows -= 1;
    Image BadShape "matrix rows for half its pixels" |_, p| p.matrix_rows /= 2;
    Readout BadShape "twice as many matrix rows as inputs" |_, p| p.matrix_rows *= 2;
    Shortcut BadShape "more matrix rows than segments" |_, p| p.matrix_rows = MAX_COUNT;
    Shortcut BadShape "gains a channel for dense inputs" |_, p| p.diagonal = 0;
    Dense BadShape "weights of inputs for gains a channel" |_, p| p.diagonal = 1;
    Scores BadShape "a gain a channel of queries" |_, p| p.diagonal = 1;
    Context BadShape "a gain a channel of scores" |_, p| p.diagonal = 1;
    Dense TooLarge "a fan-in beyond the buffer" |_, p| (p.segments, p.segment_words, p.matrix_rows) = (1, 65, 520);
    Dense TooLarge "a fan-in of 66 words" |_, p| (p.segments, p.segment_words, p.matrix_rows) = (1, 66, 528);
    Dense TooLarge "a fan-in of 68 words" |d, p| (d.pass_words, p.segments, p.segment_words, p.matrix_rows) = (24, 2, 34, 544);
    Dense TooLarge "a fan-in of 72 words" |d, p| (d.pass_words, p.segments, p.segment_words, p.matrix_rows) = (24, 4, 18, 576);
    Dense TooLarge "a fan-in of 80 words" |d, p| (d.pass_words, p.segments, p.segment_words, p.matrix_rows) = (24, 8, 10, 640);
    Dense TooLarge "a fan-in of 96 words" |d, p| (d.pass_words, p.segments, p.segment_words, p.matrix_rows) = (24, 16, 6, 768);
    Scores TooLarge "more keys than the buffer has bias rows" |d, _| d.keys = MAX_COUNT;
    Scores TooLarge "65 keys" |d, _| d.keys = 65;
    Scores TooLarge "chunks of a query beyond the buffer" |d, p| (d.time_steps, d.chunks, d.tail_steps, p.segment_words) = (64, 8, 8, 64);
    Scores TooLarge "65 words of chunks" |d, p| (d.time_steps, d.chunks, d.tail_steps, p.segment_words) = (40, 5, 8, 13);
    Context TooLarge "66 words of chunks" |d, p| (d.time_steps, d.chunks, d.tail_steps, p.segment_words) = (48, 6, 8, 11);
    Scores TooLarge "68 words of chunks" |d, p| (d.time_steps, d.chunks, d.tail_steps, p.segment_words) = (32, 4, 8, 17);
    Context TooLarge "72 words of chunks" |d, p| (d.time_steps, d.chunks, d.tail_steps, p.segment_words) = (64, 8, 8, 9);
    Scores TooLarge "80 words of chunks" |d, p| (d.time_steps, d.chunks, d.tail_steps, p.segment_words) = (64, 8, 8, 10);
    Context TooLarge "96 words of chunks" |d, p| (d.time_steps, d.chunks, d.tail_steps, p.segment_words) = (64, 8, 8, 12);
    Scores TooLarge "128 words of chunks" |d, p| (d.time_steps, d.chunks, d.tail_steps, p.segment_words) = (64, 8, 8, 16);
    Scores TooLarge "a row of a query beyond the buffer" |_, p| p.segment_words = 65;
    Residual TooLarge "70 partial sums" |d, _| (d.inner_y, d.inner_x) = (1, 7);
    Residual TooLarge "80 partial sums" |d, _| (d.inner_y, d.inner_x) = (2, 4);
    Dense Unaligned "parameters between words" |d, _| d.parameter_base += 4 => parameter_base;
    Dense Unaligned "pass records between words" |d, _| d.pass_base += 4 => pass_base;
    Dense Unaligned "weights between words" |d, _| d.matrix_base += 1 => matrix_base;
    Scores Unaligned "bias rows between words" |d, _| d.bias_base += 1 => bias_base;
    Scores Unaligned "keys between words" |d, _| d.matrix_base += 2 => matrix_base;
    Context Unaligned "values between words" |d, _| d.matrix_base += 4 => matrix_base;
    Dense Unaligned "inputs between words" |_, p| p.table[0].base += 4;
    Residual Unaligned "inputs of the second pass between words" |_, p| p.table[0].base += 4;
    Dense Unaligned "tokens between words" |_, p| p.x_stride += 4;
    Dense Unaligned "outputs between words" |d, _| d.output_base += 4 => output_base;
    Readout Unaligned "logits between words" |d, _| d.output_base += 7 => output_base;
    Dense OutOfRange "parameters outside the window" |d, _| d.parameter_base = 0xffff_ff00 => parameter_base;
    Dense OutOfRange "pass records outside the window" |d, _| d.pass_base = 0x0040_0000 => pass_base;
    Dense OutOfRange "a pass record that ends outside the window" |d, _| (d.pass_base, d.pass_words) = (0x003f_ffc0, 10) => pass_base;
    Dense OutOfRange "weights outside the window" |d, _| d.matrix_base = 0x8000_0000 => matrix_base;
    Scores OutOfRange "bias rows outside the window" |d, _| d.bias_base = 0x8000_0000 => bias_base;
    Scores OutOfRange "keys outside the window" |d, _| d.matrix_base = 0xffff_fff0 => matrix_base;
    Context OutOfRange "values outside the window" |d, _| d.matrix_base = 0x0040_0000 => matrix_base;
    Image OutOfRange "inputs outside the window" |_, p| p.table[0].base = 0xffff_fff0;
    Shortcut OutOfRange "a last segment outside the window" |_, p| p.table[p.segments as usize - 1].base = 0x7fff_fff0;
    Residual OutOfRange "a second pass outside the window" |_, p| p.table[0].base = 0x7fff_fff0;
    Merge OutOfRange "token rows outside the window" |_, p| p.y_stride = 0x4000_0000;
    Dense OutOfRange "outputs outside the window" |d, _| d.output_base = 0xffff_fff0 => output_base;
    Context OutOfRange "a second group outside the window" |d, _| (d.groups, d.output_group_stride) = (2, 0x4000_0000);
    Readout OutOfRange "logits that end outside the window" |d, _| d.output_chunk_stride = 0x0040_0000;
}

/// Codes of what is wrong with records, whatever their addresses.
const SHAPES: [ErrorCode; 5] = [
    ErrorCode::BadOp,
    ErrorCode::BadTimeSteps,
    ErrorCode::BadShape,
    ErrorCode::BadSegments,
    ErrorCode::TooLarge,
];

/// Of each kind of layer, sets each field that gives its shape, or that of its last pass, to 0, to the most it holds, and to what it is but for
/// one bit: what the interpreter of records refuses, the core refuses. Returns how many that were.
///
/// # Errors
/// The first that was not refused.
pub fn every_shape_is_checked(cosim: &Cosim) -> Result<u32, String> {
    let bench = Bench::new();
    let refused = AtomicU32::new(0);
    in_parallel(&Part::ALL, |&part| {
        let mut session = bench.session(cosim, &SimOptions::default())?;
        // What it reads is there from the run before.
        bench.compare(&mut session)?;
        let index = bench.descriptor(&session, part);
        let good = strip(&session, index).clone();
        let mut free = good.clone();
        (free.descriptor.inputs_ready, free.descriptor.weights_ready) = (0, 0);
        let last = free.passes.len() - 1;
        let mut judge = |name: &str, bad: &Strip| -> Result<(), String> {
            let refusal = sim::soft_core::accepts(&bad.descriptor, &bad.passes, &cosim.core);
            if !refusal.is_err_and(|code| SHAPES.contains(&code)) {
                return Ok(());
            }
            refused.fetch_add(1, Ordering::Relaxed);
            write_strip(&mut session, index, bad)?;
            alone(&mut session, index).map_err(|error| format!("{part:?} with {name} in {bad:?}: {error}"))
        };
        let narrow = |fields: &'static [Field]| fields.iter().filter(|field| field.width < 32);
        for field in narrow(descriptor::FIELDS) {
            for changed in changes(&free.descriptor.to_words(), field) {
                let words = changed.try_into().map_err(|_| "a descriptor of another length")?;
                judge(field.name, &Strip { descriptor: Descriptor::from_words(&words), ..free.clone() })?;
            }
        }
        for field in narrow(pass::FIELDS) {
            for changed in changes(&free.passes[last].to_words(), field) {
                let mut bad = free.clone();
                bad.passes[last] = Pass::from_words(&changed);
                judge(field.name, &bad)?;
            }
        }
        write_strip(&mut session, index, &good)?;
        bench.recover(&mut session)
    })?;
    Ok(refused.into_inner())
}

/// The words of a record with a field changed: in each of its bits, to 0, and to the most it holds.
fn changes(words: &[u64], field: &Field) -> Vec<Vec<u64>> {
    let all = field.largest() << field.lsb;
    let word = words[field.word];
    let flipped = (field.lsb..field.lsb + field.width).map(|bit| word ^ 1 << bit);
    let of = |changed| {
        let mut words = words.to_vec();
        words[field.word] = changed;
        words
    };
    flipped.chain([word & !all, word | all]).map(of).collect()
}

/// Starts a run of one descriptor, which must be refused for its shape.
fn alone(session: &mut Session<'_>, index: usize) -> Result<(), String> {
    let base = session.program.descriptor_base + (index * descriptor::BYTES) as u32;
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

/// How runs with random records ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Endings {
    /// With logits, of whatever value.
    pub finished: u32,
    /// With an error code.
    pub refused: u32,
    /// Not in the time they were given.
    pub endless: u32,
}

/// Time that a run with a random record gets: some times that of a good one.
const PATIENCE: Duration = Duration::from_micros(500);

/// Changes one descriptor, or one of its pass records, at random for each seed and runs the network: it finishes, is refused or does not end, and
/// a reset recovers. Odd seeds stall at random.
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
        let index = random.size(0, session.program.descriptors() - 1);
        let what = spoil(&mut session, &mut random, index)?;
        let fails = |error| format!("seed {seed}, descriptor {index}, {what}: {error}");
        session.accelerator.set_deadline(PATIENCE);
        let ending = session.accelerator.infer(&bench.image);
        {
            let mut endings = endings.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            match ending {
                // A run of other records than the program's may end with any logits.
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

/// Changes a descriptor or one of its passes in memory, and says how.
fn spoil(session: &mut Session<'_>, random: &mut Random, index: usize) -> Result<String, String> {
    let Strip { descriptor, passes } = strip(session, index).clone();
    if random.chance(1, 2) {
        let mut words = descriptor.to_words();
        mutate(random, &mut words, descriptor::FIELDS);
        write_descriptor(session, index, &words)?;
        return Ok(format!("{words:x?}"));
    }
    let number = random.size(0, passes.len() - 1);
    let mut words = passes[number].to_words();
    mutate(random, &mut words[..descriptor.pass_words as usize], pass::FIELDS);
    write_pass(session, index, number, &words)?;
    Ok(format!("pass {number}, {words:x?}"))
}

/// Stops the run and writes the program again, for what ran may have overwritten any of it.
fn reload(session: &mut Session<'_>) -> Result<(), String> {
    session.accelerator.reset().map_err(text)?;
    session.accelerator.load(&session.program).map_err(text)
}

/// Flips bits, or replaces a field, a word or everything by random or extreme values.
fn mutate(random: &mut Random, words: &mut [u64], fields: &[Field]) {
    let last = words.len() - 1;
    match random.between(0, 5) {
        0 | 1 => {
            for _ in 0..random.between(1, 4) {
                words[random.size(0, last)] ^= 1 << random.between(0, 63);
            }
        }
        2 | 3 => {
            for _ in 0..random.between(1, 3) {
                let field = &fields[random.size(0, fields.len() - 1)];
                let mask = field.largest() << field.lsb;
                let old = (words[field.word] & mask) >> field.lsb;
                let (any, small) = (random.bits(), random.between(0, 9) as u64);
                let value =
                    random.pick(&[small, small, u64::MAX, old + 1, old.wrapping_sub(1), old ^ 8, any]);
                words[field.word] = words[field.word] & !mask | (value << field.lsb) & mask;
            }
        }
        4 => words[random.size(0, last)] = random.bits(),
        _ => words.iter_mut().for_each(|word| *word = random.bits()),
    }
}
