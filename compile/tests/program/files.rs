//! Program files: the same program comes back, and nothing else is taken for one.

use crate::small;
use isa::program::{Program, ProgramFileError};
use proptest::prelude::*;

fn streaming() -> Program {
    let mut program = small::program();
    program.add_second_place(1 << 20).unwrap();
    program
}

#[test]
fn a_program_comes_back_from_its_file() {
    for program in [small::program(), streaming()] {
        let bytes = program.to_bytes().unwrap();
        assert!(Program::is_file(&bytes));
        assert!(bytes == program.to_bytes().unwrap(), "the same program gives the same bytes");
        assert!(Program::from_bytes(&bytes).unwrap() == program);
    }
}

#[test]
fn a_network_file_is_no_program() {
    let bytes = small::network().to_bytes().unwrap();
    assert!(!Program::is_file(&bytes));
    let message = Program::from_bytes(&bytes).unwrap_err().to_string();
    assert!(message.contains("gen compile"), "{message}");
}

#[test]
fn one_wrong_byte_of_the_weights_is_found() {
    let mut bytes = small::program().to_bytes().unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert!(matches!(Program::from_bytes(&bytes), Err(ProgramFileError::Checksum { .. })));
}

/// Each entry contradicts the rest: the file is whole, its checksum right.
#[test]
fn contradictions_are_refused_by_name() {
    let refused = |change: fn(&mut Program)| {
        let mut program = streaming();
        change(&mut program);
        let Err(error) = Program::from_bytes(&program.to_bytes().unwrap()) else { panic!("nobody saw it") };
        assert!(matches!(error, ProgramFileError::Value { .. } | ProgramFileError::Config(_)), "{error}");
        error.to_string()
    };
    type Change = fn(&mut Program);
    let cases: [(Change, &str); 21] = [
        (|p| p.core.lanes = 12, "lanes"),
        (|p| p.network = "\u{1b}[2J".to_owned(), "name of the network"),
        (|p| p.layers[1].name = p.layers[0].name.clone(), "name of layer 1"),
        (|p| p.time_steps = 65, "time steps"),
        (|p| p.layers.clear(), "number of layers"),
        (|p| p.total_bytes -= 1, "inside"),
        (|p| p.image_shape.height = 12, "grid of the image's rows"),
        (|p| p.image_shape.width = 1 << 40, "image width"),
        (|p| p.border = vec![0; 7], "border bytes"),
        (|p| p.layers[0].strips[0].descriptor.tiles += 1, "records"),
        (|p| p.layers[0].strips[0].descriptor.op = 3, "operation"),
        (|p| p.layers[1].strips[0].descriptor.pass_base += 64, "place of passes"),
        (|p| p.layers[1].strips[0].passes[0].shift = 1, "records"),
        (|p| p.layers[1].strips[0].passes.clear(), "number of passes"),
        (|p| p.layers[1].strips.clear(), "number of strips"),
        (|p| p.layers[0].plane.as_mut().unwrap().grid.rows = usize::MAX, "token rows"),
        (|p| p.layers[1].plane.as_mut().unwrap().base = u32::MAX, "plane"),
        (|p| p.layers[1].plane.as_mut().unwrap().groups = 0, "groups"),
        (|p| p.layers[0].inputs[0].row_bytes = 0, "row of the image"),
        (|p| p.logits.classes = 1 << 30, "logit"),
        (|p| p.descriptor_base = u32::MAX, "place of passes"),
    ];
    for (change, word) in cases {
        let message = refused(change);
        assert!(message.contains(word), "{message} should speak of {word}");
    }
}

proptest! {
    #[test]
    fn damaged_files_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<prop::sample::Index>()) {
        let mut bytes = streaming().to_bytes().unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = Program::from_bytes(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        prop_assert!(Program::from_bytes(&bytes).is_err());
    }
}
