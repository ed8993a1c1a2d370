//! Descriptors that the core must refuse, and random ones that it must survive.

use super::addresses::strip;
use super::campaign::{Worlds, in_parallel};
use super::recovery::{Bench, Kind, write_strip, write_words};
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

/// A descriptor or pass record that the core must refuse.
pub struct Malformed {
    /// What is wrong with it.
    pub what: &'static str,
    /// What the descriptor that it replaces runs.
    pub kind: Kind,
    /// The code that it must be refused with.
    pub code: ErrorCode,
    /// Makes a good descriptor, or its first pass, malformed.
    pub spoil: fn(&mut Descriptor, &mut Pass),
    /// The value of `ERROR_ADDRESS`, where an address is what is wrong.
    pub address: Option<fn(&Descriptor) -> u32>,
}

/// Runs the network with each of the records in place of a good one.
///
/// # Errors
/// The first that was not refused as it must be, or after which the core did not recover.
pub fn malformed_descriptors(cosim: &Cosim, cases: &[Malformed]) -> Result<(), String> {
    let bench = Bench::new();
    in_parallel(cases, |case| {
        let fails = |error| format!("{:?} with {}: {error}", case.kind, case.what);
        let mut session = bench.session(cosim, &SimOptions::default())?;
        let index = case.kind.first(&session.program);
        let good = strip(&session, index)?;
        let mut bad = good.clone();
        (case.spoil)(&mut bad.descriptor, &mut bad.passes[0]);
        write_strip(&mut session, index, &bad)?;
        let fault = bench.refused(&mut session, case.code, Some(index)).map_err(fails)?;
        let expected = case.address.map(|address| address(&bad.descriptor));
        if let Some(expected) = expected.filter(|&address| address != fault.address) {
            let found = fault.address;
            return Err(fails(format!("ERROR_ADDRESS is 0x{found:x}, expected 0x{expected:x}")));
        }
        write_strip(&mut session, index, &good)?;
        bench.recover(&mut session).map_err(fails)
    })
}

macro_rules! malformed {
    ($($kind:ident $code:ident $what:literal |$d:ident, $p:ident| $spoil:expr $(=> $address:ident)?;)*) => {
        /// Every check of the core, from both sides where it has two.
        pub const MALFORMED: &[Malformed] = &[$(Malformed {
            what: $what,
            kind: Kind::$kind,
            code: ErrorCode::$code,
            spoil: |$d: &mut Descriptor, $p: &mut Pass| {
                let _ = (&$d, &$p);
                $spoil
            },
            address: malformed!(@address $($address)?),
        },)*];
    };
    (@address $address:ident) => { Some(|d: &Descriptor| d.$address) };
    (@address) => { None };
}

/// Takes the words of the longest record, so that nothing but the number of segments is wrong with it.
fn rows(d: &mut Descriptor, p: &mut Pass, segments: u32, segment_words: u32) {
    (d.pass_words, p.segments, p.segment_words) = (24, segments, segment_words);
    p.matrix_rows = 8 * segments * segment_words;
}

/// As many time steps as the chunks hold, and words of a query's row.
fn chunks(d: &mut Descriptor, p: &mut Pass, chunks: u32, words: u32) {
    (d.time_steps, d.chunks, d.tail_steps, p.segment_words) = (8 * chunks, chunks, 8, words);
}

