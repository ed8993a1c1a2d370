//! Images that overlap on the Verilated core, over random networks: logits and counters of one image at a time, and the reference's.

use compile::ProgramOptions;
use driver::{Accelerator, Inference};
use isa::program::{Planes, Program};
use model::Executor;
use sim::{SimLink, SimOptions};
use tests::cosim::campaign::{Worlds, in_parallel};
use tests::cosim::{Cosim, text};
use tests::random_network::Case;

const NETWORKS: u64 = 48;
const IMAGES: u8 = 5;

/// Images of a case's size that differ in every pixel.
fn images(case: &Case) -> Vec<Vec<u8>> {
    let shifted = |n: u8| case.image.iter().map(|pixel| pixel.wrapping_add(n.wrapping_mul(53))).collect();
    (0..IMAGES).map(shifted).collect()
}

fn loaded(cosim: &Cosim, program: &Program, world: &SimOptions) -> Result<Accelerator<SimLink>, String> {
    let mut accelerator = cosim.accelerator(world)?;
    accelerator.load(program).map_err(text)?;
    Ok(accelerator)
}

/// What a stream answers, one image at a time, and the reference's logits.
type Answers = (Vec<Inference>, Vec<Inference>, Vec<Vec<i32>>);

fn answers(cosim: &Cosim, seed: u64, spoil: impl Fn(&mut Program)) -> Result<Answers, String> {
    let case = Case::random(seed, 1 + seed as u32 % 3);
    let network = case.configure();
    let world = Worlds::Mixed.of(seed);
    let memory_size = cosim.accelerator(&world)?.window_size();
    let options = ProgramOptions { memory_size, planes: Planes::Reuse };
    let alone = compile::compile(&network, &cosim.core, &options).map_err(text)?;
    let mut doubled = alone.clone();
    doubled.add_second_place(memory_size).map_err(text)?;
    spoil(&mut doubled);
    let images = images(&case);
    let of = || images.iter().map(Vec::as_slice);
    let one = loaded(cosim, &alone, &world)?.infer_batch(of()).map_err(text)?;
    let streamed = loaded(cosim, &doubled, &world)?.infer_stream(of()).map_err(text)?;
    let executor = Executor::new(&network);
    let expected = of().map(|image| executor.trace(image).map(|trace| trace.logits).map_err(text));
    Ok((streamed, one, expected.collect::<Result<_, _>>()?))
}

fn agrees(cosim: &Cosim, seed: u64, spoil: impl Fn(&mut Program)) -> Result<(), String> {
    let (streamed, one, expected) = answers(cosim, seed, spoil)?;
    for (index, (found, alone)) in streamed.iter().zip(&one).enumerate() {
        if found.logits != expected[index] || alone.logits != expected[index] {
            return Err(format!(
                "network {seed}, image {index}: {found:?}, alone {alone:?}, expected {:?}",
                expected[index]
            ));
        }
        let counted = |inference: &Inference| (inference.counters.events, inference.counters.spikes);
        if counted(found) != counted(alone) {
            return Err(format!(
                "network {seed}, image {index}: counters of {found:?} are not those of {alone:?}"
            ));
        }
    }
    match (streamed.len(), one.len()) == (IMAGES.into(), IMAGES.into()) {
        true => Ok(()),
        false => Err(format!("network {seed}: {} answers in a stream", streamed.len())),
    }
}

#[test]
fn streams_over_random_networks_answer_as_the_reference() {
    let cosim = Cosim::preset("tiny");
    let seeds: Vec<u64> = (0..NETWORKS).collect();
    in_parallel(&seeds, |&seed| agrees(&cosim, seed, |_| ())).unwrap_or_else(|error| panic!("{error}"));
}

/// The second image where the first one lies: it is overwritten while the core reads it.
#[test]
fn a_second_place_that_is_the_first_is_found() {
    let cosim = Cosim::preset("tiny");
    let spoil = |program: &mut Program| program.second = Some(program.first());
    assert!((0..NETWORKS).any(|seed| agrees(&cosim, seed, spoil).is_err()));
}
