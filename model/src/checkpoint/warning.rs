//! What a checkpoint's file left unsaid, or said in vain.

use super::KEY;
use std::fmt::{Display, Formatter};

/// Something about a checkpoint's file that its author should know, though it converts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// An entry of the metadata that nothing reads.
    Unknown {
        /// The entry.
        entry: String,
        /// The known entry whose name is nearest, if one is near.
        nearest: Option<&'static str>,
    },
    /// An entry of the metadata that should be there, and what was taken for granted instead.
    Assumed {
        /// The entry.
        entry: &'static str,
        /// The value that it was taken to have.
        value: &'static str,
        /// What that means.
        meaning: &'static str,
    },
    /// An entry of the metadata that names some modules and leaves out others.
    Unnamed {
        /// The entry.
        entry: &'static str,
        /// The first module that it does not name.
        module: String,
        /// What was assumed of it.
        meaning: &'static str,
    },
}

impl Display for Warning {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Warning::Unknown { entry, nearest } => {
                write!(f, "metadata entry `{KEY}`: `{}` is unknown and was ignored; ", entry.escape_debug())?;
                match nearest {
                    Some(nearest) => write!(f, "did you mean `{nearest}`?"),
                    None => write!(f, "docs/checkpoint.md lists the entries, put notes into `training`"),
                }
            }
            Warning::Unnamed { entry, module, meaning } => write!(
                f,
                "metadata entry `{KEY}`: `{entry}` does not name module `{module}`: assumed that {meaning}; name it, too, if that is so"
            ),
            Warning::Assumed { entry, value, meaning } => write!(
                f,
                "metadata entry `{KEY}` has no `{entry}`: assumed that {meaning}; write \"{entry}\": \"{value}\" if that is so"
            ),
        }
    }
}