malformed! {
    Dense BadOp "operation 3" |d, p| d.op = 3;
    Dense BadOp "operation 15" |d, p| d.op = 15;
    Dense BadTimeSteps "no time steps" |d, p| d.time_steps = 0;
    Dense BadTimeSteps "65 time steps" |d, p| (d.time_steps, d.chunks, d.tail_steps) = (65, 9, 1);
    Dense BadTimeSteps "127 time steps" |d, p| d.time_steps = 127;
    Dense BadTimeSteps "a time step more than its chunks" |d, p| d.time_steps += 1;
    Dense BadTimeSteps "no tail steps" |d, p| d.tail_steps = 0;
    Dense BadTimeSteps "9 tail steps" |d, p| d.tail_steps = 9;
    Dense BadTimeSteps "no chunks" |d, p| d.chunks = 0;
    Dense BadTimeSteps "a chunk more than its time steps" |d, p| d.chunks += 1;
    Bytes BadTimeSteps "two chunks of input bytes" |d, p| d.chunks = 2;
    Bytes BadTimeSteps "the tail of other time steps" |d, p| d.tail_steps = d.tail_steps % 8 + 1;
    Dense BadTimeSteps "a rotation by all time steps" |d, p| d.rotate = d.time_steps;
    Dense BadSegments "records of no words" |d, p| d.pass_words = 0;
    Dense BadSegments "records of 7 words" |d, p| d.pass_words = 7;
    Dense BadSegments "records of 25 words" |d, p| d.pass_words = 25;
    Dense BadSegments "no segments" |d, p| p.segments = 0;
    Diagonal BadSegments "17 segments" |d, p| rows(d, p, 17, 1);
    Dense BadSegments "a segment more than its record has words" |d, p| p.segments = d.pass_words - 6;
    Scores BadSegments "two segments of a query" |d, p| (d.pass_words, p.segments) = (24, 2);
    Context BadSegments "two segments of a row of scores" |d, p| (d.pass_words, p.segments) = (24, 2);
    Dense BadShape "no tiles" |d, p| d.tiles = 0;
    Dense BadShape "no groups" |d, p| d.groups = 0;
    Dense BadShape "no rows of blocks" |d, p| d.blocks_y = 0;
    Dense BadShape "no columns of blocks" |d, p| d.blocks_x = 0;
    Dense BadShape "no token rows" |d, p| d.inner_y = 0;
    Dense BadShape "no token columns" |d, p| d.inner_x = 0;
    Dense BadShape "no passes" |d, p| d.passes = 0;
    Dense BadShape "no words in an output row" |d, p| d.output_words = 0;
    Dense BadShape "a hard reset after all steps" |d, p| (d.schedule, d.hard_reset) = (1, 1);
    Bytes BadShape "a sum of bytes" |d, p| d.sum = 1;
    Scores BadShape "a sum of scores" |d, p| d.sum = 1;
    Scores BadShape "two passes of scores" |d, p| d.passes = 2;
    Context BadShape "two passes of a context" |d, p| d.passes = 2;
    Dense BadShape "no words in a segment" |d, p| p.segment_words = 0;
    Dense BadShape "no rows of weights" |d, p| p.matrix_rows = 0;
    Dense BadShape "no rows of the source" |d, p| p.rows = 0;
    Dense BadShape "no columns of the source" |d, p| p.columns = 0;
    Scores BadShape "a diagonal pass of queries" |d, p| p.diagonal = 1;
    Scores BadShape "no keys" |d, p| d.keys = 0;
    Scores BadShape "no words in a key" |d, p| d.key_words = 0;
    Scores BadShape "a shift by the rows of a block" |d, p| (d.shift, d.inner_x) = (d.inner_y, d.inner_y + 1);
    Scores BadShape "a shift by the columns of a block" |d, p| (d.shift, d.inner_y) = (d.inner_x, d.inner_x + 1);
    Dense BadShape "more tiles than output words" |d, p| d.tiles = MAX_COUNT;
    Scores BadShape "more tiles than keys" |d, p| (d.tiles, d.output_words) = (MAX_COUNT, MAX_COUNT);
    Context BadShape "more tiles than words of a value" |d, p| (d.tiles, d.output_words) = (MAX_COUNT, MAX_COUNT);
    Dense BadShape "a row of weights more than inputs" |d, p| p.matrix_rows += 1;
    Dense BadShape "a row of weights less than inputs" |d, p| p.matrix_rows -= 1;
    Bytes BadShape "weights for half its bytes" |d, p| p.matrix_rows /= 2;
    Sum BadShape "twice as many rows of weights as inputs" |d, p| p.matrix_rows *= 2;
    Diagonal BadShape "more rows of gains than segments" |d, p| p.matrix_rows = MAX_COUNT;
    Dense TooLarge "a fan-in beyond the buffer" |d, p| rows(d, p, 1, 65);
    Dense TooLarge "a fan-in of 66 words" |d, p| rows(d, p, 1, 66);
    Dense TooLarge "a fan-in of 68 words" |d, p| rows(d, p, 2, 34);
    Dense TooLarge "a fan-in of 72 words" |d, p| rows(d, p, 4, 18);
    Dense TooLarge "a fan-in of 80 words" |d, p| rows(d, p, 8, 10);
    Dense TooLarge "a fan-in of 96 words" |d, p| rows(d, p, 16, 6);
    Passes TooLarge "more sums than the buffer has rows" |d, p| d.inner_y = MAX_COUNT;
    Scores TooLarge "more keys than the buffer has bias rows" |d, p| d.keys = MAX_COUNT;
    Scores TooLarge "chunks of a query beyond the buffer" |d, p| chunks(d, p, 8, 64);
    Scores TooLarge "65 words of chunks" |d, p| chunks(d, p, 5, 13);
    Context TooLarge "66 words of chunks" |d, p| chunks(d, p, 6, 11);
    Scores TooLarge "68 words of chunks" |d, p| chunks(d, p, 4, 17);
    Context TooLarge "72 words of chunks" |d, p| chunks(d, p, 8, 9);
    Scores TooLarge "80 words of chunks" |d, p| chunks(d, p, 8, 10);
    Context TooLarge "96 words of chunks" |d, p| chunks(d, p, 8, 12);
    Scores TooLarge "128 words of chunks" |d, p| chunks(d, p, 8, 16);
    Dense Unaligned "parameters between words" |d, p| d.parameter_base += 4 => parameter_base;
    Dense Unaligned "records between words" |d, p| d.pass_base += 4 => pass_base;
    Dense Unaligned "weights between words" |d, p| d.matrix_base += 4 => matrix_base;
    Scores Unaligned "bias rows between words" |d, p| d.bias_base += 1 => bias_base;
    Scores Unaligned "keys between words" |d, p| d.matrix_base += 2 => matrix_base;
    Context Unaligned "values between words" |d, p| d.matrix_base += 4 => matrix_base;
    Dense Unaligned "inputs between words" |d, p| p.table.iter_mut().for_each(|segment| segment.base += 4);
    Bytes Unaligned "tokens between words" |d, p| (p.x_stride, p.y_stride) = (p.x_stride + 4, p.y_stride + 4);
    Dense Unaligned "outputs between words" |d, p| d.output_base += 4 => output_base;
    Sum Unaligned "logits between words" |d, p| d.output_base += 7 => output_base;
    Dense OutOfRange "parameters outside the window" |d, p| d.parameter_base = 0xffff_ff00 => parameter_base;
    Dense OutOfRange "records outside the window" |d, p| d.pass_base = 0xffff_ff00 => pass_base;
    Dense OutOfRange "weights outside the window" |d, p| d.matrix_base = 0x8000_0000 => matrix_base;
    Scores OutOfRange "bias rows outside the window" |d, p| d.bias_base = 0x8000_0000 => bias_base;
    Scores OutOfRange "keys outside the window" |d, p| d.matrix_base = 0xffff_fff0 => matrix_base;
    Context OutOfRange "values outside the window" |d, p| d.matrix_base = 0x0040_0000 => matrix_base;
    Bytes OutOfRange "inputs outside the window" |d, p| p.table[0].base = 0xffff_fff0;
    Dense OutOfRange "outputs outside the window" |d, p| d.output_base = 0xffff_fff0 => output_base;
    Context OutOfRange "a second group outside the window" |d, p| (d.groups, d.output_group_stride) = (2, 0x4000_0000);
    Sum OutOfRange "logits that end outside the window" |d, p| d.output_chunk_stride = 0x0040_0000;
}

