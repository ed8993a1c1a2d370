//! The two orders in which the inputs of an image's patch come: channel by channel, as checkpoints have convolution kernels, and tap by
//! tap, as [`Weights`](crate::network::Weights) have them.

/// Rows of `taps * channels` weights, channel by channel, put tap by tap. Nothing of an incomplete last row is left.
///
/// # Panics
/// If `taps` or `channels` is 0.
pub(crate) fn tap_by_tap(weights: &[i8], taps: usize, channels: usize) -> Vec<i8> {
    let inputs = taps * channels;
    let at = |row: &[i8], i: usize| row[i % channels * taps + i / channels];
    weights.chunks_exact(inputs).flat_map(|row| (0..inputs).map(move |i| at(row, i))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_of_a_tap_become_neighbours() {
        assert_eq!(
            tap_by_tap(&[1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16], 3, 2),
            [1, 4, 2, 5, 3, 6, 11, 14, 12, 15, 13, 16]
        );
        assert_eq!(tap_by_tap(&[1, 2, 3], 3, 1), [1, 2, 3]);
    }
}
