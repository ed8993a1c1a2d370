//! Images for networks, and what is known of them: labels and the names of classes.
//!
//! [`Source::open`] takes whatever `--data` names and tells by the content what it is:
//!
//! | source | module |
//! |---|---|
//! | an idx file, plain or gzipped, or a folder with idx files of images and labels | [`idx`] |
//! | an `.npy` array or an `.npz` archive of NumPy | [`numpy`] |
//! | binary batches of CIFAR-10 or CIFAR-100, or a folder of them | [`cifar`] |
//! | a folder of PNG and JPEG pictures, or one whose subfolders are classes | [`folder`] |
//! | a single PNG or JPEG picture | [`picture`] |
//!
//! Whatever it is, what comes out are the bytes that the network takes: channel by channel, row by row, one byte a pixel and
//! channel. What contradicts the network (another shape, a label that is none of its classes, other names of its classes) is
//! refused. Sizes are read from headers and compared with [`LIMIT`] before anything is allocated.
//!
//! `docs/images.md` describes the sources for their users.

mod axes;
mod bounded;
pub mod cifar;
mod error;
mod find;
mod fit;
pub mod folder;
pub mod idx;
mod names;
pub mod numpy;
mod options;
mod parts;
pub mod picture;
mod source;

pub use bounded::LIMIT;
pub use error::ImageError;
pub use find::is_data;
pub use names::class_text;
pub use options::{Axes, HELD_OUT, Options, Part};
pub use source::{Dataset, Source, class_names};
