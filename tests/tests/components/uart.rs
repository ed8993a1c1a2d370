//! `uart_tx` and `uart_rx` against each other, and against lines that are a little too fast or too slow.

use hdl::shell::uart_rx::uart_rx;
use hdl::shell::uart_tx::uart_tx;
use tests::random::Random;

use crate::device::Device;

/// The line that `byte` makes: idle, start bit, data, stop bit, each bit `cycles` long (in hundredths of a cycle).
fn line(byte: u8, cycles: u64, idle: u64) -> Vec<bool> {
    let bits = u32::from(byte) << 1 | 1 << 9;
    let length = 10 * cycles / 100;
    let mut line = vec![true; idle as usize];
    line.extend((0..length).map(|at| bits >> (at * 100 / cycles) & 1 == 1));
    line
}

/// The bytes that the receiver makes of a line.
fn received(device: &mut Device, line: &[bool]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for &level in line {
        device.set("rx", level);
        device.cycle();
        if device.is("valid") {
            bytes.push(device.get("data") as u8);
        }
    }
    bytes
}

#[test]
fn bytes_arrive_at_two_percent_too_fast_or_too_slow() {
    for cycles in [4, 5, 16, 87] {
        let mut device = Device::new(&uart_rx(cycles).unwrap());
        device.set("rx", true);
        (0..100 * cycles).for_each(|_| device.cycle());
        let mut random = Random(cycles.into());
        for percent in [98, 100, 102] {
            for _ in 0..50 {
                let byte = random.bits() as u8;
                let idle = random.size(1, 3 * cycles as usize) as u64;
                let mut levels = line(byte, u64::from(cycles) * percent, idle);
                levels.extend(vec![true; 4]);
                assert_eq!(received(&mut device, &levels), [byte], "{cycles} cycles a bit at {percent} %");
            }
        }
    }
}

#[test]
fn noise_shorter_than_half_a_bit_and_bytes_without_stop_bit_are_dropped() {
    let mut device = Device::new(&uart_rx(16).unwrap());
    device.set("rx", true);
    (0..2000).for_each(|_| device.cycle());
    let spike = [vec![false; 6], vec![true; 200]].concat();
    assert_eq!(received(&mut device, &spike), [0u8; 0]);
    let broken = [vec![false; 16 * 10], vec![true; 400]].concat();
    assert_eq!(received(&mut device, &broken), [0u8; 0]);
    assert_eq!(received(&mut device, &[line(0x5a, 1600, 3), vec![true; 20]].concat()), [0x5a]);
}

#[test]
fn what_is_sent_has_a_start_bit_eight_bits_and_a_stop_bit_of_equal_length() {
    for cycles in [4, 7, 20] {
        let mut device = Device::new(&uart_tx(cycles).unwrap());
        let mut random = Random(cycles.into());
        for _ in 0..100 {
            let byte = random.bits() as u8;
            for _ in 0..random.size(0, 9) {
                device.cycle();
                assert!(device.is("tx"), "the line rests high");
            }
            device.set("valid", true);
            device.set("data", byte);
            device.cycle();
            assert!(device.is("ready"));
            device.set("data", !byte);
            let expected = line(byte, u64::from(cycles) * 100, 0);
            for (at, &level) in expected.iter().enumerate() {
                device.set("valid", at + 1 < expected.len());
                device.cycle();
                assert_eq!(device.is("tx"), level, "cycle {at} of {byte:02x}");
                assert!(!device.is("ready"), "a byte would be taken while one is sent");
            }
            device.set("valid", false);
        }
    }
}
