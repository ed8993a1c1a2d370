//! CRC-32, that of zlib: reflected, all ones at the start, inverted at the end.

use crate::rtl::{Expr, cat, lit};

/// The polynomial, lowest power in the highest bit.
pub(super) const POLYNOMIAL: u32 = 0xedb8_8320;

/// The state after the bytes of `data`, lowest first: every bit of it is the parity of some bits of state and data.
pub(super) fn step(state: &Expr, data: &Expr) -> Expr {
    let width = data.width();
    let mixed = data ^ state.zext(width);
    let after: Vec<u32> = (0..width).map(|bit| after_bits(bit, width)).collect();
    let of_state = |bit: u32| {
        let words = (0..width).step_by(64).filter_map(|first| {
            let bits = (width - first).min(64);
            let mask =
                (0..bits).fold(0, |mask, i| mask | u64::from(after[(first + i) as usize] >> bit & 1) << i);
            (mask != 0).then(|| (mixed.slice(first, bits) & lit(mask, bits)).parity())
        });
        words.reduce(|sum, next| sum ^ next).unwrap_or_else(|| lit(0, 1))
    };
    cat(&(0..32).rev().map(of_state).collect::<Vec<_>>())
}

/// What `width` bits of which only `one` is set make of a state of zeros.
fn after_bits(one: u32, width: u32) -> u32 {
    (0..width).fold(0, |state: u32, bit| {
        let mixed = state ^ u32::from(bit == one);
        if mixed & 1 == 1 { mixed >> 1 ^ POLYNOMIAL } else { mixed >> 1 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_gives_the_check_value() {
        // "123456789", the usual check: the first eight bytes as one word, the ninth as another.
        let word = |state: u32, bytes: &[u8]| {
            let width = 8 * bytes.len() as u32;
            let data = bytes.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
            // Of a state wider than the data what remains is shifted down.
            let kept = if width < 32 { state >> width } else { 0 };
            let mixed = data ^ u64::from(state) & (u64::MAX >> (64 - width));
            (0..width).filter(|bit| mixed >> bit & 1 == 1).fold(kept, |sum, bit| sum ^ after_bits(bit, width))
        };
        assert_eq!(!word(word(u32::MAX, b"12345678"), b"9"), 0xcbf4_3926);
    }
}
