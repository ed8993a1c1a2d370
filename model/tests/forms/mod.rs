//! Checkpoint files in other forms than training writes.

#![allow(dead_code, reason = "each test uses its own part")]

use crate::synthetic::{Plan, Tensors};
use half::{bf16, f16};
use model::{Checkpoint, ConvertOptions, Network, convert};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::Value;
use std::collections::HashMap;

/// A tensor as it is stored: name, element type, shape, bytes.
pub type Stored = (String, Dtype, Vec<usize>, Vec<u8>);

/// Tensors with elements of a type.
pub fn stored(tensors: &Tensors, dtype: Dtype) -> Vec<Stored> {
    let element = |value: f32| match dtype {
        Dtype::F64 => f64::from(value).to_le_bytes().to_vec(),
        Dtype::F16 => f16::from_f32(value).to_le_bytes().to_vec(),
        Dtype::BF16 => bf16::from_f32(value).to_le_bytes().to_vec(),
        _ => value.to_le_bytes().to_vec(),
    };
    let store = |(name, shape, values): &(String, Vec<usize>, Vec<f32>)| {
        (name.clone(), dtype, shape.clone(), values.iter().flat_map(|&value| element(value)).collect())
    };
    tensors.iter().map(store).collect()
}

/// A checkpoint file.
pub fn file(header: &Value, tensors: &[Stored]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize(views, Some(HashMap::from([("mst".to_owned(), header.to_string())]))).unwrap()
}

/// The header of a plan with further entries, or others.
pub fn header(plan: &Plan, entries: Value) -> Value {
    let mut header: Value = serde_json::from_str(&plan.header()).unwrap();
    for (entry, value) in entries.as_object().unwrap() {
        header[entry] = value.clone();
    }
    header
}

/// The checkpoint of a plan with these entries and tensors.
pub fn read(plan: &Plan, entries: Value, tensors: &Tensors) -> Result<Checkpoint, String> {
    Checkpoint::from_bytes(&file(&header(plan, entries), &stored(tensors, Dtype::F32)))
        .map_err(|error| error.to_string())
}

/// What it becomes.
pub fn network(checkpoint: &Checkpoint) -> Network {
    convert(checkpoint, &ConvertOptions::new("form")).unwrap()
}

/// A tensor by its name.
pub fn tensor<'t>(tensors: &'t mut Tensors, name: &str) -> &'t mut (String, Vec<usize>, Vec<f32>) {
    tensors.iter_mut().find(|(found, ..)| found == name).unwrap()
}

const SAID: &str = r#"{"activation": "qcfs", "attention": "qcfs", "norm": "batch_norm", "residual": "add"}"#;

/// Entries that leave nothing to be assumed.
pub fn said() -> Value {
    serde_json::from_str(SAID).unwrap()
}
