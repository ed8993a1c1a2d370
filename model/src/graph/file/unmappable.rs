//! Operations of other networks, named with what to do about them.

use super::attributes::Attributes;
use super::{ops::OPS, unknown, wrong};
use crate::error::ModelError;
use serde_json::Value;

const NORM: &str =
    "replace it by batch norm and train again: only running statistics fold into weights and thresholds";
const CURVE: &str = "replace it by `qcfs` (or ReLU, exported as `relu_clip`) and train again: nothing else becomes an integrate-and-fire neuron";
const RELU: &str = "export it as `relu_clip` with a threshold near the top of what it sees (a high percentile over training images), or train `qcfs`";
const NOTHING: &str = "leave it out: it does nothing in evaluation mode";
const LEAK: &str =
    "train integrate-and-fire neurons without a leak and with reset by subtraction, and export them as `if`";
const TRANSPOSED: &str = "train with a convolution instead: a classifier needs no upsampling";
const RECURRENT: &str = "train without it: nodes read earlier nodes only";

/// Names without separators, and what to do about such a node.
const FOREIGN: [(&[&str], &str); 15] = [
    (
        &[
            "layernorm",
            "layernorm2d",
            "groupnorm",
            "instancenorm",
            "instancenorm2d",
            "rmsnorm",
            "localresponsenorm",
            "lrn",
        ],
        NORM,
    ),
    (
        &["softmax", "logsoftmax"],
        "in attention, put QCFS of `q k' / sqrt(d) + bias` in its place and train again; behind the last layer, leave it out: logits are what is compared",
    ),
    (
        &[
            "gelu",
            "silu",
            "swish",
            "hardswish",
            "hardsigmoid",
            "sigmoid",
            "tanh",
            "hardtanh",
            "elu",
            "selu",
            "mish",
            "softplus",
        ],
        CURVE,
    ),
    (&["leakyrelu", "prelu", "rrelu", "celu"], CURVE),
    (&["relu"], RELU),
    (&["relu6"], "export it as `relu_clip` with a threshold of 6"),
    (&["dropout", "dropout2d", "droppath", "stochasticdepth", "identity"], NOTHING),
    (&["convtranspose", "convtranspose2d", "upsample", "interpolate", "pixelshuffle"], TRANSPOSED),
    (&["conv1d", "conv3d"], "export it as `conv`, with a weight [outputs, inputs, rows, columns]"),
    (&["lif", "plif", "leaky", "synaptic", "izhikevich"], LEAK),
    (&["lstm", "gru", "rnn"], RECURRENT),
    (
        &["concat", "cat", "concatenate", "stack", "split", "chunk"],
        "train with `add` in its place: layers read all channels of a plane",
    ),
    (
        &["mul", "multiply", "matmul", "bmm", "div", "squeezeexcitation", "gate"],
        "train without it: neurons add up weighted spikes and do not multiply two activations, but in `attention`",
    ),
    (
        &["adaptiveavgpool", "adaptiveavgpool2d", "globalavgpool", "globalaveragepool", "gap"],
        "export it as `mean` if it leaves one position, else as `avg_pool` with a kernel",
    ),
    (
        &["multiheadattention", "scaleddotproductattention", "selfattention"],
        "export its queries, keys and values as `linear` nodes with activations, and `attention` behind them",
    ),
];

/// Refuses an operation that is none of this format's.
pub(super) fn check(node: &Attributes<'_>) -> Result<(), ModelError> {
    if OPS.contains(&node.op) {
        return Ok(());
    }
    let name: String = node.op.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect();
    let name = name.strip_prefix("nn").unwrap_or(&name);
    match FOREIGN.iter().find(|(names, _)| names.contains(&name)) {
        Some((_, remedy)) => {
            Err(node.unmappable("it has no counterpart in a spiking network here".to_owned(), remedy))
        }
        None => Err(wrong(&node.entry("op"), &Value::from(node.op), &unknown(node.op, &OPS))),
    }
}
