//! Layers of several passes and strips, field by field.

use crate::small::*;
use isa::layout::{PARAMETER_ROWS, parameter_row};
use isa::program::{Planes, Program, Strip};
use isa::{CoreConfig, Pass};
use model::mask::{Lfsr, MaskBits};
use model::network::{
    Grid, ImageShape, Layer, LayerId, Network, Neuron, Operation, Source, Taps, Term, Walk, Weights, Windows,
};

const CONV: usize = 1;
const GRID: Grid = Grid { rows: 3, columns: 5 };
const GRID_OF_WINDOWS: Grid = Grid { rows: 4, columns: 6 };

/// Two channels in a grid, a 3 x 3 convolution to ten channels, and a readout.
fn network(grid: Grid) -> Network {
    let image = ImageShape { height: grid.rows, width: grid.columns, channels: 1 };
    let embed = linear(vec![dense(Source::Image, Taps::TOKEN, 2, 1)], 2);
    let conv = linear(vec![dense(plane(0), Taps::square(3, 1, 1), 10, 2)], 10);
    let layers = vec![
        layer("embed", embed, grid, 2, Walk::Raster),
        Layer { rotate: 5, ..layer("conv", conv, grid, 10, Walk::Raster) },
        Layer::readout("readout", vec![dense(plane(CONV), Taps::TOKEN, 3, 10)], vec![0; 3], grid),
    ];
    Network::new("strips", image, 3, layers, 9)
}

/// Eight segments of one word a pass, 16 partial sums.
fn narrow() -> CoreConfig {
    CoreConfig { max_fan_in: 64, weight_rows: 64, sum_rows: 16, ..tiny() }
}

fn strips(network: &Network) -> (Program, Vec<Strip>) {
    let program = compile(network, &narrow(), Planes::Keep).unwrap();
    let strips = program.layers[CONV].strips.clone();
    (program, strips)
}

fn base(program: &Program, layer: usize) -> u32 {
    program.layers[layer].plane.as_ref().unwrap().base
}

fn counts(strip: &Strip) -> [u32; 4] {
    let d = &strip.descriptor;
    [d.blocks_y, d.blocks_x, d.inner_y, d.inner_x]
}

fn starts(pass: &Pass) -> [i32; 2] {
    [pass.start_y, pass.start_x].map(|start| (start << 18) as i32 >> 18)
}

// A token of two channels takes 8 bytes in each of two chunks, one of ten channels 16.

#[test]
fn taps_beyond_a_pass_are_read_in_the_next() {
    let (program, strips) = strips(&network(GRID));
    let [strip] = &strips[..] else { panic!("15 sums fit 16 rows") };
    let [first, second] = &strip.passes[..] else { panic!("9 taps are two passes") };
    assert_eq!((first.segments, second.segments, strip.descriptor.pass_words), (8, 1, 15));
    assert_eq!((first.matrix_rows, second.matrix_rows), (64, 8));
    let embed = base(&program, 0);
    assert_eq!(
        first.table[0].base,
        embed.wrapping_sub(5 * 16 + 16),
        "the tap up and left of the first token"
    );
    assert_eq!((first.table[4].base, first.table[4].dy, first.table[4].dx), (embed, 1, 1));
    assert_eq!((second.table[0].base, second.table[0].dy, second.table[0].dx), (embed + 5 * 16 + 16, 2, 2));
    assert_eq!((starts(first), first.step_y, first.step_x), ([-1, -1], 1, 1));
    assert_eq!((first.rows, first.columns, first.y_stride, first.x_stride), (3, 5, 80, 16));
    // Two tiles of 72 rows.
    let readout = &program.layers[2].strips[0].descriptor;
    assert!(readout.parameter_base >= strip.descriptor.matrix_base + 2 * 72 * 8);
}

