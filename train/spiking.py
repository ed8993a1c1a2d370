"""The spiking network in PyTorch, time step by time step, written apart from the converter and the Rust reference.

`from_checkpoint` builds it with the checkpoint's float weights, `from_network` with the integers of a converted network. Both give a
list of layers, which `run` evaluates; how a layer fires is an argument: an integrate-and-fire neuron of SpikingJelly, the same
in plain PyTorch, or the two-phase neuron.

Shapes: T time steps, B images, N tokens, C channels. A plane of spikes is [T, B, N, C] with tokens in raster order; the one of
scores has a token for each head, window and query, in this order, and a channel for each key.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open

from network import partition_windows, relative_positions, reverse_windows, same_region


@dataclass
class Layer:
    """One layer: `drive = bias + weight * spikes`, or `bias + scale * coincidences` for scores and context."""

    name: str
    op: str  # analog, dense, merge, shortcut, scores, context, readout
    inputs: list[int]
    rows: int
    columns: int
    theta: torch.Tensor | None = None  # a scalar, or one a channel (scores: one a head)
    start: torch.Tensor | None = None  # initial membrane, like theta
    weight: torch.Tensor | None = None  # [out, in]; shortcut: [planes, C]; analog: of pixels 0..255
    bias: torch.Tensor | None = None  # [out]; scores: [heads, positions]
    scale: float = 1.0
    heads: int = 1
    window: tuple[int, int] | None = None  # size and shift
    patch: int = 1
    spread: bool = False  # bit-reversed instead of ascending slots
    rotate: int = 1

    def token_index(self) -> torch.Tensor:
        """What rotation counts: a token's place in its window, or in raster order; for scores and context the query's."""
        if self.window is None:
            return torch.arange(self.rows * self.columns)
        size, shift = self.window
        if self.op == "scores":
            return torch.arange(size * size).repeat(self.heads * self.rows * self.columns // (size * size))
        place = torch.arange(size * size).repeat(self.rows * self.columns // (size * size)).view(1, -1, size * size, 1)
        return reverse_windows(place, size, shift, self.rows, self.columns).flatten()


@dataclass
class Network:
    layers: list[Layer]
    thresholds: list[float] = field(default_factory=list)  # what a spike of each layer stands for


Fire = Callable[[Layer, torch.Tensor], torch.Tensor]


def from_checkpoint(path: Path) -> Network:
    """Batch norms folded into weights, thresholds as they are."""
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["mst"])
        if header.keys() & {"mean", "std"}:
            raise ValueError(f"{path}: it normalises pixels by mean and std, which is not built here")
        tensors = {name: file.get_tensor(name).double() for name in file.keys()}
    image, patch, dims, window = header["image"], header["patch"], header["dims"], header["window"]
    network = Network([])

    def add(layer: Layer, threshold: str) -> int:
        layer.theta = tensors[threshold].float().squeeze()
        layer.start = layer.theta / 2
        network.layers.append(layer)
        network.thresholds.append(layer.theta.item())
        return len(network.layers) - 1

    def affine(name: str, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Gain and offset of a batch norm, which may be missing."""
        if f"{name}.weight" not in tensors:
            return torch.ones(channels).double(), torch.zeros(channels).double()
        part = {key: tensors[f"{name}.{key}"] for key in ("weight", "bias", "running_mean", "running_var")}
        gain = part["weight"] / (part["running_var"] + header["bn_eps"]).sqrt()
        return gain, part["bias"] - gain * part["running_mean"]

    def linear(name: str, unit: float, **where) -> int:
        weight = tensors[f"{name}.weight"]
        gain, offset = affine(f"{name}.bn", len(weight))
        offset = offset + gain * tensors.get(f"{name}.bias", torch.zeros(len(weight)).double())
        weight = (gain[:, None] * weight * unit).float()
        return add(Layer(name=name, weight=weight, bias=offset.float(), **where), f"{name}.threshold")

    def norm(name: str, stream: list[int], **where) -> int:
        gain, offset = affine(name, 0)
        units = torch.tensor([network.thresholds[i] for i in stream]).double()
        layer = Layer(name=name, op="shortcut", inputs=list(stream), weight=(units[:, None] * gain).float(), bias=offset.float(), **where)
        return add(layer, f"{name}.threshold")

    rows, columns = image["height"] // patch, image["width"] // patch
    stream = [linear("patch_embed", 1 / 255, op="analog", inputs=[], rows=rows, columns=columns, patch=patch)]
    unit = network.thresholds
    for stage, (dim, depth, heads) in enumerate(zip(dims, header["depths"], header["heads"])):
        grid = {"rows": rows, "columns": columns}
        for block in range(depth):
            name = f"stages.{stage}.blocks.{block}"
            shift = window // 2 if block % 2 and min(rows, columns) > window else 0
            inside = {**grid, "window": (window, shift)}
            h = norm(f"{name}.norm1", stream, **grid)
            k = linear(f"{name}.attn.k", unit[h], op="dense", inputs=[h], **inside)
            v = linear(f"{name}.attn.v", unit[h], op="dense", inputs=[h], **inside)
            q = linear(f"{name}.attn.q", unit[h], op="dense", inputs=[h], **inside, spread=True, rotate=3)
            scale, bias = unit[q] * unit[k] / (dim // heads) ** 0.5, tensors[f"{name}.attn.bias_table"].T.float()
            scores = Layer(f"{name}.attn.scores", "scores", [q, k], bias=bias, scale=scale, heads=heads, **inside, spread=True, rotate=3)
            a = add(scores, f"{name}.attn.score_threshold")
            context = Layer(f"{name}.attn.context", "context", [a, v], scale=unit[a] * unit[v], heads=heads, **inside)
            c = add(context, f"{name}.attn.context_threshold")
            stream.append(linear(f"{name}.attn.proj", unit[c], op="dense", inputs=[c], **grid))
            h = norm(f"{name}.norm2", stream, **grid)
            f = linear(f"{name}.mlp.fc1", unit[h], op="dense", inputs=[h], **grid)
            stream.append(linear(f"{name}.mlp.fc2", unit[f], op="dense", inputs=[f], **grid))
        if stage + 1 < len(dims):
            h = norm(f"stages.{stage}.merge.norm", stream, **grid)
            rows, columns = rows // 2, columns // 2
            stream = [linear(f"stages.{stage}.merge.reduction", unit[h], op="merge", inputs=[h], rows=rows, columns=columns)]
    h = norm("head.norm", stream, rows=rows, columns=columns)
    weight, bias = tensors["head.weight"] * unit[h] / (rows * columns), tensors["head.bias"]
    network.layers.append(Layer("head", "readout", [h], rows, columns, weight=weight.float(), bias=bias.float()))
    return network


def from_network(path: Path) -> Network:
    """The integers of a network file of version 1, as doubles: sums of integers are exact."""
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["mst-network"])["network"]
        tensors = {name: file.get_tensor(name).double() for name in file.keys()}
    layers = []
    for index, found in enumerate(header["layers"]):
        operation, walk = found["operation"], found["walk"]
        kind = operation["op"]
        part = {name: tensors.get(f"{index}.{name}") for name in ("weights", "gains", "bias", "theta", "v0")}
        layer = Layer(found["name"], kind, [], found["grid"]["rows"], found["grid"]["columns"], part["theta"], part["v0"])
        layer.bias, layer.rotate, layer.spread = part["bias"], found["rotate"], found["order"] == "spread"
        if found["order"] not in ("identity", "spread"):
            raise ValueError(f"{path}: layer `{layer.name}` has slot order {found['order']}, allowed: identity, spread")
        if walk != "raster":
            layer.window = (walk["windows"]["size"], walk["windows"]["shift"])
        if kind in ("analog", "dense", "readout"):
            layer.weight = part["weights"].view(operation["weights"]["outputs"], -1)
        if kind == "analog":
            if operation["patch"]["padding"] or operation["patch"]["stride"] != operation["patch"]["kernel"]:
                raise ValueError(f"{path}: layer `{layer.name}` has overlapping or padded patches")
            layer.patch = operation["patch"]["kernel"]
        elif kind == "shortcut":
            layer.inputs, layer.weight = operation["inputs"], part["gains"].view(len(operation["inputs"]), -1)
        elif kind in ("scores", "context"):
            layer.inputs = [operation[name] for name in (("query", "key") if kind == "scores" else ("scores", "value"))]
            layer.heads, layer.scale = operation["heads"], float(1 << operation["fraction"])
            if kind == "scores":
                layer.bias = layer.bias.view(layer.heads, -1)
        else:
            layer.inputs = [operation["input"]]
            layer.op = "merge" if operation.get("gather") == "merge" else kind
        layers.append(layer)
    return Network(layers)


