//! The driver on the core in software: results, profiles, and what it says when something is wrong.

mod network;

use compile::ProgramOptions;
use driver::link::{Link, LinkError};
use driver::{Accelerator, DriverError};
use isa::program::{Planes, Program};
use isa::registers::{self, control, status};
use isa::{CoreConfig, ErrorCode, descriptor};
use model::RunOptions;
use model::reference::Executor;
use sim::SoftCore;
use std::time::Duration;

const MEMORY: usize = 1 << 20;
const SEED: u64 = 3;

fn core() -> CoreConfig {
    CoreConfig::preset("tiny").unwrap()
}

fn program(planes: Planes) -> Program {
    let configured = network::random(SEED).0.configure(&RunOptions::new(8)).unwrap();
    compile::compile(&configured, &core(), &ProgramOptions { memory_size: MEMORY as u64, planes }).unwrap()
}

fn soft_core() -> SoftCore {
    SoftCore::new(&core(), MEMORY).unwrap()
}

fn loaded() -> (Accelerator<SoftCore>, Vec<u8>) {
    let mut accelerator = Accelerator::open(soft_core()).unwrap();
    accelerator.load(&program(Planes::Keep)).unwrap();
    (accelerator, network::random(SEED).1)
}

/// A link whose registers can be made to lie.
struct Tampered {
    link: SoftCore,
    /// Register offset and the value that is read there.
    lie: Option<(u32, u32)>,
    /// Whether a start never reaches the core.
    deaf: bool,
}

impl Tampered {
    fn telling(offset: u32, value: u32) -> Tampered {
        Tampered { link: soft_core(), lie: Some((offset, value)), deaf: false }
    }
}

impl Link for Tampered {
    fn read_register(&mut self, offset: u32) -> Result<u32, LinkError> {
        match self.lie {
            Some((at, value)) if at == offset => Ok(value),
            _ => self.link.read_register(offset),
        }
    }

    fn write_register(&mut self, offset: u32, value: u32) -> Result<(), LinkError> {
        if self.deaf && offset == registers::CONTROL && value & control::START != 0 {
            return Ok(());
        }
        self.link.write_register(offset, value)
    }

    fn read_memory(&mut self, offset: u64, into: &mut [u8]) -> Result<(), LinkError> {
        self.link.read_memory(offset, into)
    }

    fn write_memory(&mut self, offset: u64, data: &[u8]) -> Result<(), LinkError> {
        self.link.write_memory(offset, data)
    }

    fn memory_base(&self) -> u64 {
        self.link.memory_base()
    }

    fn memory_size(&self) -> u64 {
        self.link.memory_size()
    }

    fn wait_interrupt(&mut self, timeout: Duration) -> Result<bool, LinkError> {
        self.link.wait_interrupt(timeout)
    }
}