/// Codes of what is wrong with a descriptor, whatever its addresses.
const SHAPES: [ErrorCode; 5] = [
    ErrorCode::BadOp,
    ErrorCode::BadTimeSteps,
    ErrorCode::BadShape,
    ErrorCode::BadSegments,
    ErrorCode::TooLarge,
];

/// Of each kind of descriptor, sets each field that gives its shape, and its first pass's, to 0, to the most it holds, and to what it is but for
/// one bit: what the interpreter of descriptors refuses, the core refuses. Returns how many that were.
///
/// # Errors
/// The first that was not refused.
pub fn every_shape_is_checked(cosim: &Cosim) -> Result<u32, String> {
    let bench = Bench::new();
    let refused = AtomicU32::new(0);
    in_parallel(&Kind::ALL, |&kind| {
        let mut session = bench.session(cosim, &SimOptions::default())?;
        let index = kind.first(&session.program);
        let good = strip(&session, index)?;
        let mut check = |field: &Field, changed: Strip| {
            let refusal = sim::soft_core::accepts(&changed.descriptor, &changed.passes, &cosim.core);
            if !refusal.is_err_and(|code| SHAPES.contains(&code)) {
                return Ok(());
            }
            refused.fetch_add(1, Ordering::Relaxed);
            write_strip(&mut session, index, &changed)?;
            alone(&mut session, index)
                .map_err(|error| format!("{kind:?} with another {}: {error}", field.name))
        };
        let words = good.descriptor.to_words();
        for (field, words) in spoilt(descriptor::FIELDS, &words) {
            let words = words.try_into().map_err(|_| "as many words")?;
            check(field, Strip { descriptor: Descriptor::from_words(&words), ..good.clone() })?;
        }
        for (field, words) in spoilt(pass::FIELDS, &good.passes[0].to_words()) {
            let mut changed = good.clone();
            // The table stays, whatever number of segments the record names.
            let table = std::mem::take(&mut changed.passes[0].table);
            changed.passes[0] = Pass { table, ..Pass::from_words(&words) };
            check(field, changed)?;
        }
        write_strip(&mut session, index, &good)?;
        bench.recover(&mut session)
    })?;
    Ok(refused.into_inner())
}

