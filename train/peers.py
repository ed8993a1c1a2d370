"""The Rust reference side by side with SpikingJelly: the same network, time steps, images and processors, in alternating rounds.

SpikingJelly runs its IF neurons in multi-step mode, without gradients, batch norms folded into weights, with the batch size and
the number of threads that are fastest here. The reference runs the same IF neurons, and the two-phase neurons that it has by
default. Prints one JSON document; `cargo xtask bench peers` sets everything up and calls this.
"""

import argparse
import importlib.metadata
import json
import platform
import resource
import statistics
import subprocess
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


class SpikingJelly:
    """Classifies images with the batch size and the number of threads that are fastest."""

    def __init__(self, checkpoint: Path, images: torch.Tensor, time_steps: int):
        self.network, self.time_steps = spiking.from_checkpoint(checkpoint), time_steps
        self.neurons = Neurons(self.network)
        self.rates = {}
        for threads in (1, 2):
            for batch in (1, 10, 50):
                self.threads, self.batch = threads, batch
                self.classify(images[:1])
                started = time.perf_counter()
                self.classify(images[:batch])
                self.rates[threads, batch] = batch / (time.perf_counter() - started)
        self.threads, self.batch = max(self.rates, key=self.rates.get)

    @torch.inference_mode()
    def classify(self, images: torch.Tensor) -> torch.Tensor:
        torch.set_num_threads(self.threads)
        runs = [spiking.run(self.network, part, self.time_steps, self.neurons)[1] for part in images.split(self.batch)]
        return torch.cat(runs).argmax(1)


def reference(args: argparse.Namespace, neuron_mode: str) -> tuple[float, float]:
    """Images a second, and a processor second, of `gen run`."""
    command = [args.gen, "run", args.network, "--data", args.data, "--images", str(args.reference_images), "--json"]
    command += ["--time-steps", str(args.time_steps), "--neuron", neuron_mode]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    processor = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    return report["images_per_second"], args.reference_images / processor


def processor_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("network", type=Path, help="made from the checkpoint by `gen convert`")
    parser.add_argument("--gen", type=Path, required=True, help="the program, built with --release")
    parser.add_argument("--data", type=Path, required=True, help="folder of the idx.gz files")
    parser.add_argument("--images", type=int, default=100, help="of SpikingJelly in a round")
    parser.add_argument("--reference-images", type=int, default=1000, help="of the reference in a round")
    parser.add_argument("--time-steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    images, labels = dataset.load(args.data, "test")
    images, labels = images[: args.images], labels[: args.images]
    peer = SpikingJelly(args.checkpoint, images, args.time_steps)
    rates = {name: [] for name in ("two_phase", "if", "spikingjelly")}
    for _ in range(args.rounds):
        rates["two_phase"].append(reference(args, "two_phase"))
        rates["if"].append(reference(args, "if"))
        started, processor = time.perf_counter(), time.process_time()
        classes = peer.classify(images)
        wall, processor = time.perf_counter() - started, time.process_time() - processor
        rates["spikingjelly"].append((len(images) / wall, len(images) / processor))
    wall, processor = ({name: statistics.median(rate[i] for rate in of) for name, of in rates.items()} for i in (0, 1))
    report = {
        "ratio": wall["two_phase"] / wall["spikingjelly"],
        "ratio_same_neuron": wall["if"] / wall["spikingjelly"],
        "ours_images_per_s": wall["two_phase"],
        "ours_if_images_per_s": wall["if"],
        "spikingjelly_images_per_s": wall["spikingjelly"],
        # A processor second is the same on a busy machine.
        "ratio_by_processor_time": processor["two_phase"] / processor["spikingjelly"],
        "ratio_same_neuron_by_processor_time": processor["if"] / processor["spikingjelly"],
        "images_per_processor_s": processor,
        "cpu": processor_name(),
        "time_steps": args.time_steps,
        "rounds": args.rounds,
        "spikingjelly": {
            "version": importlib.metadata.version("spikingjelly"),
            "torch": torch.__version__,
            "threads": peer.threads,
            "batch": peer.batch,
            "images_per_s_by_threads_and_batch": {f"{t} x {b}": rate for (t, b), rate in peer.rates.items()},
            "correct": (classes == labels).sum().item(),
            "images": len(images),
        },
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
