//! What goes wrong on the link of the card, through LitePCIe's own core, as software sees it: an error in words within its deadline, and a
//! reset after which everything works. `docs/faults.md` has the words.

#[path = "../../driver/tests/faults_page/mod.rs"]
mod faults_page;

use driver::link::{Link, LinkError};
use driver::pcie::{Direction, Function, PcieLink, PcieOptions};
use driver::{Accelerator, Planes, Program, ProgramOptions};
use faults_page::expect_rows;
use images::Dataset;
use isa::pcie::{CARD_BASE, MEMORY_BYTES, litepcie};
use isa::{CoreConfig, PcieConfig};
use model::{Executor, Network, RunOptions};
use sim::pcie::{CardModel, Fault, RootOptions, SimBuffer, SimFunction};
use sim::verilated::Tracing;
use std::path::{Path, PathBuf};
use std::time::Duration;

const BYTES: usize = 4096;

fn config() -> PcieConfig {
    PcieConfig { core: CoreConfig::preset("pcie").unwrap(), memory_bytes: 768 << 10, clock_hz: 125_000_000 }
}

fn model() -> CardModel {
    CardModel::build(&config(), Tracing::None).unwrap_or_else(|error| panic!("{error}"))
}

/// What goes wrong between driver and card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Nothing,
    /// The link is reset at the access that comes after so many others.
    LinkReset(u32),
    /// The same while the driver waits for the core, which runs.
    LinkResetInRun,
    /// Addresses of descriptors for the DMA writer are 4 GiB too high.
    StrayWrites,
}

struct Troubled {
    function: SimFunction,
    trouble: Trouble,
}

impl Troubled {
    fn new(model: &CardModel) -> Troubled {
        let function = SimFunction::new(model, config().clock_hz, RootOptions::default(), None).unwrap();
        Troubled { function, trouble: Trouble::Nothing }
    }

