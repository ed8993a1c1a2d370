//! Images that overlap: the answers, the counters and the errors of one at a time.

#[allow(dead_code)]
#[path = "../../compile/tests/program/small.rs"]
mod small;

use driver::link::Link;
use driver::pcie::{PcieLink, PcieOptions};
use driver::{Accelerator, DriverError};
use isa::program::{Program, record_bytes};
use sim::{Card, CardFunction, SoftCore};

const MEMORY: usize = 1 << 20;

fn core() -> SoftCore {
    SoftCore::new(&small::tiny(), MEMORY).unwrap()
}

fn images(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| (0..64).map(|i| (i * (n + 3) * 7 + n * 31) as u8).collect()).collect()
}

fn doubled() -> Program {
    let mut program = small::program();
    program.add_second_place(MEMORY as u64).unwrap();
    program
}

fn agrees(link: impl Link, program: &Program) {
    let mut alone = Accelerator::open(core()).unwrap();
    alone.load(&small::program()).unwrap();
    let mut accelerator = Accelerator::open(link).unwrap();
    accelerator.load(program).unwrap();
    for count in [0, 1, 2, 3, 8] {
        let images = images(count);
        let expected = alone.infer_batch(images.iter().map(Vec::as_slice)).unwrap();
        assert_eq!(accelerator.infer_stream(images.iter().map(Vec::as_slice)).unwrap(), expected);
        // The first place alone still works.
        assert_eq!(accelerator.infer_batch(images.iter().map(Vec::as_slice)).unwrap(), expected);
    }
}

#[test]
fn a_stream_answers_as_one_image_at_a_time_does() {
    agrees(core(), &doubled());
    agrees(core(), &small::program());
    let function = CardFunction::new(Card::new(core()));
    agrees(PcieLink::open(function, &PcieOptions::default()).unwrap(), &doubled());
}

#[test]
fn a_second_place_moves_nothing_and_overlaps_nothing() {
    let (one, two) = (small::program(), doubled());
    assert_eq!(one.layers, two.layers);
    assert_eq!(one.image, two.image[..1]);
    let second = two.second.clone().unwrap();
    let inputs = second.inputs.iter().map(|input| (input.base, input.bytes() as u32));
    let mut taken: Vec<(u32, u32)> = inputs.collect();
    taken.push((second.descriptor_base, record_bytes(&two.layers) as u32));
    taken.push((second.logits.base, 4 * second.logits.plane_bytes));
    taken.sort_unstable();
    assert!(u64::from(taken[0].0) >= one.total_bytes);
    assert!(taken.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "{taken:?}");
    let mut small = small::program();
    let error = small.add_second_place(one.total_bytes).unwrap_err();
    assert_eq!(error.needed, two.total_bytes, "{error}");
    assert_eq!(small, one);
}

#[test]
fn an_error_names_the_image() {
    let mut accelerator = Accelerator::open(core()).unwrap();
    accelerator.load(&doubled()).unwrap();
    let mut images = images(4);
    images[2].pop();
    let error = accelerator.infer_stream(images.iter().map(Vec::as_slice)).unwrap_err();
    assert!(matches!(error, DriverError::Image { index: 2, .. }), "{error}");
    assert!(error.to_string().starts_with("image 2: the image has 63 bytes"), "{error}");
}
