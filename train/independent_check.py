"""Compares every spike of the Rust reference with a simulation in PyTorch that shares no code with it.

Three runs of `spiking.py` over the same images, layer by layer:

    integers   the converted network's integers: every spike must be equal
    same in    the checkpoint's floats, each layer reading the reference's spikes: what differs was rounded across a threshold
    end to end the checkpoint's floats, each layer reading its own predecessors: differences add up from layer to layer

A count differs `same in` only where the float membrane lies close to a multiple of the threshold; `margin` is the largest distance,
in thresholds, at which one differs, and `bound` the largest that rounding of weights, bias and threshold can explain there.
Needs the network, its checkpoint, and `gen spikes NET --out SPIKES --neuron MODE`; exits with 1 if a spike of `integers` differs or
a margin exceeds its bound.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors import safe_open

import dataset
import spiking


def read_spikes(path: Path) -> tuple[dict[str, torch.Tensor], torch.Tensor, dict]:
    """Planes [T, B, N, C] by layer, logits, and the file's metadata."""
    with safe_open(path, "pt") as file:
        facts = {name: value if name == "network" else int(value) for name, value in file.metadata().items()}
        bits = torch.arange(facts["time_steps"])
        planes = {
            name: (file.get_tensor(name)[..., bits // 8] >> (bits % 8) & 1).movedim(-1, 0)
            for name in file.keys()
            if name != "logits"
        }
        return planes, file.get_tensor("logits"), facts


def spikejelly_or_own(name: str, network: spiking.Network) -> spiking.Fire:
    """SpikingJelly's neuron for float `if` runs, if it is installed; the two-phase neuron is not in any library."""
    if name == "two_phase":
        return spiking.two_phase
    try:
        from peers import Neurons
    except ImportError:
        print("SpikingJelly is not installed: its IF neuron is replaced by the same in plain PyTorch", file=sys.stderr)
        return spiking.integrate_and_fire
    return Neurons(network)


def rounding_bound(float_layer: spiking.Layer, layer: spiking.Layer, steps: int, active: torch.Tensor) -> torch.Tensor:
    """Largest difference of the scaled membrane, in thresholds, that rounding explains; [B, N, C].

    Weights, bias, threshold and initial membrane are off by half a unit, and a unit is one `theta`-th of the threshold; `active` is
    the number of weights added, over all time steps.
    """
    theta = spiking.of_plane(layer.theta, layer)
    # A threshold off by half a unit moves its T-th multiple by T times that.
    return 0.5 * (active + steps + 1 + steps) / theta


def active_inputs(layer: spiking.Layer, images: torch.Tensor, steps: int, planes: list[torch.Tensor]) -> torch.Tensor:
    """Weights (or pixels times weights) that a neuron adds up in all time steps: a drive with all weights 1."""
    if layer.op in ("scores", "context"):
        return torch.zeros(())  # coincidences are exact
    ones = spiking.Layer(**{**layer.__dict__, "weight": torch.ones_like(layer.weight), "bias": torch.zeros_like(layer.bias)})
    return spiking.drive(ones, images, steps, planes).sum(0)


@torch.inference_mode()
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("network", type=Path, help="made from the checkpoint by `gen convert`")
    parser.add_argument("spikes", type=Path, help="written by `gen spikes`")
    parser.add_argument("--neuron", choices=("if", "two_phase"), required=True, help="that the spikes were made with")
    parser.add_argument("--data", type=Path, required=True, help="folder of the idx.gz files")
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="file for the table")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    reference, logits, facts = read_spikes(args.spikes)
    steps, count = facts["time_steps"], len(logits)
    images = dataset.load(args.data, "test")[0][facts["first"] :][:count]
    exact, floats = spiking.from_network(args.network), spiking.from_checkpoint(args.checkpoint)
    own = {"if": spiking.integrate_and_fire, "two_phase": spiking.two_phase}[args.neuron]
    peer = spikejelly_or_own(args.neuron, floats)
    names = [layer.name for layer in exact.layers]
    if names != [layer.name for layer in floats.layers] or set(names[:-1]) != set(reference):
        raise ValueError(f"{args.network}, {args.checkpoint} and {args.spikes} do not have the same layers")

    rows = {name: {"spikes": 0, "cells": 0, "integers": 0, "same in": 0, "end to end": 0, "margin": 0.0, "bound": 0.0} for name in names[:-1]}
    equal_logits, beyond = 0, 0
    for first in range(0, count, args.batch):
        batch = images[first : first + args.batch]
        given = {name: plane[:, first : first + args.batch].float() for name, plane in reference.items()}
        fired, sums = spiking.run(exact, batch, steps, own)
        equal_logits += (sums == logits[first : first + args.batch]).all(1).sum().item()
        runs = {
            "integers": fired,
            "same in": spiking.run(floats, batch, steps, peer, given)[0],
            "end to end": spiking.run(floats, batch, steps, peer)[0],
        }
        planes = [given[name] for name in names[:-1]]
        for layer, integer in zip(floats.layers[:-1], exact.layers):
            row, plane = rows[layer.name], given[layer.name]
            row["spikes"] += int(plane.sum().item())
            row["cells"] += plane.numel()
            for run, result in runs.items():
                row[run] += (result[layer.name] == plane).sum().item()
            # Two-phase neurons: how close to the next threshold step a neuron is whose count differs.
            differs = runs["same in"][layer.name].sum(0) != plane.sum(0)
            if args.neuron == "two_phase" and differs.any():
                v = (layer.start + spiking.drive(layer, batch, steps, planes).double().sum(0)) / layer.theta
                distance = (v - v.round()).abs()
                active = active_inputs(layer, batch, steps, planes)
                bound = rounding_bound(layer, integer, steps, active).expand_as(distance)
                beyond += (distance > bound)[differs].sum().item()
                worst = torch.where(differs, distance, -1.0).argmax()
                if distance.flatten()[worst] > row["margin"]:
                    row["margin"], row["bound"] = distance.flatten()[worst].item(), bound.flatten()[worst].item()

    shares = ("integers", "same in", "end to end")
    print(f"{args.neuron}, T = {steps}, {count} images; share of equal spikes and silences, %\n")
    print(f"{'layer':<32}{'rate %':>8}" + "".join(f"{name:>12}" for name in shares) + f"{'margin':>9}{'bound':>8}")
    for name, row in rows.items():
        share = "".join(f"{100 * row[run] / row['cells']:>12.4f}" for run in shares)
        margin = f"{row['margin']:>9.3f}{row['bound']:>8.3f}" if row["margin"] else ""
        print(f"{name:<32}{100 * row['spikes'] / row['cells']:>8.2f}{share}{margin}")
    different = sum(row["cells"] - row["integers"] for row in rows.values())
    print(f"\nintegers: {different} spikes differ, logits of {equal_logits} of {count} images equal")
    if args.neuron == "two_phase":
        print(f"same in: {beyond} differing counts lie further from a threshold than rounding explains")
    if args.json:
        args.json.write_text(json.dumps({"neuron": args.neuron, "time_steps": steps, "images": count, "layers": rows}))
    return int(different > 0 or equal_logits < count or beyond > 0)


if __name__ == "__main__":
    sys.exit(main())
