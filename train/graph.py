"""PyTorch networks as graph files (`mst-graph` 2): convolutions, linear layers, batch norm, QCFS, sums and pools become nodes.

`trace` follows a network's `forward` with `torch.fx` and makes a node of every module and function it calls, named by the module's path; what has
no counterpart in a spiking network is refused by its path, with what to do instead. docs/checkpoint.md lists operations.

    graph.save(Path("own.safetensors"), network.eval(), images, name="own")      # images: bytes, which become the file's example
"""

import json
import operator
import os
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from network import Qcfs

VERSION = 2

_NORM = "replace it by nn.BatchNorm2d and train again: only running statistics fold into weights and thresholds"
_CURVE = "replace it by network.Qcfs and train again: nothing else becomes an integrate-and-fire neuron"
_RELU = "replace it by network.Qcfs, calibrated (see networks.py): accuracy stays when thresholds are a high percentile of what each one sees"
_SOFTMAX = (
    "in attention, put network.Qcfs of q k' / sqrt(d) + bias in its place and train again; behind the last layer, leave it out: "
    "logits are what is compared"
)
_TRANSPOSED = "train with a convolution instead: a classifier needs no upsampling"
_RECURRENT = "train without it: nodes read earlier nodes only"
_CONCATENATION = "train with a sum in its place: layers read all channels of one tensor"
_PRODUCT = "train without it: neurons add up weighted spikes and do not multiply two activations"
_ATTENTION = "train attention without softmax (network.WindowAttention) and export it as a checkpoint: checkpoint.py"

