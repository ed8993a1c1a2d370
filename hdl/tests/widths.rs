//! A size beyond those that `isa` allows gives a core whose signals are wide enough for it, or is refused with the name of the signal
//! that is not. Nothing is cut in silence.

use hdl::core::dma_read::dma_read;
use hdl::core::engine::engine;
use hdl::core::mst_core::mst_core_of_any_size;
use hdl::core::neuron_control::neuron_control;
use hdl::core::sum_buffer::sum_buffer;
use hdl::rtl::{Fault, Module, RtlError};
use isa::CoreConfig;
use proptest::prelude::*;

fn ecp5() -> CoreConfig {
    CoreConfig::preset("ecp5").expect("a preset")
}

fn width(module: &Module, port: &str) -> u32 {
    let found = module.ports().iter().find(|candidate| candidate.name == port);
    found.unwrap_or_else(|| panic!("no port `{port}`")).width
}

/// Bits of the length of a request of the stream `weights`, and those of the words of the largest stored matrix.
fn length_bits(core: &CoreConfig) -> (u32, u32) {
    let words = u64::from(core.max_fan_in) * u64::from(core.lanes) / 8;
    let built = engine(core).unwrap_or_else(|error| panic!("{error}"));
    let read = dma_read(core).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(width(&built, "weights_request_words"), width(&read, "weights_request_words"));
    (width(&built, "weights_request_words"), words.ilog2() + 1)
}

#[test]
fn a_matrix_of_more_words_than_any_allowed_core_has_is_requested_whole() {
    for (lanes, max_fan_in, weight_rows) in [(64, 1024, 1024), (64, 3072, 4096), (32, 4032, 4096)] {
        let core = CoreConfig { lanes, max_fan_in, weight_rows, ..ecp5() };
        let (found, needed) = length_bits(&core);
        assert!(found >= needed, "{lanes} lanes, {max_fan_in} inputs: {found} bits for {needed}");
    }
}

fn refusal(core: &CoreConfig) -> (String, Fault) {
    let RtlError { module, fault, .. } =
        mst_core_of_any_size(core).map(|_| ()).expect_err("too large for a signal");
    (module, *fault)
}

#[test]
fn what_a_signal_cannot_carry_is_refused_with_its_name_and_bits() {
    let tiny = CoreConfig::preset("tiny").expect("a preset");
    // A pass record says the rows of a slice of weights in 12 bits, a descriptor the keys of a block.
    let (module, fault) = refusal(&CoreConfig { max_fan_in: 4096, weight_rows: 4096, ..tiny.clone() });
    let expected =
        Fault::TooNarrow { signal: "matrix_rows".into(), largest: 4096, needed: 13, available: 12 };
    assert_eq!((module.as_str(), fault), ("pass_check", expected));
    let (module, fault) = refusal(&CoreConfig { bias_rows: 5000, ..tiny.clone() });
    let expected = Fault::TooNarrow { signal: "keys".into(), largest: 5000, needed: 13, available: 12 };
    assert_eq!((module.as_str(), fault), ("descriptor_check", expected));
    // A burst of the writer has as many words as eight lanes have groups; its queue says so in 4 bits.
    let (module, fault) = refusal(&CoreConfig { lanes: 128, ..ecp5() });
    let expected = Fault::TooNarrow { signal: "burst_words".into(), largest: 16, needed: 5, available: 4 };
    assert_eq!((module.as_str(), fault), ("engine", expected));
}

#[test]
fn a_shape_that_the_core_is_not_made_for_is_refused_by_its_field() {
    for (field, core) in [
        ("lanes", CoreConfig { lanes: 24, ..ecp5() }),
        ("bus_bits", CoreConfig { bus_bits: 256, ..ecp5() }),
        ("weight_rows", CoreConfig { weight_rows: 768, ..ecp5() }),
        ("weight_rows", CoreConfig { weight_rows: 256, ..ecp5() }),
        ("max_fan_in", CoreConfig { max_fan_in: 72, ..ecp5() }),
        ("membrane_bits", CoreConfig { membrane_bits: 33, ..ecp5() }),
        ("bias_rows", CoreConfig { bias_rows: u32::MAX, ..ecp5() }),
        ("sum_rows", CoreConfig { sum_rows: 8, ..ecp5() }),
        ("sum_rows", CoreConfig { sum_rows: 1 << 16, ..ecp5() }),
    ] {
        let error = engine(&core).map(|_| ()).expect_err(field).to_string();
        assert!(error.contains(&format!("`{field}`")), "{error}");
    }
}

#[test]
fn rows_of_partial_sums_are_addressed_whatever_their_number() {
    for (sum_rows, bits) in [(16, 4), (17, 5), (512, 9), (4096, 12), (65535, 16)] {
        let core = CoreConfig { sum_rows, ..ecp5() };
        let (control, buffer) = (neuron_control(&core).unwrap(), sum_buffer(&core).unwrap());
        for port in ["sum_read_row", "sum_write_row"] {
            assert_eq!(width(&control, port), bits, "`{port}` of {sum_rows} rows");
        }
        for port in ["read_row", "write_row"] {
            assert_eq!(width(&buffer, port), bits, "`{port}` of {sum_rows} rows");
        }
        engine(&core).unwrap_or_else(|error| panic!("{sum_rows} rows: {error}"));
    }
}

#[test]
fn every_signal_holds_what_the_largest_allowed_core_gives_it() {
    for lanes in [16, 64] {
        for bias_rows in [16, 196, 1024] {
            let core = CoreConfig {
                lanes,
                max_fan_in: 1024,
                weight_rows: 1024,
                bias_rows,
                sum_rows: 4096,
                ..ecp5()
            };
            core.validate().unwrap_or_else(|error| panic!("{error}"));
            mst_core_of_any_size(&core)
                .unwrap_or_else(|error| panic!("{lanes} lanes, {bias_rows} bias rows: {error}"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_size_is_built_or_refused_and_requests_are_never_narrow(
        lanes in 3u32..9,
        wide in any::<bool>(),
        fan_in in 1u32..80,
        rows in 6u32..14,
        bias_rows in 0u32..9000,
        sum_rows in 0u32..70000,
    ) {
        let core = CoreConfig {
            lanes: 1 << lanes,
            bus_bits: if wide { 128 } else { 64 },
            max_fan_in: 64 * fan_in,
            weight_rows: 1 << rows,
            bias_rows,
            sum_rows,
            ..ecp5()
        };
        if let Ok(built) = engine(&core) {
            let longest = u64::from(core.max_fan_in.max(2 * core.bias_rows)) * u64::from(core.lanes) / 8;
            prop_assert!(u64::from(width(&built, "weights_request_words")) > u64::from(longest.ilog2()));
            prop_assert!(core.max_fan_in < 4096 && core.bias_rows < 4096);
        }
    }
}