#[test]
fn strips_of_rows_start_where_the_rows_before_end() {
    let mut network = network(GRID_OF_WINDOWS);
    network.layers[CONV].mask.ratio = 100;
    let (program, strips) = strips(&network);
    assert_eq!(strips.iter().map(counts).collect::<Vec<_>>(), [[1, 1, 2, 6]; 2]);
    let [first, second] = [&strips[0], &strips[1]];
    assert_eq!([starts(&first.passes[0]), starts(&second.passes[0])], [[-1, -1], [1, -1]]);
    assert_eq!(second.passes[0].table[4].base, base(&program, 0) + 2 * 6 * 16);
    assert_eq!(second.descriptor.output_base, base(&program, CONV) + 2 * 6 * 32);
    assert_eq!(first.descriptor.matrix_base, second.descriptor.matrix_base);

    // Twelve tokens come before, each turns the order of twelve slots by five.
    let turned = |slot: usize| second.descriptor.rank[(slot + 12 * 5) % 12];
    assert!((0..12).all(|slot| turned(slot) == first.descriptor.rank[slot]));

    // Lane 2 of the second tile is padding, lane 1 is channel 9: it has drawn twelve times for each of them.
    let block = PARAMETER_ROWS * 16;
    assert_eq!(second.descriptor.parameter_base, first.descriptor.parameter_base + 2 * block);
    let mut lfsr = Lfsr::new(9, CONV, 9);
    for _ in 0..12 * 12 {
        lfsr.draw();
    }
    let half = |row: u32| {
        let at = (second.descriptor.parameter_base + block + row * 16 + 2) as usize;
        u32::from(u16::from_le_bytes(program.image[0].bytes[at..at + 2].try_into().unwrap()))
    };
    assert_eq!(half(parameter_row::SEED_LOW) | half(parameter_row::SEED_HIGH) << 16, lfsr.state());

    // What comes after waits for the last strip.
    let ready = |layer: usize| program.layers[layer].strips[0].descriptor.inputs_ready;
    assert_eq!((ready(CONV), ready(2), program.descriptors()), (1, 3, 4));
    assert_eq!([0, 1, 2, 3, 4].map(|d| program.layer_of(d)), [Some(0), Some(1), Some(1), Some(2), None]);
}

#[test]
fn parameters_are_shared_unless_masks_go_on_from_strip_to_strip() {
    for (ratio, shared, own) in [(0, false, false), (100, true, false), (100, false, true)] {
        let mut network = network(GRID_OF_WINDOWS);
        (network.layers[CONV].mask.ratio, network.layers[CONV].mask.shared) = (ratio, shared);
        let (_, strips) = strips(&network);
        let [first, second] = [&strips[0].descriptor, &strips[1].descriptor];
        assert_eq!(first.parameter_base != second.parameter_base, own);
        assert_eq!((first.mask_ratio, first.mask_shared), (ratio.into(), u32::from(shared)));
    }
}

#[test]
fn a_row_that_does_not_fit_is_cut_into_pieces() {
    let mut network = network(Grid { rows: 2, columns: 36 });
    network.layers[CONV].neuron = Some(Neuron::OR);
    let run = |steps| model::RunOptions { membrane_bits: 32, ..model::RunOptions::new(steps) };
    let configured = network.configure(&run(1)).unwrap();
    let program = compile::compile(&configured, &narrow(), &options(Planes::Keep)).unwrap();
    let strips = &program.layers[CONV].strips;
    let pieces = [[1, 1, 1, 16], [1, 1, 1, 16], [1, 1, 1, 4]];
    assert_eq!(strips.iter().map(counts).collect::<Vec<_>>(), [pieces, pieces].concat());
    assert_eq!(starts(&strips[5].passes[1]), [0, 31]);
    assert_eq!((strips[5].descriptor.hard_reset, strips[5].descriptor.schedule), (1, 0));
    // Of three time steps, five tokens of each are 15 sums.
    let configured = network.configure(&run(3)).unwrap();
    let program = compile::compile(&configured, &narrow(), &options(Planes::Keep)).unwrap();
    assert_eq!(counts(&program.layers[CONV].strips[0]), [1, 1, 1, 5]);
}

/// Windows of a layer that reads its own tokens in two passes.
fn windowed(shift: usize) -> Network {
    let mut network = network(GRID_OF_WINDOWS);
    let terms =
        vec![dense(plane(0), Taps::TOKEN, 10, 2), Term { shift: 3, ..dense(plane(0), Taps::TOKEN, 10, 2) }];
    network.layers[CONV].operation = linear(terms, 10);
    network.layers[CONV].walk = Walk::Windows(Windows { size: 2, shift });
    network
}

#[test]
fn strips_of_shifted_windows_wrap_at_the_last() {
    let (program, strips) = strips(&windowed(1));
    assert_eq!(strips.iter().map(counts).collect::<Vec<_>>(), [[1, 3, 2, 2]; 2]);
    let (token, row) = (16, 6 * 16);
    for (number, strip) in (0..).zip(&strips) {
        let (d, pass) = (&strip.descriptor, &strip.passes[1]);
        assert_eq!((d.shift, pass.shift, d.rotate_by_block), (1, 3, 1));
        assert_eq!(pass.table[0].base, base(&program, 0) + row + token + number * 2 * row);
        assert_eq!((pass.wrap_y, pass.wrap_x), (number * 4 * row, row));
        assert_eq!((d.output_wrap_y, d.output_wrap_x), (number * 8 * row, 2 * row));
        assert_eq!((pass.rows, pass.columns, pass.step_y, starts(pass)), (1, 1, 0, [0, 0]));
        assert_eq!(d.rank, strips[0].descriptor.rank, "the index starts over in each window");
    }
}