# What has no counterpart, by the name of its class or function, and what to do.
REMEDIES = {
    **dict.fromkeys(("LayerNorm", "GroupNorm", "InstanceNorm2d", "RMSNorm", "LocalResponseNorm"), _NORM),
    **dict.fromkeys(("layer_norm", "group_norm", "instance_norm", "rms_norm", "batch_norm"), _NORM),
    **dict.fromkeys(("GELU", "SiLU", "Hardswish", "Sigmoid", "Hardsigmoid", "Tanh", "Hardtanh", "ELU", "SELU", "Mish"), _CURVE),
    **dict.fromkeys(("gelu", "silu", "hardswish", "sigmoid", "hardsigmoid", "tanh", "hardtanh", "elu", "selu", "mish"), _CURVE),
    **dict.fromkeys(("LeakyReLU", "PReLU", "CELU", "RReLU", "Softplus", "leaky_relu", "prelu", "softplus"), _CURVE),
    **dict.fromkeys(("ReLU", "ReLU6", "relu", "relu_", "relu6"), _RELU),
    **dict.fromkeys(("Softmax", "Softmax2d", "LogSoftmax", "softmax", "log_softmax"), _SOFTMAX),
    **dict.fromkeys(("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "Upsample", "PixelShuffle"), _TRANSPOSED),
    **dict.fromkeys(("conv_transpose2d", "interpolate", "pixel_shuffle"), _TRANSPOSED),
    **dict.fromkeys(("LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"), _RECURRENT),
    **dict.fromkeys(("cat", "concat", "stack", "chunk", "split"), _CONCATENATION),
    **dict.fromkeys(("mul", "mul_", "matmul", "bmm", "einsum", "div", "truediv"), _PRODUCT),
    **dict.fromkeys(("MultiheadAttention", "scaled_dot_product_attention"), _ATTENTION),
}
_OTHER = "build it of nn.Conv2d, nn.Linear, nn.BatchNorm2d, network.Qcfs, sums, pools, flatten and mean"


class NoCounterpart(ValueError):
    """A module or function that no node computes."""

    def __init__(self, path: str, found: str, remedy: str):
        super().__init__(f"`{path}`: {found}; {remedy}")
        self.path = path


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, path: str) -> bool:
        return isinstance(module, Qcfs | nn.MaxPool2d) or super().is_leaf_module(module, path)


def _pair(value: int | tuple[int, ...]) -> list[int]:
    """Rows and columns."""
    return list(value) if isinstance(value, tuple | list) else [value, value]


class Graph:
    """Nodes and tensors of a network, as it is traced."""

    def __init__(self, network: nn.Module, image_shape: tuple[int, int, int], masks: dict[str, dict | float]):
        self.nodes: list[dict] = []
        self.tensors: dict[str, torch.Tensor] = {}
        self.masks = dict(masks)
        # The name of the node that each value of the trace is.
        self.names: dict[fx.Node, str] = {}
        traced = fx.GraphModule(network, _Tracer().trace(network))
        self.modules = dict(traced.named_modules())
        ShapeProp(traced).propagate(torch.zeros(2, *image_shape))
        for node in traced.graph.nodes:
            self._node(node)
        if self.masks:
            raise ValueError(f"no activations: {', '.join(self.masks)}; there are {', '.join(self._sites())}")

    def _sites(self) -> list[str]:
        return [node["name"] for node in self.nodes if node["op"] in ("qcfs", "max_pool")]

    # Nodes of the trace.

    def _node(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            if self.nodes:
                raise NoCounterpart(node.name, "a second input", "a graph has one: the image")
            self._add(node, "image", "input", [])
        elif node.op == "call_module":
            self._module(node, node.target, self.modules[node.target])
        elif node.op == "output":
            if not isinstance(node.args[0], fx.Node):
                raise NoCounterpart(node.name, "several results", "return the logits alone in evaluation mode")
            if self.names[node.args[0]] != self.nodes[-1]["name"]:
                raise NoCounterpart(self._path(node.args[0]), "something is computed behind the logits", "leave it out")
        elif node.op in ("call_function", "call_method"):
            self._function(node)
        else:
            raise NoCounterpart(str(node.target), "a parameter that is used without a module", _OTHER)

    def _add(self, node: fx.Node, name: str, op: str, inputs: list[fx.Node], **attributes) -> str:
        """A node; a module that is called again gives its name once more, with a number."""
        taken, wanted, count = {known["name"] for known in self.nodes}, name, 1
        while name in taken:
            count += 1
            name = f"{wanted}#{count}"
        missing = [read for read in inputs if read not in self.names]
        if missing:
            raise NoCounterpart(self._path(node), f"it reads `{missing[0]}`, which is no tensor of the graph", _OTHER)
        self.nodes.append({"name": name, "op": op, "inputs": [self.names[read] for read in inputs], **attributes})
        self.names[node] = name
        return name

    def _same(self, node: fx.Node, source: fx.Node) -> None:
        """Nothing is done in evaluation mode."""
        self.names[node] = self.names[source]

    @staticmethod
    def _path(node: fx.Node) -> str:
        """The path of the module that a function is called in, and the function."""
        if node.op == "call_module":
            return node.target
        stack = list(node.meta.get("nn_module_stack") or {})
        return ".".join([*stack[-1:], node.name]) if stack and stack[-1] else node.name

    @staticmethod
    def _shape(node: fx.Node) -> torch.Size:
        return node.meta["tensor_meta"].shape

    def _keep(self, name: str, **tensors: torch.Tensor | None) -> None:
        for part, value in tensors.items():
            if value is not None:
                self.tensors[f"{name}.{part}"] = value.detach().float().clone().contiguous()

    # Modules.

    def _module(self, node: fx.Node, path: str, module: nn.Module) -> None:
        source = node.args[0]
        match module:
            case Qcfs():
                name = self._add(node, path, "qcfs", [source], levels=module.levels)
                self._keep(name, threshold=module.value())
                self._mask(path)
            case nn.Conv2d():
                self._conv(node, path, module)
            case nn.Linear():
                if len(self._shape(source)) != 2:
                    raise NoCounterpart(path, f"a linear layer of a tensor {list(self._shape(source))}", "flatten or average it before")
                name = self._add(node, path, "linear", [source])
                self._keep(name, weight=module.weight, bias=module.bias)
            case nn.BatchNorm2d() | nn.BatchNorm1d():
                if module.running_mean is None:
                    remedy = "measure them: with track_running_stats=True, one pass over training images in training mode"
                    raise NoCounterpart(path, "batch norm without running statistics", remedy)
                name = self._add(node, path, "batch_norm", [source], eps=module.eps)
                self._keep(
                    name, running_mean=module.running_mean, running_var=module.running_var, weight=module.weight, bias=module.bias
                )
            case nn.AvgPool2d():
                self._plain_pool(path, module)
                if any(_pair(module.padding)) and not module.count_include_pad or module.divisor_override:
                    raise NoCounterpart(path, "means of another number at the border", "count_include_pad=True, or no padding")
                stride = _pair(module.stride or module.kernel_size)
                kernel, padding = _pair(module.kernel_size), _pair(module.padding)
                self._add(node, path, "avg_pool", [source], kernel=kernel, stride=stride, padding=padding)
            case nn.MaxPool2d():
                self._plain_pool(path, module)
                if _pair(module.dilation) != [1, 1] or module.return_indices:
                    raise NoCounterpart(path, "a dilated max pool, or one with indices", "dilation=1, return_indices=False")
                stride = _pair(module.stride or module.kernel_size)
                kernel, padding = _pair(module.kernel_size), _pair(module.padding)
                self._add(node, path, "max_pool", [source], kernel=kernel, stride=stride, padding=padding)
                self._mask(path)
            case nn.AdaptiveAvgPool2d():
                self._adaptive(node, path, source)
            case nn.Flatten() if (module.start_dim, module.end_dim) == (1, -1):
                self._flatten(node, path, source)
            case nn.Identity() | nn.Dropout() | nn.Dropout2d() | nn.Dropout1d():
                self._same(node, source)
            case _:
                kind = type(module).__name__
                raise NoCounterpart(path, f"{kind} has no counterpart in a spiking network", REMEDIES.get(kind, _OTHER))

    def _mask(self, path: str) -> None:
        if path in self.masks:
            self.nodes[-1]["mask"] = self.masks.pop(path)

    def _conv(self, node: fx.Node, path: str, module: nn.Conv2d) -> None:
        depthwise = module.groups == module.in_channels == module.out_channels
        if module.groups != 1 and not depthwise:
            found = f"{module.groups} groups, for {module.in_channels} inputs and {module.out_channels} outputs (1 and depthwise convert)"
            remedy = "make it a convolution of one group whose weight is 0 outside the groups, which computes the same"
            raise NoCounterpart(path, found, remedy)
        if _pair(module.dilation) != [1, 1]:
            remedy = "make it a convolution of a larger kernel with zeros between its weights, which computes the same, or train without dilation"
            raise NoCounterpart(path, f"a dilation of {module.dilation}", remedy)
        if module.padding_mode != "zeros":
            raise NoCounterpart(path, f"padding_mode {module.padding_mode!r}", "train with padding of zeros")
        padding = {"valid": [0, 0], "same": [size // 2 for size in module.kernel_size]}.get(module.padding, module.padding)
        if module.padding == "same" and not all(size % 2 for size in module.kernel_size):
            raise NoCounterpart(path, "padding 'same' of an even kernel", "pad both sides alike: padding=N")
        groups = {"groups": module.groups} if depthwise and module.groups > 1 else {}
        name = self._add(node, path, "conv", [node.args[0]], stride=list(module.stride), padding=list(padding), **groups)
        self._keep(name, weight=module.weight, bias=module.bias)

    @staticmethod
    def _plain_pool(path: str, module: nn.AvgPool2d | nn.MaxPool2d) -> None:
        if module.ceil_mode:
            raise NoCounterpart(path, "a pool with ceil_mode", "ceil_mode=False, or padding, and train again")

    def _adaptive(self, node: fx.Node, path: str, source: fx.Node) -> None:
        """A mean where one position is left, else a pool where all windows are of one size."""
        rows, columns = self._shape(source)[-2:]
        left = self._shape(node)[-2:]
        if rows % left[0] or columns % left[1]:
            found = f"{rows}x{columns} positions do not split evenly into {left[0]}x{left[1]}"
            raise NoCounterpart(path, found, "nn.AvgPool2d with one kernel for all windows, and train again")
        if tuple(left) == (1, 1):
            self._add(node, path, "mean", [source])
        elif (rows, columns) == tuple(left):
            self._same(node, source)
        else:
            kernel = [rows // left[0], columns // left[1]]
            self._add(node, path, "avg_pool", [source], kernel=kernel, stride=kernel)

    def _flatten(self, node: fx.Node, path: str, source: fx.Node) -> None:
        if len(self._shape(source)) == 2:
            self._same(node, source)
        else:
            self._add(node, path, "flatten", [source])

    # Functions and methods.

    def _function(self, node: fx.Node) -> None:
        kind = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
        path, source = self._path(node), node.args[0] if node.args else None
        tensors = [value for value in node.args if isinstance(value, fx.Node) and "tensor_meta" in value.meta]
        if node.target in (operator.add, operator.iadd, torch.add) or kind in ("add", "add_"):
            if len(tensors) != 2 or node.kwargs.get("alpha", 1) != 1 or len({self._shape(tensor) for tensor in tensors}) != 1:
                raise NoCounterpart(path, "a sum of other things than two tensors of one shape", "a bias, or gains of batch norm, do that")
            self._add(node, path, "add", tensors)
        elif kind == "flatten" and self._shape(node) == (len_of(self._shape(source)),):
            raise NoCounterpart(path, "images of a batch flattened together", "torch.flatten(x, 1)")
        elif kind in ("flatten", "view", "reshape"):
            batch, *rest = self._shape(source)
            if self._shape(node) != (batch, len_of(rest)):
                found = f"{list(self._shape(source))} as {list(self._shape(node))}"
                raise NoCounterpart(path, found, "torch.flatten(x, 1) is the one change of shape that converts")
            self._flatten(node, path, source)
        elif kind == "mean":
            self._mean(node, path, source)
        elif kind == "adaptive_avg_pool2d":
            self._adaptive(node, path, source)
        elif kind in ("dropout", "dropout2d", "contiguous"):
            self._same(node, source)
        elif kind in ("size", "getattr", "getitem") and "tensor_meta" not in node.meta:
            # A shape, which `view` reads; it has no node.
            pass
        else:
            raise NoCounterpart(path, f"{kind} has no counterpart in a spiking network", REMEDIES.get(kind, _OTHER))

    def _mean(self, node: fx.Node, path: str, source: fx.Node) -> None:
        shape = self._shape(source)
        kept = self._shape(node)
        if len(shape) != 4 or len_of(kept) != shape[0] * shape[1] or kept[:2] != shape[:2]:
            raise NoCounterpart(path, f"a mean of {list(shape)} to {list(kept)}", "x.mean((2, 3)), over all positions")
        self._add(node, path, "mean", [source])


def len_of(shape: torch.Size | list[int]) -> int:
    """Elements of a tensor of this shape."""
    product = 1
    for size in shape:
        product *= size
    return product


def trace(network: nn.Module, image_shape: tuple[int, int, int], masks: dict[str, dict | float] | None = None) -> Graph:
    """The graph of a network that takes images [channels, rows, columns].

    `masks` says what masks activations have, by path: a share of spikes, or an object of `label`, `ratio` and `shared`.
    """
    if network.training:
        raise ValueError("a network in training mode: call eval() first")
    return Graph(network, image_shape, masks or {})


@torch.no_grad()
def save(
    path: Path,
    network: nn.Module,
    images: torch.Tensor,
    *,
    name: str,
    mean: float | list[float] = 0.0,
    std: float | list[float] = 1.0,
    class_names: tuple[str, ...] = (),
    masks: dict[str, dict | float] | None = None,
    training: dict | None = None,
    weights: torch.dtype = torch.float32,
    nodes=None,
) -> None:
    """Writes the graph of `network`, which takes `(byte / 255 - mean) / std`; `images` [count, channels, rows, columns] of bytes become its example.

    Convolutions and linear layers keep their weights as `weights`; the example is that of the network as it is. `nodes` has the `nodes` and `tensors` of a
    network that is not to be traced.
    """
    _, channels, height, width = images.shape
    graph = nodes or trace(network, (channels, height, width), masks)
    logits = network(normalised(images, mean, std))
    header = {
        "version": VERSION,
        "name": name,
        "image": {"height": height, "width": width, "channels": channels},
        "input": {"mean": mean, "std": std},
        "classes": logits.shape[1],
        **({"class_names": class_names} if class_names else {}),
        "nodes": graph.nodes,
        "example": {"pixels": images.flatten(1).tolist(), "logits": logits.tolist()},
        "training": training or {},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    kept = {name: value.to(weights) if value.ndim > 1 else value for name, value in graph.tensors.items()}
    save_file(kept, partial, {"mst-graph": json.dumps(header)})
    os.replace(partial, path)


def normalised(images: torch.Tensor, mean: float | list[float] = 0.0, std: float | list[float] = 1.0) -> torch.Tensor:
    """Bytes as what a network takes; `mean` and `std` are one number, or one a channel."""
    mean, std = (torch.tensor(value).view(1, -1, 1, 1) for value in (mean, std))
    return (images.float() / 255 - mean) / std
