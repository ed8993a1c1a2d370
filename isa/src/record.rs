//! Bit fields of the records in memory: layer descriptors and passes.

/// One bit field of a record.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name, as in the record's type.
    pub name: &'static str,
    /// Index of the 64-bit word.
    pub word: usize,
    /// Least significant bit inside the word.
    pub lsb: u32,
    /// Width in bits.
    pub width: u32,
    /// Meaning, unit and valid range.
    pub doc: &'static str,
}

impl Field {
    /// The largest value that the field holds.
    pub const fn largest(&self) -> u64 {
        (1 << self.width) - 1
    }
}

/// Declares a record's type with a `u32` for each field, the list of its fields, and their way from and to words.
macro_rules! record {
    (
        $(#[$meta:meta])*
        $record:ident { $($(#[$table_meta:meta])* $table:ident: $table_type:ty,)* }
        $($name:ident @ $word:literal [$lsb:literal +: $width:literal] $doc:literal;)*
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $record {
            $(#[doc = $doc] pub $name: u32,)*
            $($(#[$table_meta])* pub $table: $table_type,)*
        }

        /// Every scalar field of the record, in the order of its position.
        pub const FIELDS: &[Field] = &[
            $(Field { name: stringify!($name), word: $word, lsb: $lsb, width: $width, doc: $doc },)*
        ];

        /// The position of the field called `name`.
        ///
        /// # Panics
        /// If there is no such field: names are compile-time constants of the hardware and the documents.
        pub fn field(name: &str) -> &'static Field {
            let found = FIELDS.iter().find(|field| field.name == name);
            found.unwrap_or_else(|| panic!("a {} has no field `{name}`", stringify!($record)))
        }

        impl $record {
            /// The value of every scalar field, in the order of [`FIELDS`].
            fn values(&self) -> Vec<u32> {
                vec![$(self.$name,)*]
            }

            fn values_mut(&mut self) -> Vec<&mut u32> {
                vec![$(&mut self.$name,)*]
            }

            /// Writes the scalar fields. Bits of a value beyond its field's width are dropped.
            fn write_fields(&self, words: &mut [u64]) {
                for (field, value) in FIELDS.iter().zip(self.values()) {
                    words[field.word] |= (u64::from(value) & field.largest()) << field.lsb;
                }
            }

            /// Reads the scalar fields.
            fn read_fields(&mut self, words: &[u64]) {
                for (field, value) in FIELDS.iter().zip(self.values_mut()) {
                    *value = (words[field.word] >> field.lsb & field.largest()) as u32;
                }
            }
        }
    };
}
pub(crate) use record;

/// For tests: fields lie side by side, before word `tables`.
#[cfg(test)]
pub(crate) fn check_positions(fields: &[Field], tables: usize) {
    let mut used = vec![0u64; tables];
    for field in fields {
        assert!(field.word < tables, "{} lies in the tables", field.name);
        assert!(field.lsb + field.width <= 64, "{} leaves its word", field.name);
        let mask = field.largest() << field.lsb;
        assert_eq!(used[field.word] & mask, 0, "{} overlaps another field", field.name);
        used[field.word] |= mask;
    }
}
