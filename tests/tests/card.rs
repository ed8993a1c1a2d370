//! The shipped network on the PCIe card, through LitePCIe's own core and packets: bit-exact, whatever else goes on.

use driver::pcie::{Buffer, Direction, Function, PcieLink, PcieOptions};
use driver::{Accelerator, Link, Planes, Program, ProgramOptions};
use images::Dataset;
use isa::pcie::{self, card_control, card_status, interrupt, litepcie};
use isa::registers::{self, control, status};
use isa::{CoreConfig, PcieConfig};
use model::{Executor, Network, RunOptions};
use sim::pcie::{CardModel, RootOptions, SimFunction};
use sim::verilated::Tracing;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes of a stream that runs beside the core.
const BESIDE: usize = 64 << 10;
/// Cycles that everything here needs less than.
const PATIENCE: u32 = 1_000_000;

fn models(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(path)
}

fn config() -> PcieConfig {
    PcieConfig { core: CoreConfig::preset("pcie").unwrap(), memory_bytes: 768 << 10, clock_hz: 125_000_000 }
}

struct Setup {
    model: CardModel,
    network: model::Configured,
    program: Program,
    data: Dataset,
}

fn setup(edit: impl FnOnce(&mut [hdl::rtl::VerilogFile])) -> Setup {
    let network =
        Network::load(&models("fashion-mnist/net.mst")).unwrap().configure(&RunOptions::new(8)).unwrap();
    let options = ProgramOptions { memory_size: config().memory_bytes.into(), planes: Planes::Keep };
    Setup {
        model: CardModel::build_edited(&config(), Tracing::None, edit).unwrap(),
        program: Program::compile(&network, &config().core, &options).unwrap(),
        data: Dataset::load(&models("data/fashion-mnist"), &network).unwrap(),
        network,
    }
}

impl Setup {
    fn card(&self, options: RootOptions) -> Accelerator<PcieLink<SimFunction>> {
        let function = SimFunction::new(&self.model, config().clock_hz, options, None).unwrap();
        let link = PcieLink::open(function, &PcieOptions::default()).unwrap();
        let mut card = Accelerator::open_expecting(link, &config().core).unwrap();
        card.load(&self.program).unwrap();
        card
    }

    fn logits(&self, image: usize) -> Vec<i32> {
        Executor::new(&self.network).trace(self.data.image(image)).unwrap().logits
    }
}

#[test]
fn images_are_classified_to_the_bit() {
    let setup = setup(|_| ());
    for options in [RootOptions::default(), RootOptions::random(11), RootOptions::random(12)] {
        let mut card = setup.card(options);
        for image in [0, 1] {
            assert_eq!(card.infer(setup.data.image(image)).unwrap().logits, setup.logits(image));
        }
        let root = card.link().function().root();
        assert_eq!(root.dropped_writes(), 0);
        assert_eq!(card.link().function().faults(), 0);
    }
}

fn start_engine(function: &mut SimFunction, engine: u32, address: u64, bytes: usize) {
    use litepcie::dma;
    let mut set = |register: u32, value: u32| function.write(engine + register, value).unwrap();
    set(dma::ENABLE, 0);
    set(dma::TABLE_RESET, 1);
    set(dma::TABLE_VALUE_HIGH, bytes as u32);
    set(dma::TABLE_VALUE_LOW, address as u32);
    set(dma::TABLE_WRITE, (address >> 32) as u32);
    set(dma::ENABLE, 1);
}

fn start_core(function: &mut SimFunction, layers: u32) {
    let mut set = |register: u32, value: u32| function.write(pcie::CORE_BASE + register, value).unwrap();
    set(registers::DESCRIPTOR_COUNT, layers);
    set(registers::CONTROL, control::CLEAR_DONE | control::CLEAR_COUNTERS);
    set(registers::CONTROL, control::START);
}

