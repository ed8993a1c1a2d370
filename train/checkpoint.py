"""The exported checkpoint: float32 tensors in one safetensors file, the architecture as JSON in its metadata; networks of
convolutions, and transformers with a reduction, are graph files."""

import dataclasses
import json
import os
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

import convolutional
import dataset
import transformer
from masking import SpikeMask, draws_of
from network import Architecture, MaskedSpikingTransformer, SpikingNetwork

FORMAT, VERSION = "mst-checkpoint", 1
# What the modules of `network.py` compute: nothing in the names of tensors would tell.
KINDS = {"activation": "qcfs", "attention": "qcfs", "norm": "batch_norm", "residual": "add"}


def tensors(network: MaskedSpikingTransformer) -> dict[str, torch.Tensor]:
    """Parameters and running statistics by exported name; a threshold itself instead of its logarithm."""
    exported = {}
    for name, value in network.state_dict().items():
        if name.endswith("threshold.log"):
            name, value = name.removesuffix(".log"), value.exp()
        exported[name] = value.detach().float().contiguous()
    return exported


def mask_of(layer: str, mask: SpikeMask) -> float | dict:
    """A mask in the header."""
    return {"ratio": mask.ratio, "shared": True, **draws_of(layer)} if mask.shared else mask.ratio


@torch.no_grad()
def example(network: MaskedSpikingTransformer, images: torch.Tensor) -> dict:
    """Images [count, channels, rows, columns] of bytes and their logits: what shows a reader that it computes the same.

    Logits are those of expected activations: masks pass on what survives on average, spike trains meet as often as on average.
    """
    logits = network.expected()(dataset.to_pixels(images))
    return {"pixels": images.flatten(1).tolist(), "logits": logits.tolist()}


def save(
    path: Path, network: SpikingNetwork, training: dict, images: torch.Tensor, class_names: tuple[str, ...] = ()
) -> None:
    """Writes the file in one step, so that a reader never sees half of it; `images` become its example."""
    if isinstance(network, convolutional.Convolutional):
        return convolutional.save(path, network, training, images, class_names)
    if network.reduction:
        return transformer.save(path, network, training, images, class_names)
    exported = tensors(network)
    fields = {name: value for name, value in dataclasses.asdict(network.arch).items() if name != "reduction"}
    image = {name: fields.pop(name) for name in ("height", "width", "channels")}
    thresholds = {name: value.item() for name, value in exported.items() if name.endswith("threshold")}
    masks = {layer: mask_of(layer, mask) for layer, mask in network.masks().items() if mask.ratio}
    header = {"format": FORMAT, "version": VERSION, "image": image, **fields}
    header |= {**KINDS, "thresholds": thresholds, "masks": masks, "training": training}
    header |= {"class_names": class_names} if class_names else {}
    header["example"] = example(network, images)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(exported, partial, {"mst": json.dumps(header)})
    os.replace(partial, path)


def load_graph(path: Path, file) -> tuple[SpikingNetwork, dict]:
    """The network of a graph file that `save` wrote."""
    header = json.loads(file.metadata()["mst-graph"])
    kind = header.get("training", {}).get("network", {}).get("kind")
    if kind != transformer.KIND and kind not in convolutional.KINDS:
        raise ValueError(f"{path}: no network that train.py made; others are exported with graph.save and not read again")
    tensors = {name: file.get_tensor(name).float() for name in file.keys()}
    return (transformer if kind == transformer.KIND else convolutional).load(tensors, header), header


def load(path: Path) -> tuple[SpikingNetwork, dict]:
    """The network, in evaluation mode, and the header; also of a graph file that `save` wrote."""
    with safe_open(path, "pt") as file:
        if "mst-graph" in (file.metadata() or {}):
            return load_graph(path, file)
        header = json.loads((file.metadata() or {}).get("mst", "{}"))
        if (header.get("format"), header.get("version")) != (FORMAT, VERSION):
            raise ValueError(f"{path}: format {header.get('format')} version {header.get('version')}, not {FORMAT} {VERSION}")
        if header.keys() & {"mean", "std"}:
            raise ValueError(f"{path}: it normalises pixels by mean and std, and networks of train/ take them as bytes / 255")
        state = {name: file.get_tensor(name) for name in file.keys()}
    names = {field.name for field in dataclasses.fields(Architecture)}
    fields = {name: value for name, value in {**header, **header["image"]}.items() if name in names}
    arch = Architecture.of(fields)
    for name in [name for name in state if name.endswith("threshold")]:
        state[name + ".log"] = state.pop(name).log()
    network = MaskedSpikingTransformer(arch)
    network.load_state_dict(state)
    masks = {layer: mask if isinstance(mask, dict) else {"ratio": mask} for layer, mask in header.get("masks", {}).items()}
    network.set_masks({layer: mask["ratio"] for layer, mask in masks.items()})
    if any(mask.get("shared") for mask in masks.values()):
        network.share_masks()
    return network.eval(), header
