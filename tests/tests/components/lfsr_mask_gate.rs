//! `lfsr_mask_gate`: the draws of `isa::mask`, and what a draw must be like to be called random.

use hdl::core::lfsr_mask_gate::lfsr_mask_gate;
use isa::mask::{DRAW_BITS, TAPS, seed};

use crate::device::Device;

/// Draws of a measurement.
const DRAWS: usize = 20_000;
/// Standard deviations within which a measurement must lie.
const SIGMAS: f64 = 4.0;

/// A gate that starts from `state`.
fn load(device: &mut Device, state: u32) {
    device.set("draw", false);
    device.set("half", state & 0xffff);
    device.pulse("load_low");
    device.set("half", state >> 16);
    device.pulse("load_high");
}

/// `count` draws: whether a spike is transmitted in each.
fn kept(device: &mut Device, state: u32, ratio: u8, count: usize) -> Vec<bool> {
    load(device, state);
    device.set("draw", true);
    device.set("spike", true);
    device.set("ratio", ratio);
    let mut kept = Vec::with_capacity(count);
    // A spike is transmitted in the cycle after its draw.
    device.cycle();
    for _ in 0..count {
        device.cycle();
        kept.push(device.is("transmitted"));
    }
    kept
}

/// The reference: one step a bit.
struct Lfsr(u32);

impl Lfsr {
    fn draw(&mut self) -> u8 {
        for _ in 0..DRAW_BITS {
            let bit = TAPS.iter().fold(0, |sum, tap| sum ^ self.0 >> (tap - 1)) & 1;
            self.0 = self.0 << 1 | bit;
        }
        self.0 as u8
    }
}

#[test]
fn every_draw_is_eight_steps_of_the_shift_register() {
    let mut device = Device::new(&lfsr_mask_gate().unwrap());
    let extremes = [0, 1, 1 << 31, u32::MAX, 0xffff, 0xffff_0000];
    for (channel, state) in (0..50).map(|channel| seed(1, 2, channel)).chain(extremes).enumerate() {
        load(&mut device, state);
        let mut lfsr = Lfsr(state);
        for draw in 0..200 {
            let byte = lfsr.draw();
            // At most 255 ratios would tell the byte; three around it do.
            for ratio in [0, byte.saturating_sub(1), byte, byte.saturating_add(1), 255] {
                device.set("draw", false);
                device.set("spike", true);
                device.set("ratio", ratio);
                device.cycle();
                device.cycle();
                assert_eq!(
                    device.is("transmitted"),
                    byte >= ratio,
                    "draw {draw} of {channel}, ratio {ratio}"
                );
            }
            device.set("spike", false);
            device.pulse("draw");
            device.cycle();
            assert!(!device.is("transmitted"), "a spike that was not there");
        }
    }
}

#[test]
fn ratio_0_keeps_all_and_ratio_255_keeps_one_in_256() {
    let mut device = Device::new(&lfsr_mask_gate().unwrap());
    assert!(kept(&mut device, seed(1, 0, 0), 0, DRAWS).iter().all(|&kept| kept));
    check_rate(&mut device, 255);
}

/// The share that is kept is `1 - ratio / 256`.
fn check_rate(device: &mut Device, ratio: u8) {
    let share = 1.0 - f64::from(ratio) / 256.0;
    let sigma = (share * (1.0 - share) / DRAWS as f64).sqrt();
    let kept = kept(device, seed(3, 1, ratio.into()), ratio, DRAWS).iter().filter(|&&kept| kept).count();
    let measured = kept as f64 / DRAWS as f64;
    let off = (measured - share).abs() / sigma;
    assert!(off < SIGMAS, "ratio {ratio}: {measured} kept, nominal {share}, {off} sigma");
}

#[test]
fn the_keep_rate_is_nominal() {
    let mut device = Device::new(&lfsr_mask_gate().unwrap());
    for ratio in [1, 26, 64, 128, 192, 230, 254] {
        check_rate(&mut device, ratio);
    }
}

/// The correlation of two sequences with keep rate `share`, in standard deviations.
fn correlation(a: &[bool], b: &[bool], share: f64) -> f64 {
    let centred = |kept: bool| f64::from(u8::from(kept)) - share;
    let sum: f64 = a.iter().zip(b).map(|(&a, &b)| centred(a) * centred(b)).sum();
    let variance = share * (1.0 - share);
    sum / (variance * (a.len() as f64).sqrt())
}

#[test]
fn draws_do_not_depend_on_the_ones_before_them() {
    let mut device = Device::new(&lfsr_mask_gate().unwrap());
    for ratio in [64, 128, 192] {
        let share = 1.0 - f64::from(ratio) / 256.0;
        let kept = kept(&mut device, seed(5, 0, ratio.into()), ratio, DRAWS + 64);
        for lag in 1..=64 {
            let off = correlation(&kept[..DRAWS], &kept[lag..lag + DRAWS], share);
            assert!(off.abs() < SIGMAS, "ratio {ratio}, lag {lag}: {off} sigma");
        }
    }
}

#[test]
fn lanes_do_not_depend_on_each_other() {
    let mut device = Device::new(&lfsr_mask_gate().unwrap());
    let lanes: Vec<_> = (0..16).map(|channel| kept(&mut device, seed(7, 3, channel), 128, DRAWS)).collect();
    for a in 0..lanes.len() {
        for b in a + 1..lanes.len() {
            let off = correlation(&lanes[a], &lanes[b], 0.5);
            assert!(off.abs() < SIGMAS, "lanes {a} and {b}: {off} sigma");
        }
    }
}