/// Runs the image that is there once more while streams fill the end of the memory and fetch the parameters again and again.
/// Returns the cycles of the run and how many streams there were.
fn run_beside_streams(setup: &Setup, options: RootOptions) -> Result<(u64, u32), String> {
    let mut card = setup.card(options);
    let expected = card.infer(setup.data.image(0)).map_err(|error| error.to_string())?.logits;
    let mut parameters = vec![0; BESIDE];
    card.link().read_memory(0, &mut parameters).unwrap();
    let function = card.link().function();
    let place = config().memory_bytes - BESIDE as u32;
    let mut there = function.buffer(BESIDE, Direction::ToCard).unwrap();
    let back = function.buffer(BESIDE, Direction::ToHost).unwrap();
    let sent: Vec<u8> = (0..BESIDE as u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 21) as u8).collect();
    there.write(0, &sent);

    start_core(function, setup.program.layers.len() as u32);
    let (begin, mut streams) = (function.root().cycles(), 0);
    let core = |function: &mut SimFunction| function.read(pcie::CORE_BASE + registers::STATUS).unwrap();
    let card_register =
        |function: &mut SimFunction, register| function.read(pcie::CARD_BASE + register).unwrap();
    while core(function) & status::BUSY != 0 {
        for (register, value) in [
            (pcie::TO_CARD_OFFSET, place),
            (pcie::TO_CARD_LENGTH, BESIDE as u32),
            (pcie::TO_HOST_OFFSET, 0),
            (pcie::TO_HOST_LENGTH, BESIDE as u32),
        ] {
            function.write(pcie::CARD_BASE + register, value).unwrap();
        }
        start_engine(function, litepcie::DMA_WRITER, back.address(), BESIDE);
        start_engine(function, litepcie::DMA_READER, there.address(), BESIDE);
        let busy = card_status::TO_CARD_BUSY | card_status::TO_HOST_BUSY;
        let end = function.root().cycles() + u64::from(PATIENCE);
        while card_register(function, pcie::CARD_STATUS) & busy != 0 {
            if function.root().cycles() > end {
                return Err("a stream never ends".to_owned());
            }
        }
        streams += 2;
        function.root().step(200).unwrap();
        let crc = card_register(function, pcie::TO_HOST_CRC);
        let mut found = vec![0; BESIDE];
        back.read(0, &mut found);
        if found != parameters || crc != crc32fast::hash(&parameters) {
            return Err("a stream to the host has other data than the memory".to_owned());
        }
        if function.root().cycles() - begin > u64::from(PATIENCE) {
            return Err("the core never ends".to_owned());
        }
    }
    let cycles = function.root().cycles() - begin;
    if core(function) & (status::DONE | status::ERROR) != status::DONE {
        return Err("the run failed".to_owned());
    }
    // As the link left it: engines on, tables empty, no interrupt.
    function.write(litepcie::MSI_CLEAR, u32::MAX).unwrap();
    let layout = &setup.program.logits;
    let mut planes = vec![0; 4 * layout.plane_bytes as usize];
    card.link().read_memory(layout.base.into(), &mut planes).unwrap();
    let logit = |class: usize| {
        let byte = |plane: usize| planes[plane * layout.plane_bytes as usize + class];
        i32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)])
    };
    let found: Vec<i32> = (0..layout.classes).map(logit).collect();
    let mut memory = vec![0; BESIDE];
    card.link().read_memory(place.into(), &mut memory).unwrap();
    match (found == expected, memory == sent) {
        (true, true) => Ok((cycles, streams)),
        (false, _) => Err("the core's logits are others".to_owned()),
        (_, false) => Err("a stream to the card left other data in memory".to_owned()),
    }
}

#[test]
fn core_and_streams_share_the_memory() {
    let setup = setup(|_| ());
    for options in [RootOptions::default(), RootOptions::random(21)] {
        let (cycles, streams) = run_beside_streams(&setup, options).unwrap();
        eprintln!("{cycles} cycles of the core beside {streams} streams of {BESIDE} bytes");
        assert!(streams >= 4, "{streams}");
    }
}

#[test]
fn an_arbiter_that_confuses_both_is_found() {
    let setup = setup(|files| {
        let file = files.iter_mut().find(|file| file.name == "memory_arbiter.v").unwrap();
        let text = "core_rvalid = rvalid & ~rid[1];";
        assert!(file.text.contains(text), "{}", file.text);
        // Whose turn it is next, instead of whose burst is answered: the same as long as only one of them reads.
        file.text = file.text.replace(text, "core_rvalid = rvalid & ~ar_owner;");
    });
    run_beside_streams(&setup, RootOptions::default()).unwrap_err();
}

#[test]
fn a_reset_of_the_core_at_any_time_leaves_memory_and_card_usable() {
    let setup = setup(|_| ());
    let mut card = setup.card(RootOptions::random(31));
    let expected = card.infer(setup.data.image(0)).unwrap().logits;
    for steps in [3, 400, 2_017, 9_000, 20_003, 60_000] {
        let function = card.link().function();
        start_core(function, setup.program.layers.len() as u32);
        function.root().step(steps).unwrap();
        function.write(pcie::CARD_BASE + pcie::CARD_CONTROL, card_control::CORE_RESET).unwrap();
        assert_eq!(function.read(pcie::CORE_BASE + registers::STATUS).unwrap() & status::BUSY, 0, "{steps}");
        // The core has forgotten everything; the memory has not.
        card = Accelerator::open_expecting(card.into_link(), &config().core).unwrap();
        card.load(&setup.program).unwrap();
        assert_eq!(card.infer(setup.data.image(0)).unwrap().logits, expected, "{steps}");
    }
}

#[test]
fn the_core_interrupts_when_it_is_done_and_when_it_failed() {
    let setup = setup(|_| ());
    let mut card = setup.card(RootOptions::default());
    card.infer(setup.data.image(0)).unwrap();
    let function = card.link().function();
    for (layers, expected) in [(setup.program.layers.len() as u32, status::DONE), (u32::MAX, status::ERROR)] {
        while function.wait_interrupt(Duration::ZERO).unwrap() {}
        function.write(litepcie::MSI_CLEAR, u32::MAX).unwrap();
        function.write(pcie::CORE_BASE + registers::INTERRUPT_ENABLE, 0b11).unwrap();
        start_core(function, layers);
        assert!(function.wait_interrupt(Duration::from_millis(8)).unwrap());
        assert_eq!(function.read(litepcie::MSI_VECTOR).unwrap(), interrupt::CORE);
        let said = function.read(pcie::CORE_BASE + registers::STATUS).unwrap();
        assert_eq!(said & (status::DONE | status::ERROR | status::BUSY), expected);
        assert!(!function.wait_interrupt(Duration::from_micros(20)).unwrap(), "one rise, one interrupt");
    }
}
