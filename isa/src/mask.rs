//! Random spike masking: seeds and shift register.
//!
//! A neuron's LFSR starts from [`seed`] at the beginning of every image. Each time slot of each token, in the order of
//! evaluation and with slots ascending, takes one draw of [`DRAW_BITS`] fresh bits; the spike of that slot is transmitted when the
//! draw is at least the layer's ratio. The draw is the low byte of the state after eight steps.
//!
//! Where tokens share a mask (`mask_shared`), the LFSR starts over at each token, so that all of them drop the same slots of a channel. Else
//! the parameters of a layer's second strip, and of those after it, hold the state in which the strip before leaves the LFSR.
//!
//! The *channel* that a seed is made from is the output channel; for `scores` it is `(block * heads + head) * N + key`
//! and for `context` `(block * heads + head) * head_size + channel`, with `N` keys in a block.

/// State bits of the LFSR.
pub const LFSR_BITS: u32 = 32;

/// Fresh bits of one draw.
pub const DRAW_BITS: u32 = 8;

/// Feedback taps, counted from 1 at the least significant bit: `x^32 + x^30 + x^26 + x^25 + 1`, a primitive polynomial, so the
/// period is 2^32 - 1. One step is `state = state << 1 | (xor of the tapped bits)`. The lowest tap is
/// above 24, so all eight bits of a draw depend on the current state alone.
pub const TAPS: [u32; 4] = [32, 30, 26, 25];

/// The LFSR's start state for one neuron. Never zero.
///
/// A 64-bit mix (the finalizer of SplitMix64) of the three numbers: neighbouring neurons start far apart.
pub fn seed(seed: u32, layer: u32, channel: u32) -> u32 {
    let mut x = (u64::from(layer) << 32 | u64::from(channel))
        ^ (u64::from(seed) << 16).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    let folded = (x ^ (x >> 32)) as u32;
    if folded == 0 { 0x4d53_5431 } else { folded }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Multiplies two elements of GF(2)[x] / the LFSR's polynomial.
    fn multiply(mut a: u64, mut b: u64) -> u64 {
        let polynomial = TAPS.iter().fold(1u64, |p, &t| p | 1 << t);
        let mut product = 0;
        while b != 0 {
            if b & 1 == 1 {
                product ^= a;
            }
            b >>= 1;
            a <<= 1;
            if a >> LFSR_BITS & 1 == 1 {
                a ^= polynomial;
            }
        }
        product
    }

    fn power_of_x(mut exponent: u64) -> u64 {
        let (mut base, mut result) = (2u64, 1u64);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = multiply(result, base);
            }
            base = multiply(base, base);
            exponent >>= 1;
        }
        result
    }

    #[test]
    fn polynomial_is_primitive() {
        let order = (1u64 << 32) - 1;
        assert_eq!(power_of_x(order), 1);
        for prime in [3, 5, 17, 257, 65537] {
            assert_ne!(power_of_x(order / prime), 1, "the period divides (2^32 - 1) / {prime}");
        }
    }

    #[test]
    fn seeds_are_distinct_and_never_zero() {
        let mut seen = std::collections::HashSet::new();
        for s in 0..4 {
            for layer in 0..40 {
                for channel in 0..300 {
                    let value = seed(s, layer, channel);
                    assert_ne!(value, 0);
                    seen.insert(value);
                }
            }
        }
        assert!(seen.len() > 47_990, "{} distinct seeds of 48,000", seen.len());
    }
}