#[test]
fn a_readout_of_several_passes_is_one_strip() {
    let mut network = network(GRID_OF_WINDOWS);
    let weights = Weights::Diagonal(vec![1; 10]);
    let pooled = Term { weights, ..dense(plane(CONV), Taps::TOKEN, 10, 10) };
    let terms = vec![dense(plane(CONV), Taps::square(3, 1, 1), 10, 10), pooled];
    network.layers[2] = Layer::readout("readout", terms, vec![0; 10], GRID_OF_WINDOWS);
    network.classes = 10;
    let program = compile(&network, &narrow(), Planes::Keep).unwrap();
    let [strip] = &program.layers[2].strips[..] else { panic!("logits are one sum") };
    let diagonal: Vec<u32> = strip.passes.iter().map(|pass| pass.diagonal).collect();
    assert_eq!(diagonal, [0, 0, 0, 1]);
    assert_eq!((strip.descriptor.sum, strip.descriptor.passes), (1, 4));
}

#[test]
fn rows_of_the_image_are_cut_into_slices_and_their_gains_are_rows_of_weights() {
    let image = ImageShape { height: 9, width: 9, channels: 3 };
    let grid = Grid { rows: 3, columns: 3 };
    let taps = Taps::square(5, 2, 0);
    let dense = dense(Source::Image, taps, 3, 3);
    let gains: Vec<i8> = (1..=75).collect();
    let diagonal = Term { weights: Weights::Diagonal(gains), ..dense.clone() };
    let layers = vec![
        layer("embed", linear(vec![dense, diagonal], 3), grid, 3, Walk::Raster),
        Layer::readout(
            "readout",
            vec![Term { source: plane(0), ..self::dense(plane(0), Taps::TOKEN, 3, 3) }],
            vec![0; 3],
            grid,
        ),
    ];
    let network = Network::new("image", image, 3, layers, 0);
    let program = compile(&network, &narrow(), Planes::Keep).unwrap();
    let layer = &program.layers[0];
    assert_eq!(
        layer.inputs.iter().map(|input| (input.row_bytes, input.taps)).collect::<Vec<_>>(),
        [(80, taps); 2]
    );
    let strip = &layer.strips[0];
    let cut: Vec<_> =
        strip.passes.iter().map(|pass| (pass.table[0].base, pass.segments, pass.segment_words)).collect();
    let [a, b] = [layer.inputs[0].base, layer.inputs[1].base];
    assert_eq!(cut, [(a, 1, 8), (b, 1, 8), (a + 64, 2, 2)]);
    assert_eq!(strip.passes[2].table[1].base, b + 64);
    // The second slice of the diagonal term has bytes 64 to 79: tap 22, channel 0 lies at byte 66.
    let row = |number: u32| {
        let at = (strip.descriptor.matrix_base + (64 + 64 + 16 + number) * 8) as usize;
        program.image[0].bytes[at..at + 4].to_vec()
    };
    assert_eq!(
        [row(2), row(3), row(10), row(11)],
        [vec![67, 0, 0, 0], vec![0, 68, 0, 0], vec![0, 0, 75, 0][..].to_vec(), vec![0; 4]]
    );
}

#[test]
fn terms_that_read_alike_share_passes() {
    let mut network = network(GRID);
    let diagonal = |shift| Term { shift, ..Term::diagonal(LayerId(CONV), vec![3; 10]) };
    let terms = vec![diagonal(0), diagonal(7), diagonal(0)];
    let sum = layer("sum", Operation::Linear { terms, bias: vec![0; 10] }, GRID, 10, Walk::Raster);
    network.layers.insert(2, sum);
    let Operation::Linear { terms, .. } = &mut network.layers[3].operation else { unreachable!() };
    terms[0].source = plane(2);
    let program = compile(&network, &narrow(), Planes::Keep).unwrap();
    let passes = &program.layers[2].strips[0].passes;
    let cut: Vec<_> =
        passes.iter().map(|pass| (pass.diagonal, pass.shift, pass.segments, pass.segment_words)).collect();
    assert_eq!(cut, [(1, 0, 2, 2), (1, 7, 1, 2)]);
}
