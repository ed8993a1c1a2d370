"""How fast SpikingJelly runs the spiking network of a checkpoint: its IF neurons, in multi-step mode, on a batch of images.

Prints one JSON document. `cargo xtask bench peers` puts it beside the Rust reference.
"""

import argparse
import importlib.metadata
import json
import time
from pathlib import Path

import torch
from spikingjelly.activation_based import functional, neuron

import dataset
import spiking


class Neurons:
    """An IF node with soft reset for each layer; membranes start at half the threshold, as QCFS's shift asks."""

    def __init__(self, network: spiking.Network):
        self.nodes = {}
        for layer in network.layers[:-1]:
            node = neuron.IFNode(v_threshold=layer.theta.item(), v_reset=None, step_mode="m")
            self.nodes[layer.name] = node.eval()

    def __call__(self, layer: spiking.Layer, drives: torch.Tensor) -> torch.Tensor:
        node = self.nodes[layer.name]
        functional.reset_net(node)
        node.v = layer.start.item()
        return node(drives)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder of the idx.gz files")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--time-steps", type=int, default=8)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 10, 25, 50, 100], help="sizes to try; the fastest counts")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    network = spiking.from_checkpoint(args.checkpoint)
    images, labels = dataset.load(args.data, "test")
    images, labels = images[: args.images], labels[: args.images]
    neurons = Neurons(network)

    def classify(batch: torch.Tensor) -> torch.Tensor:
        return spiking.run(network, batch, args.time_steps, neurons)[1].argmax(1)

    # Which size is best is found on a part of the images, which also warms up.
    rates = {}
    for size in args.batches:
        part = images[: max(size, args.images // 10)].split(size)
        classify(part[0])
        started = time.perf_counter()
        done = sum(len(classify(batch)) for batch in part)
        rates[size] = done / (time.perf_counter() - started)
    size = max(rates, key=rates.get)
    started = time.perf_counter()
    classes = torch.cat([classify(batch) for batch in images.split(size)])
    seconds = time.perf_counter() - started
    report = {
        "spikingjelly": importlib.metadata.version("spikingjelly"),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "time_steps": args.time_steps,
        "images": len(images),
        "batch": size,
        "images_per_second_by_batch": rates,
        "seconds": seconds,
        "images_per_second": len(images) / seconds,
        "correct": (classes == labels).sum().item(),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