def drive(layer: Layer, images: torch.Tensor, time_steps: int, planes: list[torch.Tensor]) -> torch.Tensor:
    """[T, B, N, C], without the initial membrane."""
    inputs = [planes[i] for i in layer.inputs]
    if layer.op == "analog":
        patches = F.pixel_unshuffle(images.to(layer.weight.dtype), layer.patch).flatten(2).transpose(1, 2)
        return F.linear(patches, layer.weight, layer.bias).expand(time_steps, -1, -1, -1)
    if layer.op == "merge":
        x = inputs[0].unflatten(2, (layer.rows, 2, layer.columns, 2)).transpose(3, 4)
        inputs = [x.reshape(*x.shape[:2], layer.rows * layer.columns, -1)]
    if layer.op in ("dense", "merge"):
        return F.linear(inputs[0], layer.weight, layer.bias)
    if layer.op == "shortcut":
        total = layer.bias
        for plane, gain in zip(inputs, layer.weight):
            total = torch.addcmul(total, plane, gain)
        return total
    size, shift = layer.window

    def by_head(x: torch.Tensor) -> torch.Tensor:
        """[T, B, N, C] -> [T * B, heads, windows, W, C / heads]"""
        x = partition_windows(x.flatten(0, 1).unflatten(1, (layer.rows, layer.columns)), size, shift)
        return x.unflatten(3, (layer.heads, -1)).permute(0, 3, 1, 2, 4)

    if layer.op == "scores":
        q, k = map(by_head, inputs)
        sums = q @ k.transpose(-2, -1) * layer.scale
        sums = sums + layer.bias[:, relative_positions(size)][:, None]
        return sums.flatten(1, 3).unflatten(0, (time_steps, -1))
    scores = inputs[0].flatten(0, 1).unflatten(1, (layer.heads, -1, size * size))
    sums = scores @ by_head(inputs[1]) * layer.scale
    sums = sums.permute(0, 2, 3, 1, 4).flatten(3)
    return reverse_windows(sums, size, shift, layer.rows, layer.columns).flatten(1, 2).unflatten(0, (time_steps, -1))


