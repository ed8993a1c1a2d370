//! The attributes of a node in a file.

use super::{unknown, wrong};
use crate::error::ModelError;
use crate::mask_rules;
use crate::network::{Axis, Mask, Taps};
use serde_json::{Map, Value};
use std::cell::RefCell;

/// Attributes that every node has.
const COMMON: [&str; 3] = ["name", "op", "inputs"];

/// A node's object. It remembers which attributes were asked for: others have no meaning.
pub(super) struct Attributes<'j> {
    pub name: &'j str,
    pub op: &'j str,
    values: &'j Map<String, Value>,
    known: RefCell<Vec<&'static str>>,
}

impl<'j> Attributes<'j> {
    pub fn new(index: usize, node: &'j Value) -> Result<Attributes<'j>, ModelError> {
        let allowed = "an object of `name`, `op`, `inputs` and the attributes of its operation";
        let values = node.as_object().ok_or_else(|| wrong(&format!("node {index}"), node, allowed))?;
        let text = |part: &str| {
            let value = values.get(part).unwrap_or(&Value::Null);
            value.as_str().ok_or_else(|| wrong(&format!("node {index}: {part}"), value, "a text"))
        };
        Ok(Attributes { name: text("name")?, op: text("op")?, values, known: RefCell::new(COMMON.to_vec()) })
    }

    /// The name of an attribute in errors.
    pub fn entry(&self, part: &str) -> String {
        format!("node `{}`: {part}", self.name.escape_debug())
    }

    /// The names of the nodes that it reads.
    pub fn inputs(&self) -> Result<Vec<&'j str>, ModelError> {
        let value = self.values.get("inputs").unwrap_or(&Value::Null);
        let names = value.as_array().and_then(|names| names.iter().map(Value::as_str).collect());
        names.ok_or_else(|| wrong(&self.entry("inputs"), value, "a list of names of nodes before it"))
    }

    /// An attribute, if it is there.
    pub fn get(&self, name: &'static str) -> Option<&'j Value> {
        self.known.borrow_mut().push(name);
        self.values.get(name).filter(|value| !value.is_null())
    }

    /// A whole number within a range.
    pub fn number(
        &self,
        name: &'static str,
        default: Option<usize>,
        low: usize,
        high: usize,
    ) -> Result<usize, ModelError> {
        let found = match (self.get(name), default) {
            (None, Some(default)) => return Ok(default),
            (value, _) => value.unwrap_or(&Value::Null),
        };
        let number = found.as_u64().and_then(|number| usize::try_from(number).ok());
        number
            .filter(|number| (low..=high).contains(number))
            .ok_or_else(|| wrong(&self.entry(name), found, &format!("a whole number, {low} to {high}")))
    }

    /// One whole number for rows and columns, or one for each.
    pub fn pair(
        &self,
        name: &'static str,
        default: Option<[usize; 2]>,
        low: usize,
    ) -> Result<[usize; 2], ModelError> {
        let found = match (self.get(name), default) {
            (None, Some(default)) => return Ok(default),
            (value, _) => value.unwrap_or(&Value::Null),
        };
        let number = |value: &Value| {
            value.as_u64().map(|number| number as usize).filter(|number| (low..=4096).contains(number))
        };
        let pair = match found {
            Value::Array(values) if values.len() == 2 => number(&values[0]).zip(number(&values[1])),
            value => number(value).map(|number| (number, number)),
        };
        let allowed = format!("a whole number, {low} to 4096, or two, of rows and columns");
        pair.map(|(rows, columns)| [rows, columns]).ok_or_else(|| wrong(&self.entry(name), found, &allowed))
    }

    /// Taps of a kernel: `stride` and `padding`.
    pub fn taps(&self, kernel: [usize; 2], stride: [usize; 2]) -> Result<Taps, ModelError> {
        let stride = self.pair("stride", Some(stride), 1)?;
        let padding = self.pair("padding", Some([0, 0]), 0)?;
        let [rows, columns] =
            [0, 1].map(|side| Axis { kernel: kernel[side], stride: stride[side], padding: padding[side] });
        Ok(Taps { rows, columns })
    }

    /// An attribute that may only say what holds anyway.
    pub fn only(&self, name: &'static str, allowed: &Value, remedy: &str) -> Result<(), ModelError> {
        match self.get(name) {
            Some(found) if found != allowed => Err(self.unmappable(format!("{name} is {found}"), remedy)),
            _ => Ok(()),
        }
    }

    /// What has no counterpart in a spiking network.
    pub fn unmappable(&self, found: String, remedy: &str) -> ModelError {
        ModelError::Unmappable {
            module: self.name.to_owned(),
            found: format!("operation `{}`: {found}", self.op.escape_debug()),
            remedy: remedy.to_owned(),
        }
    }

    /// A mask: a ratio, or an object of `label`, `ratio`, `shared` and `draws_of`.
    pub fn mask(&self, name: &'static str) -> Result<Mask, ModelError> {
        let Some(value) = self.get(name) else { return Ok(Mask::default()) };
        mask_rules::read(value).ok_or_else(|| wrong(&self.entry(name), value, mask_rules::READ))
    }

    /// Refuses an attribute that was not asked for.
    pub fn nothing_left(&self) -> Result<(), ModelError> {
        let known = self.known.borrow();
        match self.values.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, value)) => {
                let entry = self.entry(&format!("attribute `{}` of `{}`", name.escape_debug(), self.op));
                Err(wrong(&entry, value, &unknown(name, &known)))
            }
        }
    }
}