    fn access(&mut self) -> Result<(), LinkError> {
        match &mut self.trouble {
            Trouble::LinkReset(0) => {
                self.trouble = Trouble::Nothing;
                Ok(self.function.root().reset()?)
            }
            Trouble::LinkReset(accesses) => {
                *accesses -= 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Function for Troubled {
    type Buffer = SimBuffer;

    fn name(&self) -> &str {
        self.function.name()
    }

    fn read(&mut self, offset: u32) -> Result<u32, LinkError> {
        self.access()?;
        self.function.read(offset)
    }

    fn write(&mut self, offset: u32, value: u32) -> Result<(), LinkError> {
        self.access()?;
        let stray = self.trouble == Trouble::StrayWrites
            && offset == litepcie::DMA_WRITER + litepcie::dma::TABLE_WRITE;
        self.function.write(offset, value + u32::from(stray))
    }

    fn buffer(&mut self, bytes: usize, direction: Direction) -> Result<SimBuffer, LinkError> {
        self.function.buffer(bytes, direction)
    }

    fn wait_interrupt(&mut self, timeout: Duration) -> Result<bool, LinkError> {
        let runs = self.function.root().lights().0;
        if self.trouble == Trouble::LinkResetInRun && runs {
            let root = self.function.root();
            root.step(20_000)?;
            assert!(root.lights().0, "the core has to run");
            self.trouble = Trouble::Nothing;
            root.reset()?;
        }
        self.function.wait_interrupt(timeout)
    }

    fn reset(&mut self) -> Result<(), LinkError> {
        self.function.reset()
    }

    fn clock(&self) -> Duration {
        self.function.clock()
    }
}

fn pattern(seed: u32) -> Vec<u8> {
    (0..BYTES as u32).map(|i| (i.wrapping_mul(0x9e37_79b9 ^ seed) >> 24) as u8).collect()
}

fn open(model: &CardModel) -> PcieLink<Troubled> {
    let options = PcieOptions { buffer_bytes: 64 << 10, deadline: Duration::from_micros(400) };
    PcieLink::open(Troubled::new(model), &options).unwrap()
}

fn there_and_back(link: &mut PcieLink<Troubled>, seed: u32) -> Result<(), LinkError> {
    let (data, mut found) = (pattern(seed), vec![0; BYTES]);
    link.write_memory(8192, &data)?;
    link.read_memory(8192, &mut found)?;
    assert!(found == data, "other data, and no error");
    Ok(())
}

/// What the driver says; and that the card works after a reset.
fn said(
    link: &mut PcieLink<Troubled>,
    mut action: impl FnMut(&mut PcieLink<Troubled>) -> Result<(), LinkError>,
) -> String {
    let text = action(link).expect_err("something went wrong, and nothing was said").to_string();
    link.function().trouble = Trouble::Nothing;
    link.reset().unwrap();
    there_and_back(link, 99).unwrap();
    text
}

#[test]
fn each_fault_of_the_link_is_reported_in_the_words_of_the_table() {
    let model = model();
    let mut rows = Vec::new();
    let injected = [
        ("a completion never comes", Fault::Lost),
        ("a read is answered with Unsupported Request", Fault::Unsupported),
        ("data are poisoned", Fault::Poisoned),
        ("a completion comes that nobody asked for, with a tag in use", Fault::Unexpected { tag: 0 }),
        ("the same with a tag that LitePCIe never gave out", Fault::Unexpected { tag: 200 }),
    ];
    for (name, fault) in injected {
        let mut link = open(&model);
        let words = said(&mut link, |link| {
            link.function().function.root().inject(3, fault);
            there_and_back(link, 1)?;
            // At the latest.
            there_and_back(link, 2)
        });
        rows.push((name, words));
    }
    let mut link = open(&model);
    link.function().trouble = Trouble::StrayWrites;
    rows.push(("the card writes where it may not", said(&mut link, |link| there_and_back(link, 1))));
    let mut link = open(&model);
    // Not at the first accesses: in the middle of the stream.
    link.function().trouble = Trouble::LinkReset(8);
    rows.push(("the link is reset while a stream runs", said(&mut link, |link| there_and_back(link, 1))));
    expect_rows(&rows);
}

fn models(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(path)
}

#[test]
fn a_reset_of_the_link_in_the_middle_of_an_inference_is_reported_and_mended() {
    let network =
        Network::load(&models("fashion-mnist/net.mst")).unwrap().configure(&RunOptions::new(8)).unwrap();
    let options = ProgramOptions { memory_size: config().memory_bytes.into(), planes: Planes::Reuse };
    let program = Program::compile(&network, &config().core, &options).unwrap();
    let data = Dataset::load(&models("data/fashion-mnist"), &network).unwrap();
    let expected = Executor::new(&network).trace(data.image(0)).unwrap().logits;

    let link = PcieLink::open(Troubled::new(&model()), &PcieOptions::default()).unwrap();
    let mut card = Accelerator::open_expecting(link, &config().core).unwrap();
    card.load(&program).unwrap();
    let before = card.link().function().clock();
    assert_eq!(card.infer(data.image(0)).unwrap().logits, expected);
    let whole = card.link().function().clock() - before;

    card.link().function().trouble = Trouble::LinkResetInRun;
    let before = card.link().function().clock();
    let error = card.infer(data.image(0)).unwrap_err();
    let waited = card.link().function().clock() - before;
    assert!(waited < 2 * whole + Duration::from_secs(2), "{waited:?}");
    card.link().reset().unwrap();
    // Registers and memory are as after power-up.
    let mut card = Accelerator::open_expecting(card.into_link(), &config().core).unwrap();
    assert_eq!(card.link().function().read(CARD_BASE + MEMORY_BYTES).unwrap(), config().memory_bytes);
    card.load(&program).unwrap();
    assert_eq!(card.infer(data.image(0)).unwrap().logits, expected);
    expect_rows(&[("the link is reset while the core runs", error.to_string())]);
}