def of_plane(values: torch.Tensor, layer: Layer) -> torch.Tensor:
    """Values of a layer's neurons in a shape that broadcasts over [B, N, C]: those of scores are one a head."""
    if layer.op == "scores" and values.ndim:
        return values.repeat_interleave(layer.rows * layer.columns)[:, None]
    return values


def integrate_and_fire(layer: Layer, drives: torch.Tensor) -> torch.Tensor:
    """`u = v + drive(t); s = (u >= theta); v = u - s * theta`."""
    theta, v = of_plane(layer.theta, layer), of_plane(layer.start, layer)
    spikes = []
    for step in drives:
        u = v + step
        spikes.append((u >= theta).to(drives.dtype))
        v = u - spikes[-1] * theta
    return torch.stack(spikes)


def two_phase(layer: Layer, drives: torch.Tensor) -> torch.Tensor:
    """All drives first, then T threshold steps; step k of token n fires in slot `(order[k] + rotate * n) mod T`."""
    steps = len(drives)
    theta, v = of_plane(layer.theta, layer), of_plane(layer.start, layer) + drives.sum(0)
    count = torch.floor(v / theta).clamp(0, steps)
    size = 1 << (steps - 1).bit_length()
    reverse = lambda k: int(format(k, f"0{size.bit_length() - 1}b")[::-1], 2) if size > 1 else 0
    order = [slot for k in range(size) if (slot := reverse((k + 1) % size)) < steps] if layer.spread else list(range(steps))
    step_of_slot = torch.tensor([order.index(slot) for slot in range(steps)])
    # [T, N]: which threshold step a token takes in a slot.
    taken = step_of_slot[(torch.arange(steps)[:, None] - layer.rotate * layer.token_index()) % steps]
    return (count > taken[:, None, :, None]).to(drives.dtype)


def run(
    network: Network, images: torch.Tensor, time_steps: int, fire: Fire, given: dict[str, torch.Tensor] | None = None
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Spikes of all layers by name, and logits, of images [B, channels, rows, columns] of bytes.

    With `given`, each layer reads these planes instead of those that earlier layers fired.
    """
    planes, fired = [], {}
    for layer in network.layers[:-1]:
        spikes = fire(layer, drive(layer, images, time_steps, planes))
        if layer.op == "scores":
            # Pairs that only the cyclic shift made neighbours never fire.
            allowed = same_region(layer.rows, layer.columns, *layer.window).repeat(layer.heads, 1, 1)
            spikes = spikes * allowed.flatten(0, 1)
        fired[layer.name] = spikes
        planes.append(given[layer.name] if given else spikes)
    head = network.layers[-1]
    total = planes[head.inputs[0]].sum((0, 2))
    return fired, F.linear(total, head.weight) + time_steps * head.bias