fn open_error(link: impl Link) -> DriverError {
    match Accelerator::open(link) {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

#[test]
fn a_batch_gives_what_single_images_give() {
    let (mut accelerator, image) = loaded();
    let other: Vec<u8> = image.iter().map(|pixel| 255 - pixel).collect();
    let batch = accelerator.infer_batch([image.as_slice(), &other]).unwrap();
    assert_eq!(batch[0], accelerator.infer(&image).unwrap());
    assert_eq!(batch[1], accelerator.infer(&other).unwrap());
    assert_ne!(batch[0].logits, batch[1].logits);
}

#[test]
fn a_profile_adds_up_to_the_whole_run() {
    let (mut accelerator, image) = loaded();
    let whole = accelerator.infer(&image).unwrap();
    let (profiled, layers) = accelerator.run_profiled(&image).unwrap();
    assert_eq!(profiled, whole);
    let expected = network::random(SEED).0.configure(&RunOptions::new(8)).unwrap();
    let trace = Executor::new(&expected).trace(&image).unwrap();
    for (layer, plane) in layers.iter().zip(&trace.planes) {
        assert_eq!(layer.counters.spikes, plane.spikes(), "layer `{}`", layer.name);
    }
}

#[test]
fn a_run_can_be_repeated_when_planes_share_memory() {
    let mut accelerator = Accelerator::open(soft_core()).unwrap();
    accelerator.load(&program(Planes::Reuse)).unwrap();
    let image = network::random(SEED).1;
    assert_eq!(accelerator.infer(&image).unwrap(), accelerator.infer(&image).unwrap());
    let message = accelerator.read_plane(0).unwrap_err().to_string();
    assert!(message.contains("Planes::Keep"), "{message}");
}

#[test]
fn a_bad_descriptor_is_named_with_its_layer_and_a_reset_recovers() {
    let (mut accelerator, image) = loaded();
    let good = accelerator.infer(&image).unwrap();
    let layer = 5;
    let at = (layer * descriptor::BYTES) as u64;
    let mut bytes = [0; 1];
    accelerator.link().read_memory(at, &mut bytes).unwrap();
    accelerator.link().write_memory(at, &[bytes[0] | 0xf]).unwrap();

    let error = accelerator.infer(&image).unwrap_err();
    let message = error.to_string();
    let DriverError::Core(fault) = error else { panic!("{message}") };
    assert_eq!((fault.error_code(), fault.descriptor), (Some(ErrorCode::BadOp), layer as u32));
    assert!(message.contains("error 1 (BadOp) in descriptor 5, layer `scores`"), "{message}");
    assert!(accelerator.infer(&image).is_err(), "an error stays until the reset");
    let profiled = accelerator.run_profiled(&image);
    assert!(profiled.is_err());

    accelerator.link().write_memory(at, &bytes).unwrap();
    accelerator.reset().unwrap();
    assert_eq!(accelerator.infer(&image).unwrap(), good);
}

/// A change that makes a descriptor or its first pass bad.
type Spoil = fn(&mut isa::Descriptor, &mut isa::Pass);

/// Writes the records of layer `q` changed by `spoil`.
fn spoil(accelerator: &mut Accelerator<SoftCore>, spoil: Spoil) {
    let mut strip = accelerator.program().unwrap().layers[2].strips[0].clone();
    let (place, words) = (strip.descriptor.pass_base, strip.descriptor.pass_words as usize);
    spoil(&mut strip.descriptor, &mut strip.passes[0]);
    let bytes = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    let descriptor = bytes(&strip.descriptor.to_words());
    accelerator.link().write_memory(2 * descriptor::BYTES as u64, &descriptor).unwrap();
    let pass = bytes(&strip.passes[0].to_words()[..words]);
    accelerator.link().write_memory(place.into(), &pass).unwrap();
}

#[test]
fn every_error_of_the_records_is_reported() {
    let (mut accelerator, image) = loaded();
    let cases: [(ErrorCode, Spoil); 33] = [
        (ErrorCode::BadOp, |d, _| d.op = 3),
        (ErrorCode::BadOp, |d, _| d.op = 15),
        (ErrorCode::BadTimeSteps, |d, _| d.tail_steps = 7),
        (ErrorCode::BadTimeSteps, |d, _| d.chunks = 2),
        (ErrorCode::BadTimeSteps, |d, _| d.rotate = d.time_steps),
        (ErrorCode::BadShape, |d, _| d.inner_x = 0),
        (ErrorCode::BadShape, |d, _| d.shift = 8),
        (ErrorCode::BadShape, |d, _| d.passes = 0),
        (ErrorCode::BadShape, |d, _| d.output_words = 0),
        (ErrorCode::BadShape, |d, _| (d.op, d.keys, d.key_words, d.passes) = (1, 4, 1, 2)),
        (ErrorCode::BadShape, |d, _| (d.op, d.keys, d.key_words, d.sum) = (1, 4, 1, 1)),
        (ErrorCode::BadShape, |d, _| (d.op, d.keys, d.key_words, d.bytes) = (2, 4, 1, 1)),
        (ErrorCode::BadShape, |d, _| (d.op, d.keys, d.key_words) = (2, 0, 1)),
        (ErrorCode::BadShape, |d, _| (d.hard_reset, d.schedule) = (1, 1)),
        (ErrorCode::BadShape, |d, _| (d.sum, d.bytes) = (1, 1)),
        (ErrorCode::BadShape, |d, p| (d.op, d.keys, d.key_words, p.diagonal) = (1, 4, 1, 1)),
        (ErrorCode::BadShape, |_, p| p.segment_words = 0),
        (ErrorCode::BadShape, |_, p| p.rows = 0),
        (ErrorCode::BadShape, |_, p| p.columns = 0),
        (ErrorCode::BadShape, |_, p| p.matrix_rows += 1),
        (ErrorCode::BadShape, |_, p| p.diagonal = 1),
        (ErrorCode::TooLarge, |_, p| (p.segments, p.segment_words, p.matrix_rows) = (1, 65, 520)),
        (ErrorCode::TooLarge, |d, _| (d.passes, d.inner_x, d.inner_y) = (2, 13, 5)),
        (ErrorCode::TooLarge, |d, _| (d.op, d.keys, d.key_words) = (2, 65, 1)),
        (ErrorCode::BadSegments, |_, p| p.segments = 0),
        (ErrorCode::BadSegments, |_, p| p.segments = 17),
        (ErrorCode::BadSegments, |_, p| (p.segments, p.matrix_rows) = (2, 2 * p.matrix_rows)),
        (ErrorCode::BadSegments, |d, _| d.pass_words = 7),
        (ErrorCode::BadSegments, |d, _| d.pass_words = 25),
        (ErrorCode::BadSegments, |d, p| {
            (d.op, d.keys, d.key_words, d.pass_words, p.segments) = (2, 4, 1, 9, 2)
        }),
        (ErrorCode::Unaligned, |_, p| p.x_stride += 4),
        (ErrorCode::Unaligned, |d, _| d.matrix_base += 4),
        (ErrorCode::OutOfRange, |_, p| p.table[0].base = 0xffff_fff0),
    ];
    for (index, (code, change)) in cases.into_iter().enumerate() {
        spoil(&mut accelerator, change);
        let error = accelerator.infer(&image).unwrap_err();
        let DriverError::Core(fault) = error else { panic!("case {index}, {code:?}: {error}") };
        let found = (fault.error_code(), fault.descriptor, fault.layer.as_str());
        assert_eq!(found, (Some(code), 2, "q"), "case {index}");
        accelerator.reset().unwrap();
    }
    spoil(&mut accelerator, |_, _| {});
    accelerator.infer(&image).unwrap();
}

#[test]
fn a_position_outside_the_source_is_not_read() {
    let (mut accelerator, image) = loaded();
    // Every token reads outside: no address is looked at.
    spoil(&mut accelerator, |_, p| (p.start_y, p.table[0].base) = ((1 << 14) - 1, 0xffff_fff0));
    accelerator.infer(&image).unwrap();
    spoil(&mut accelerator, |_, p| (p.table[0].dx, p.table[0].base) = (1, 0xffff_fff0));
    accelerator.infer(&image).unwrap();
}

/// A program of a convolutional network of which one layer, whose index is returned, has more than two strips; with its image.
fn in_strips(core: &CoreConfig) -> (Program, usize, Vec<u8>) {
    let run = RunOptions { membrane_bits: 32, ..RunOptions::new(8) };
    let options = ProgramOptions { memory_size: MEMORY as u64, planes: Planes::Keep };
    let of_seed = |seed| {
        let (network, image) = network::conv::random(seed);
        let program = compile::compile(&network.configure(&run).ok()?, core, &options).ok()?;
        let layer = program.layers.iter().position(|layer| layer.strips.len() > 2)?;
        Some((program, layer, image))
    };
    (0..100).find_map(of_seed).unwrap()
}

#[test]
fn a_fault_in_a_strip_names_its_layer() {
    let core = CoreConfig { max_fan_in: 64, sum_rows: 16, membrane_bits: 32, ..core() };
    let (program, layer, image) = in_strips(&core);
    let before: usize = program.layers[..layer].iter().map(|layer| layer.strips.len()).sum();
    let at = ((before + 2) * descriptor::BYTES) as u64;
    let mut accelerator = Accelerator::open(SoftCore::new(&core, MEMORY).unwrap()).unwrap();
    accelerator.load(&program).unwrap();
    let (whole, profiled) = accelerator.run_profiled(&image).unwrap();
    assert_eq!(whole, accelerator.infer(&image).unwrap());
    assert_eq!(profiled.len(), program.layers.len());
    accelerator.link().write_memory(at, &[0xf]).unwrap();
    let DriverError::Core(fault) = accelerator.infer(&image).unwrap_err() else { panic!("it ran") };
    assert_eq!((fault.descriptor as usize, &fault.layer), (before + 2, &program.layers[layer].name));
}

#[test]
fn a_core_that_does_not_finish_is_reported_with_its_progress() {
    let mut accelerator = Accelerator::open(Tampered { link: soft_core(), lie: None, deaf: true }).unwrap();
    accelerator.load(&program(Planes::Keep)).unwrap();
    let message = accelerator.infer(&network::random(SEED).1).unwrap_err().to_string();
    assert!(message.contains("0 of 14 descriptors completed, `embed` is next"), "{message}");
    accelerator.link().deaf = false;
    accelerator.reset().unwrap();
    accelerator.infer(&network::random(SEED).1).unwrap();
}

#[test]
fn what_is_no_accelerator_is_not_opened() {
    let message = open_error(Tampered::telling(registers::IDENTITY, 0xffff_ffff)).to_string();
    assert!(message.contains("0xffffffff, expected 0x4d535431"), "{message}");
    let message = open_error(Tampered::telling(registers::VERSION, 0x0001_0003)).to_string();
    assert!(message.contains("version 1.3, this driver speaks 2.x"), "{message}");
    assert!(message.contains("generate the core and build the driver from the same release"), "{message}");
    for register in [registers::CONFIG0, registers::CONFIG3] {
        let message = open_error(Tampered::telling(register, 7)).to_string();
        assert!(message.contains("describe no core"), "{message}");
    }
    let message = open_error(Tampered::telling(registers::STATUS, status::RESETTING)).to_string();
    assert!(message.contains("soft reset was not over"), "{message}");
    let message = open_error(SoftCore::new(&core(), 100).unwrap()).to_string();
    assert!(message.contains("at least 4096 bytes"), "{message}");
}

#[test]
fn programs_and_files_of_other_cores_are_refused() {
    let other = CoreConfig { lanes: 16, ..core() };
    let message = match Accelerator::open_expecting(soft_core(), &other) {
        Ok(_) => panic!("it opened"),
        Err(error) => error.to_string(),
    };
    assert!(message.contains("lanes is 16 in mst_core.json, but 8"), "{message}");
    let mut accelerator = Accelerator::open(SoftCore::new(&other, MEMORY).unwrap()).unwrap();
    assert!(matches!(accelerator.load(&program(Planes::Keep)), Err(DriverError::OtherCore { .. })));
    let mut small = Accelerator::open(SoftCore::new(&core(), 8192).unwrap()).unwrap();
    assert!(matches!(small.load(&program(Planes::Keep)), Err(DriverError::Window { .. })));
}

#[test]
fn misuse_is_named() {
    let mut empty = Accelerator::open(soft_core()).unwrap();
    assert!(matches!(empty.infer(&[]), Err(DriverError::NotLoaded)));
    let (mut accelerator, image) = loaded();
    let message = accelerator.infer(&image[1..]).unwrap_err().to_string();
    assert!(message.contains(&format!("takes {}", image.len())), "{message}");
    let message = accelerator.read_plane(13).unwrap_err().to_string();
    assert!(message.contains("is the readout"), "{message}");
    let message = accelerator.read_plane(99).unwrap_err().to_string();
    assert!(message.contains("has layers 0..14"), "{message}");
    let outside = accelerator.link().write_memory(MEMORY as u64 - 1, &[0; 2]).unwrap_err().to_string();
    assert!(outside.contains("of a window of 1048576 bytes"), "{outside}");
}
