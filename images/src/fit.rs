//! Images of another shape, made into those that the network takes, where the options allow it.

use crate::error::ImageError;
use crate::options::Options;
use image::imageops::{self, FilterType};
use image::{ImageBuffer, Luma};
use model::network::ImageShape;
use std::path::Path;

/// Where an image comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An array, whose channels are part of its shape.
    Array,
    /// A picture file, of which grey or colour is a matter of encoding.
    Picture,
}

/// What is left to say where no option helps.
pub(crate) const OTHER_NETWORK: &str = "use images of that shape, or a network that was trained on these";
const RESIZE: &str = "use --resize to scale and crop them";
const CONVERT_COLOR: &str = "use --convert-color to convert between grey and colour";
const BOTH: &str =
    "use --resize to scale and crop them and --convert-color to convert between grey and colour";

/// Most bytes of an image while it is scaled.
const SCALED_BYTES: f64 = (1u64 << 26) as f64;

/// A shape in words.
pub(crate) fn text(shape: ImageShape) -> String {
    format!("{} x {} x {}", shape.height, shape.width, shape.channels)
}

/// What is needed to make images of one shape fit the network; nothing if they do, with these options.
pub(crate) fn remedy(
    from: ImageShape,
    network: ImageShape,
    kind: Kind,
    options: &Options,
) -> Option<&'static str> {
    if from.height == 0 || from.width == 0 {
        return Some(OTHER_NETWORK);
    }
    let size = (from.height, from.width) == (network.height, network.width) || options.resize;
    let color = match (from.channels, network.channels) {
        (from, to) if from == to => Color::Fits,
        (1, 3) if kind == Kind::Picture => Color::Fits,
        // A picture whose three channels are equal is grey: only its pixels tell.
        (3, 1) if kind == Kind::Picture => Color::Fits,
        (1, 3) | (3, 1) if options.convert_color => Color::Fits,
        (1, 3) | (3, 1) => Color::Convertible,
        _ => Color::Other,
    };
    match (size, color) {
        (true, Color::Fits) => None,
        (false, Color::Fits) => Some(RESIZE),
        (true, Color::Convertible) => Some(CONVERT_COLOR),
        (false, Color::Convertible) => Some(BOTH),
        (_, Color::Other) => Some(OTHER_NETWORK),
    }
}

/// What becomes of an image's channels.
enum Color {
    Fits,
    Convertible,
    Other,
}

/// Makes an image fit the network: first its colours, then its size. `pixels` are those of `from`, channel by channel.
///
/// # Errors
/// If the options do not allow it: names the path and the option.
pub(crate) fn fit(
    path: &Path,
    pixels: Vec<u8>,
    from: ImageShape,
    network: ImageShape,
    kind: Kind,
    options: &Options,
) -> Result<Vec<u8>, ImageError> {
    let refuse = |remedy| ImageError::Shape {
        path: path.to_owned(),
        found: text(from),
        expected: text(network),
        remedy,
    };
    if let Some(remedy) = remedy(from, network, kind, options) {
        return Err(refuse(remedy));
    }
    let area = from.height * from.width;
    let pixels = match (from.channels, network.channels) {
        (1, 3) => pixels.repeat(3),
        (3, 1) => {
            let (red, rest) = pixels.split_at(area);
            let (green, blue) = rest.split_at(area);
            if red == green && green == blue {
                red.to_vec()
            } else if options.convert_color {
                red.iter().zip(green).zip(blue).map(|((&r, &g), &b)| luma(r, g, b)).collect()
            } else {
                return Err(refuse(CONVERT_COLOR));
            }
        }
        _ => pixels,
    };
    if (from.height, from.width) == (network.height, network.width) {
        return Ok(pixels);
    }
    let scaled = Scaled::covering(from, network).ok_or_else(|| {
        let reason = format!(
            "an image of {} grows too large when it is scaled to cover {}; crop it first",
            text(from),
            text(network)
        );
        ImageError::file(path, reason)
    })?;
    Ok(pixels.chunks_exact(area).flat_map(|plane| scaled.crop(plane, from, network)).collect())
}

/// Luma of ITU-R BT.601, rounded, in the 16-bit integers of Pillow's mode `L`: the same bytes as there.
fn luma(red: u8, green: u8, blue: u8) -> u8 {
    let sum = 19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue) + (1 << 15);
    (sum >> 16) as u8
}

/// The size that an image is scaled to before its centre is cut out.
struct Scaled {
    height: u32,
    width: u32,
}

impl Scaled {
    /// The smallest size with the proportions of `from` that covers the network's; none if that is too large to hold.
    fn covering(from: ImageShape, network: ImageShape) -> Option<Scaled> {
        let ratio = |to: usize, from: usize| to as f64 / from as f64;
        let factor = ratio(network.height, from.height).max(ratio(network.width, from.width));
        let side = |from: usize, to: usize| (from as f64 * factor).round().max(to as f64);
        let (height, width) = (side(from.height, network.height), side(from.width, network.width));
        (height * width <= SCALED_BYTES).then_some(Scaled { height: height as u32, width: width as u32 })
    }