/// The words with each narrow field set to 0, to the most it holds, and to what it is but for one bit.
fn spoilt<'f>(fields: &'f [Field], words: &[u64]) -> Vec<(&'f Field, Vec<u64>)> {
    let narrow = fields.iter().filter(|field| field.width < 32);
    let of_field = |field: &'f Field| {
        let (all, word) = (field.largest() << field.lsb, words[field.word]);
        let flipped = (field.lsb..field.lsb + field.width).map(move |bit| word ^ 1 << bit);
        let changed = flipped.chain([word & !all, word | all]);
        changed.map(move |word| (field, word))
    };
    narrow
        .flat_map(of_field)
        .map(|(field, word)| {
            let mut words = words.to_vec();
            words[field.word] = word;
            (field, words)
        })
        .collect()
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

/// Changes one descriptor, or the record of its first pass, at random for each seed and runs the network: it finishes, is refused or does not end, and a reset recovers. Odd
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
        let index = random.size(0, session.program.descriptors() - 1);
        let Strip { descriptor, passes } = strip(&session, index)?;
        // Half of them the records of its passes.
        let of_pass = random.chance(1, 2);
        let (fields, words) = if of_pass {
            (pass::FIELDS, passes[0].to_words()[..descriptor.pass_words as usize].to_vec())
        } else {
            (descriptor::FIELDS, descriptor.to_words().to_vec())
        };
        let words = mutate(&mut random, fields, words);
        let fails =
            |error| format!("seed {seed}, descriptor {index}, of a pass {of_pass}, {words:x?}: {error}");
        let at = if of_pass {
            descriptor.pass_base
        } else {
            session.program.descriptor_base + (index * descriptor::BYTES) as u32
        };
        write_words(&mut session, at.into(), &words)?;
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
fn mutate(random: &mut Random, fields: &[Field], mut words: Vec<u64>) -> Vec<u64> {
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
    words
}
