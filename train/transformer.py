"""The Masked Spiking Transformer as a graph: for what the checkpoint format does not have, a reduction in front of the patches."""

from dataclasses import asdict
from pathlib import Path

import torch

import graph
from masking import MATRICES, SpikeMask, draws_of
from network import Architecture, MaskedSpikingTransformer, Qcfs, SpikingLinear, SpikingNorm, TokenBatchNorm

# What files call it.
KIND = "mst"


class Nodes:
    """Nodes and tensors, named as a converted checkpoint names them."""

    def __init__(self, network: MaskedSpikingTransformer):
        self.network = network
        self.nodes: list[dict] = []
        self.tensors: dict[str, torch.Tensor] = {}
        # Where each tensor is kept in the network, and how its threshold is.
        self.places: dict[str, str] = {}
        self.modules = {module: name for name, module in network.named_modules()}
        self._network()

    def _add(self, name: str, op: str, inputs: list[str], **attributes) -> str:
        self.nodes.append({"name": name, "op": op, "inputs": inputs, **attributes})
        return name

    def _keep(self, name: str, value: torch.Tensor, place: str) -> None:
        self.tensors[name], self.places[name] = value.detach().float().clone().contiguous(), place

    def _mask(self, layer: str, mask: SpikeMask | None) -> dict:
        if mask is None:
            return {}
        found = {"ratio": mask.ratio, "shared": mask.shared}
        found["label"] = next(label for label, part in MATRICES.items() if layer.endswith(f".{part}"))
        found |= draws_of(layer) if mask.shared else {}
        return {"mask": found}

    def _norm(self, name: str, norm: TokenBatchNorm, source: str) -> str:
        self._add(name, "batch_norm", [source], eps=norm.eps)
        for part in ("weight", "bias", "running_mean", "running_var"):
            self._keep(f"{name}.{part}", getattr(norm, part), f"{self.modules[norm]}.{part}")
        return name

    def _activation(self, name: str, site: Qcfs, source: str, mask: SpikeMask | None = None) -> str:
        self._add(name, "qcfs", [source], levels=site.levels, **self._mask(name, mask))
        self._keep(f"{name}.threshold", site.value(), f"{self.modules[site]}.log")
        return name

    def _linear(self, name: str, layer: SpikingLinear, source: str, masked: bool = False) -> str:
        self._add(f"{name}.linear", "linear", [source])
        self._keep(f"{name}.linear.weight", layer.weight, f"{self.modules[layer]}.weight")
        return self._activated(name, layer, f"{name}.linear", masked)

    def _conv(self, name: str, layer: SpikingLinear, source: str, kernel: int) -> str:
        """A kernel as large as its stride."""
        self._add(f"{name}.conv", "conv", [source], stride=kernel)
        self._keep(f"{name}.conv.weight", layer.weight.unflatten(1, (-1, kernel, kernel)), f"{self.modules[layer]}.weight")
        return self._activated(name, layer, f"{name}.conv", False)

    def _activated(self, name: str, layer: SpikingLinear, source: str, masked: bool) -> str:
        normed = self._norm(f"{name}.bn", layer.bn, source)
        return self._activation(name, layer.threshold, normed, layer.mask if masked else None)

    def _spiking_norm(self, name: str, norm: SpikingNorm, source: str) -> str:
        return self._activation(name, norm.threshold, self._norm(f"{name}.bn", norm, source))

    def _network(self) -> None:
        network = self.network
        stream = self._add("image", "input", [])
        if network.reduction:
            stream = self._conv("reduction", network.reduction, stream, 1)
        stream = self._conv("patch_embed", network.patch_embed, stream, network.arch.patch)
        for index, stage in enumerate(network.stages):
            for number, block in enumerate(stage.blocks):
                stream = self._block(f"stages.{index}.blocks.{number}", block, network.arch.heads[index], stream)
            if stage.merge:
                name = f"stages.{index}.merge"
                merged = self._add(name, "merge", [self._spiking_norm(f"{name}.norm", stage.merge.norm, stream)])
                stream = self._linear(f"{name}.reduction", stage.merge.reduction, merged)
        mean = self._add("head.mean", "mean", [self._spiking_norm("head.norm", network.head.norm, stream)])
        self._add("head", "linear", [mean])
        for part in ("weight", "bias"):
            self._keep(f"head.{part}", getattr(network.head, part), f"head.{part}")

    def _block(self, name: str, block: torch.nn.Module, heads: int, stream: str) -> str:
        attention = block.attn
        normed = self._spiking_norm(f"{name}.norm1", block.norm1, stream)
        key = self._linear(f"{name}.attn.k", attention.k, normed, masked=True)
        value = self._linear(f"{name}.attn.v", attention.v, normed)
        query = self._linear(f"{name}.attn.q", attention.q, normed, masked=True)
        sizes = {"window": attention.window, "shift": attention.shift, "heads": heads}
        mask = self._mask(f"{name}.attn.scores", attention.score_mask)
        levels = attention.score_threshold.levels
        context = self._add(f"{name}.attn", "attention", [query, key, value], **sizes, activation="qcfs", levels=levels, **mask)
        self._keep(f"{context}.bias_table", attention.bias_table, f"{self.modules[attention]}.bias_table")
        for part in ("score_threshold", "context_threshold"):
            site = getattr(attention, part)
            self._keep(f"{context}.{part}", site.value(), f"{self.modules[site]}.log")
        proj = self._linear(f"{name}.attn.proj", attention.proj, context)
        stream = self._add(f"{name}.attn.add", "add", [stream, proj])
        hidden = self._linear(f"{name}.mlp.fc1", block.mlp.fc1, self._spiking_norm(f"{name}.norm2", block.norm2, stream), masked=True)
        out = self._linear(f"{name}.mlp.fc2", block.mlp.fc2, hidden)
        return self._add(f"{name}.mlp.add", "add", [stream, out])


@torch.no_grad()
def save(path: Path, network: MaskedSpikingTransformer, training: dict, images: torch.Tensor, class_names: tuple[str, ...] = ()) -> None:
    """Writes the graph file; `images` become its example, with what masks leave on average."""
    expected = network.expected()
    training = {**training, "network": {"kind": KIND, **asdict(network.arch)}}
    graph.save(path, expected, images, name=path.stem, class_names=class_names, training=training, nodes=Nodes(expected))


def load(tensors: dict[str, torch.Tensor], header: dict) -> MaskedSpikingTransformer:
    """The network of a file that `save` wrote, in evaluation mode."""
    fields = {name: value for name, value in header["training"]["network"].items() if name != "kind"}
    network = MaskedSpikingTransformer(Architecture.of(fields))
    state = network.state_dict()
    places = Nodes(network).places
    if tensors.keys() != places.keys():
        raise ValueError(f"tensors of another network: {', '.join(sorted(tensors.keys() ^ places.keys()))}")
    for name, place in places.items():
        value = tensors[name].log() if place.endswith(".log") else tensors[name]
        state[place] = value.view_as(state[place])
    network.load_state_dict(state)
    masks = {node["name"]: node["mask"] for node in header["nodes"] if "mask" in node}
    masks = {name + ".scores" if name.endswith(".attn") else name: mask for name, mask in masks.items()}
    network.set_masks({layer: mask["ratio"] for layer, mask in masks.items() if mask["ratio"]})
    if any(mask["shared"] for mask in masks.values()):
        network.share_masks()
    return network.eval()
