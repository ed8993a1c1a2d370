//! JSON whose objects name each entry once.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The object that `text` is.
///
/// # Errors
/// If the text is no JSON, no object, or an object in it has an entry twice.
pub(super) fn object(text: &str) -> Result<Map<String, Value>, serde_json::Error> {
    match serde_json::from_str(text)? {
        Strict(Value::Object(entries)) => Ok(entries),
        _ => Err(serde_json::Error::custom("not an object of entries")),
    }
}

/// A value of which no object has an entry twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        deserializer.deserialize_any(Any).map(Strict)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    /// Whole numbers for floats that are whole: `4.0` is 4.
    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        if value >= 0.0 && value.fract() == 0.0 && value < f64::from(u32::MAX) {
            return Ok(Value::from(value as u64));
        }
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Map::new();
        while let Some((name, Strict(value))) = map.next_entry::<String, Strict>()? {
            if entries.contains_key(&name) {
                return Err(A::Error::custom(format!("`{}` is there twice", name.escape_debug())));
            }
            entries.insert(name, value);
        }
        Ok(Value::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_there_once() {
        let text = r#"{"a": [1, 2.0, -1, 0.5, null, true, "b"], "c": {"d": 1}}"#;
        assert_eq!(object(text).unwrap()["a"][1], Value::from(2u64));
        let said = object(r#"{"a": [{"stride": 1, "stride": 2}]}"#).unwrap_err().to_string();
        assert!(said.contains("`stride` is there twice"), "{said}");
        for text in ["[]", "{", "3", r#"{"a": NaN}"#] {
            assert!(object(text).is_err(), "{text}");
        }
    }
}