    /// One channel, scaled with a triangle filter as wide as the scale (bilinear with antialiasing), and its centre.
    fn crop(&self, plane: &[u8], from: ImageShape, network: ImageShape) -> Vec<u8> {
        let plane = ImageBuffer::<Luma<u8>, _>::from_raw(from.width as u32, from.height as u32, plane)
            .expect("as many bytes as the shape says");
        let scaled = imageops::resize(&plane, self.width, self.height, FilterType::Triangle);
        let (width, height) = (network.width as u32, network.height as u32);
        let (left, top) = ((self.width - width) / 2, (self.height - height) / 2);
        imageops::crop_imm(&scaled, left, top, width, height).to_image().into_raw()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANY: Options = Options {
        part: None,
        labels: None,
        class_names: None,
        resize: true,
        convert_color: true,
        axes: None,
        scale: None,
    };

    fn shape(height: usize, width: usize, channels: usize) -> ImageShape {
        ImageShape { height, width, channels }
    }

    #[test]
    fn luma_is_that_of_pillow() {
        let found = [(255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (10, 20, 30)]
            .map(|(r, g, b)| luma(r, g, b));
        assert_eq!(found, [255, 76, 150, 29, 18]);
    }

    #[test]
    fn the_centre_is_kept_and_the_shorter_side_fits() {
        // Three columns of 4 x 4 blocks: black, grey, white, on a canvas three times as wide as high.
        let wide: Vec<u8> = (0..4 * 12).map(|at| [0, 100, 255][at % 12 / 4]).collect();
        let fitted =
            fit(Path::new("wide"), wide, shape(4, 12, 1), shape(4, 4, 1), Kind::Array, &ANY).unwrap();
        assert_eq!(fitted, [100; 16]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_size_is_made_to_fit(
            (h, w, to_h, to_w) in (1usize..40, 1usize..40, 1usize..20, 1usize..20),
            (from_c, to_c) in prop_oneof![Just((1, 1)), Just((3, 3)), Just((1, 3)), Just((3, 1))],
            value in any::<u8>(),
        ) {
            let (from, to) = (shape(h, w, from_c), shape(to_h, to_w, to_c));
            let fitted = fit(Path::new("x"), vec![value; from.bytes()], from, to, Kind::Array, &ANY).unwrap();
            prop_assert_eq!(fitted, vec![value; to.bytes()], "one colour stays one colour");
        }

        #[test]
        fn scaling_is_the_mean_where_a_whole_number_of_pixels_becomes_one(values in proptest::collection::vec(any::<u8>(), 2)) {
            // Far from the edges of two flat halves, a pixel keeps its value.
            let wide: Vec<u8> = (0..16 * 16).map(|at| values[at % 16 / 8]).collect();
            let fitted = fit(Path::new("x"), wide, shape(16, 16, 1), shape(4, 4, 1), Kind::Array, &ANY).unwrap();
            for row in fitted.chunks_exact(4) {
                prop_assert_eq!([row[0], row[3]], [values[0], values[1]]);
            }
        }
    }

    #[test]
    fn what_no_option_allows_is_refused() {
        let none = Options::default();
        let cases = [
            (shape(4, 4, 1), shape(4, 4, 1), Kind::Array, &none, None),
            (shape(4, 5, 1), shape(4, 4, 1), Kind::Array, &none, Some(RESIZE)),
            (shape(4, 4, 3), shape(4, 4, 1), Kind::Array, &none, Some(CONVERT_COLOR)),
            (shape(4, 4, 1), shape(4, 4, 3), Kind::Array, &none, Some(CONVERT_COLOR)),
            (shape(4, 4, 1), shape(4, 4, 3), Kind::Picture, &none, None),
            (shape(5, 4, 1), shape(4, 4, 3), Kind::Array, &none, Some(BOTH)),
            (shape(4, 4, 1), shape(4, 4, 4), Kind::Picture, &ANY, Some(OTHER_NETWORK)),
            (shape(0, 4, 1), shape(4, 4, 1), Kind::Array, &ANY, Some(OTHER_NETWORK)),
        ];
        for (from, to, kind, options, expected) in cases {
            assert_eq!(remedy(from, to, kind, options), expected, "{from:?} for {to:?}, {kind:?}");
        }
        let colored = vec![1, 2, 3];
        let error =
            fit(Path::new("p"), colored, shape(1, 1, 3), shape(1, 1, 1), Kind::Picture, &none).unwrap_err();
        assert!(error.to_string().contains("--convert-color"), "{error}");
        let grey =
            fit(Path::new("p"), vec![7; 3], shape(1, 1, 3), shape(1, 1, 1), Kind::Picture, &none).unwrap();
        assert_eq!(grey, [7], "a picture whose channels are equal is grey");
        let long = shape(1, 1 << 25, 1);
        let error =
            fit(Path::new("p"), vec![0; 1 << 25], long, shape(28, 28, 1), Kind::Picture, &ANY).unwrap_err();
        assert!(error.to_string().contains("crop it first"), "{error}");
    }
}
