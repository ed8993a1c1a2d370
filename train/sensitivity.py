"""Searches mask ratios layer by layer: how much does each site hurt when it alone is masked, and what does it save?

Each site is masked alone at each ratio, thresholds and norms adapted to what is left, nothing trained. Sites add up, so
the best choice for a price per synaptic event is a choice site by site; the price is set by the share of events to save. Prints
the table, then the rules for `train.py --mask`.
"""

import argparse
import copy
import json
from pathlib import Path

import torch
import torch.nn.functional as F

import checkpoint
import dataset
import masking
from network import MaskedSpikingTransformer
from train import remeasure_norms


@torch.no_grad()
def loss(network: MaskedSpikingTransformer, images: torch.Tensor, labels: torch.Tensor) -> float:
    torch.manual_seed(0)
    logits = torch.cat([network(dataset.to_pixels(batch)) for batch in images.split(500)])
    return F.cross_entropy(logits, labels).item()


def fan_out(network: MaskedSpikingTransformer, layer: str) -> int:
    """Accumulations that a spike of the site causes."""
    arch, stage = network.arch, int(layer.split(".")[1])
    dim = arch.dims[stage]
    by_site = {"scores": dim // arch.heads[stage], "fc1": dim}
    return by_site.get(layer.rpartition(".")[2], arch.window**2)


@torch.no_grad()
def spikes(network: MaskedSpikingTransformer, images: torch.Tensor) -> dict[str, float]:
    """Spikes an image of every site, per level, without masks."""
    counts, hooks = {}, []
    for layer, mask in network.masks().items():

        def count(module, inputs, output, layer=layer):
            counts[layer] = (inputs[0] / inputs[1]).sum().item() * module.levels / len(images)

        hooks.append(mask.register_forward_hook(count))
    network(dataset.to_pixels(images))
    for hook in hooks:
        hook.remove()
    return counts


def choose(options: dict[str, list[tuple[float, float, float]]], wanted: float) -> dict[str, float]:
    """The ratio of each site that saves `wanted` events at the least loss; options are (ratio, saved, loss)."""
    low, high = 0.0, 1.0
    for _ in range(60):
        price = (low + high) / 2
        chosen = {layer: max(some, key=lambda option: price * option[1] - option[2]) for layer, some in options.items()}
        low, high = (price, high) if sum(option[1] for option in chosen.values()) < wanted else (low, price)
    return {layer: max(some, key=lambda option: high * option[1] - option[2])[0] for layer, some in options.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, default=dataset.DEFAULT_FOLDER)
    parser.add_argument("--images", type=int, default=2000, help="of the held-out ones, and of those norms are measured on")
    parser.add_argument("--ratios", type=float, nargs="+", default=[0.5, 0.75, 0.875])
    parser.add_argument("--sites", nargs="+", default=list(masking.MATRICES), choices=list(masking.MATRICES), help="that may be masked")
    parser.add_argument("--as-much-as", default="q=0.75,k=0.75,attn=0.75,fc1=0.5", help="rules whose savings the result must reach")
    parser.add_argument("--out", type=Path, help="write the table as JSON")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    network, _ = checkpoint.load(args.checkpoint)
    training = dataset.load(args.data, "train")[0][: args.images]
    held_out = tuple(part[: args.images] for part in dataset.load(args.data, "held-out"))
    events = {layer: count * fan_out(network, layer) for layer, count in spikes(network, held_out[0]).items()}
    names = {layer: f"{block}:{matrix}" for block, matrix, layer in masking.sites(network.arch.depths)}
    uniform = masking.parse(args.as_much_as, network.arch.depths)
    wanted = sum(events[layer] * ratio for layer, ratio in uniform.items())
    events = {layer: count for layer, count in events.items() if names[layer].rpartition(":")[2] in args.sites}
    most = sum(events.values()) * max(args.ratios)
    if most < wanted:
        parser.error(
            f"--as-much-as {args.as_much_as} saves {wanted:,.0f} events an image, but {', '.join(args.sites)} at {max(args.ratios)} "
            f"no more than {most:,.0f}: ask for less, or allow more --sites or higher --ratios"
        )
    network.set_meetings(True)
    remeasure_norms(network, training)
    unmasked = loss(network, *held_out)
    print(f"unmasked: loss {unmasked:.4f}", flush=True)
    options = {}
    for layer, count in events.items():
        options[layer] = [(0.0, 0.0, 0.0)]
        for ratio in args.ratios:
            masked = copy.deepcopy(network)
            masked.set_masks({layer: ratio})
            masked.expect_masks()
            remeasure_norms(masked, training)
            more = loss(masked, *held_out) - unmasked
            # A loss below that of the unmasked network is chance.
            options[layer].append((ratio, count * ratio, max(more, 0.0)))
        row = "  ".join(f"{ratio:g}: {more:+.4f}" for ratio, _, more in options[layer][1:])
        print(f"{layer:32} {count:12,.0f} events   {row}", flush=True)
    chosen = choose(options, wanted)
    if args.out:
        args.out.write_text(json.dumps({"unmasked": unmasked, "options": options, "chosen": chosen}, indent=1))
    print(",".join(f"{names[layer]}={ratio:g}" for layer, ratio in chosen.items() if ratio))


if __name__ == "__main__":
    main()
