"""Trains a network, writing its export and everything needed to resume after every epoch.

A run lives in runs/<name>/: checkpoint.safetensors (export of the averaged weights after the latest epoch),
best.safetensors (the export with the highest held-out accuracy), state.pt (for --resume) and log.jsonl.
"""

import argparse
import copy
import json
import math
import os
import shutil
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

import checkpoint
import convolutional
import dataset
from convolutional import KINDS, Shape
from network import Architecture, MaskedSpikingTransformer, SpikingNetwork, TokenBatchNorm
from transformer import KIND as TRANSFORMER


# What a run must keep from its first epoch to its last; recorded in every export.
RECIPE = (
    "seed", "epochs", "early_epochs", "early_schedule", "smooth_epochs", "train_images", "reach", "mirror", "batch", "learning_rate",
    "weight_decay", "average", "label_smoothing", "spike_rate", "distill", "meetings", "shared",
)  # fmt: skip


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--network", choices=(TRANSFORMER, *KINDS), default=TRANSFORMER)
    parser.add_argument("--name", default="fashion-mnist", help="of the folder under --runs")
    parser.add_argument("--runs", type=Path, default=Path(__file__).parent / "runs")
    parser.add_argument("--data", type=Path, default=dataset.DEFAULT_FOLDER, help="folder of the idx.gz files")
    parser.add_argument("--publish", type=Path, help="folder that receives the first export, and the best one at the end")
    parser.add_argument("--publish-every", type=int, default=6, help="epochs between updates of --publish")
    parser.add_argument("--resume", action="store_true", help="go on after the last epoch written to the run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=28)
    parser.add_argument("--early-epochs", type=int, default=0, help="first epochs that follow another schedule")
    parser.add_argument("--early-schedule", type=int, default=60, help="length in epochs of that schedule")
    parser.add_argument("--smooth-epochs", type=int, default=0, help="first epochs with clipped ReLU where QCFS comes after")
    parser.add_argument("--train-images", type=int, help="train on the first so many images only, to compare recipes")
    parser.add_argument("--mirror", action=argparse.BooleanOptionalAction, default=True, help="mirror every second image; not for events, which tell a direction")
    parser.add_argument("--reach", type=int, default=2, help="pixels by which augmentation moves an image at most")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=3e-3, help="peak of the one-cycle schedule")
    parser.add_argument("--weight-decay", type=float, default=0.01, help="of matrices only")
    parser.add_argument("--average", type=float, default=0.998, help="decay of the moving average of the weights")
    parser.add_argument("--label-smoothing", type=float, default=0.0)
    parser.add_argument("--spike-rate", type=float, default=0.0, help="weight of the spikes a neuron and time step in the loss")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--eager", action="store_true", help="do without torch.compile")
    tuning = parser.add_argument_group("fine-tuning")
    tuning.add_argument("--teacher", type=Path, help="checkpoint to start from and to learn from; fixes the architecture")
    tuning.add_argument("--mask", default="", help="e.g. q=0.75,k=0.75,attn=0.75,fc1=0.5 or stages.0.blocks.1:attn=0.5; resnet18 and vgg16: conv=0.5")
    tuning.add_argument("--distill", type=float, default=0.5, help="weight of the teacher's answers against the labels")
    tuning.add_argument("--shared", action="store_true", help="tokens share the masks of q, k and attention, and q and k have one")
    tuning.add_argument("--meetings", action="store_true", help="train with the noise of spike trains that meet by chance")
    shape = parser.add_argument_group("architecture")
    for name, value in vars(Architecture()).items():
        many = isinstance(value, tuple)
        kind = type(value[0]) if many else type(value)
        shape.add_argument("--" + name.replace("_", "-"), type=kind, nargs="+" if many else None, default=value)
    shape.add_argument("--share", type=float, default=Shape.share, help="of the channels of resnet18 and vgg16")
    shape.add_argument("--hidden", type=int, default=Shape.hidden, help="neurons of vgg16's first two fully connected layers, at share 1")
    shape.add_argument("--pool", choices=("avg", "max"), default=Shape.pool, help="of vgg16")
    return parser.parse_args(arguments)


def untrained(args: argparse.Namespace) -> SpikingNetwork:
    if args.network == TRANSFORMER:
        return MaskedSpikingTransformer(Architecture.of({name: getattr(args, name) for name in vars(Architecture())}))
    fields = {name: getattr(args, name) for name in vars(Shape()) if name != "kind"}
    return convolutional.network(Shape(kind=args.network, **fields))


def one_cycle(progress: float, peak: float) -> float:
    """Learning rate at progress 0..1: a linear rise over the first tenth, then half a cosine down to zero."""
    warm_up = 0.1
    if progress < warm_up:
        return peak * (0.04 + 0.96 * progress / warm_up)
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


def optimizer_for(network: SpikingNetwork, args: argparse.Namespace) -> torch.optim.Optimizer:
    """AdamW; thresholds, norms and position biases do not decay."""
    decays = lambda name, value: value.ndim >= 2 and not name.endswith("bias_table")
    named = list(network.named_parameters())
    groups = [
        {"params": [value for name, value in named if decays(name, value)], "weight_decay": args.weight_decay},
        {"params": [value for name, value in named if not decays(name, value)], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=args.learning_rate, betas=(0.9, 0.99), fused=True)


@torch.no_grad()
def average(averaged: SpikingNetwork, network: SpikingNetwork, decay: float) -> None:
    torch._foreach_lerp_(list(averaged.parameters()), list(network.parameters()), 1 - decay)


@torch.no_grad()
def remeasure_norms(network: SpikingNetwork, images: torch.Tensor) -> None:
    """Replaces the running statistics by those the averaged weights themselves have, as a mean over batches."""
    norms = [module for module in network.modules() if isinstance(module, TokenBatchNorm | nn.BatchNorm1d | nn.BatchNorm2d)]
    network.train()
    for index, batch in enumerate(images.split(500)):
        for norm in norms:
            norm.momentum = 1 / (index + 1)
        network(dataset.to_pixels(batch))
    network.eval()


@torch.no_grad()
def accuracy(network: SpikingNetwork, images: torch.Tensor, labels: torch.Tensor) -> float:
    network.eval()
    # The same masks whenever a network is measured.
    torch.manual_seed(0)
    correct = [
        (network(dataset.to_pixels(batch)).argmax(1) == target).sum()
        for batch, target in zip(images.split(500), labels.split(500))
    ]
    return sum(correct).item() / len(labels)


class Run:
    """One training run: the network, its moving average, the optimizer, and where they are kept."""

    def __init__(self, args: argparse.Namespace):
        self.args = args
        self.folder = args.runs / args.name
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(args.seed)
        self.images, self.labels = (part[: args.train_images] for part in dataset.load(args.data, "train"))
        self.held_out = dataset.load(args.data, "held-out")
        self.steps = len(self.images) // args.batch
        self.teacher = checkpoint.load(args.teacher)[0].requires_grad_(False) if args.teacher else None
        self.network = self.student() if self.teacher else self.untrained()
        self.averaged = copy.deepcopy(self.network)
        self.network.set_counting(args.spike_rate > 0)
        self.optimizer = optimizer_for(self.network, args)
        self.epoch, self.best = 0, 0.0
        if args.resume:
            self.restore()
        else:
            (self.folder / "log.jsonl").unlink(missing_ok=True)
        self.forward = self.network if args.eager else torch.compile(self.network)
        self.teacher_forward = self.teacher if args.eager or not self.teacher else torch.compile(self.teacher)

    def untrained(self) -> SpikingNetwork:
        network = untrained(self.args)
        network.calibrate(dataset.to_pixels(self.images[:512]))
        self.set_noise(network)
        return network

    def set_noise(self, network: SpikingNetwork) -> None:
        """Masks, and what spike trains that meet do."""
        network.set_masks(network.parse_masks(self.args.mask))
        if isinstance(network, MaskedSpikingTransformer):
            network.set_meetings(self.args.meetings)
            if self.args.shared:
                network.share_masks()
        elif self.args.meetings or self.args.shared:
            raise SystemExit(f"--meetings and --shared are for {TRANSFORMER}: no trains of spikes meet in {self.args.network}")

    def student(self) -> SpikingNetwork:
        """The teacher with masks, its rates and norms set to what the masks leave."""
        network = copy.deepcopy(self.teacher).requires_grad_(True)
        self.set_noise(network)
        network.expect_masks()
        remeasure_norms(network, self.images[:10_000])
        return network

    def loss(self, logits: torch.Tensor, pixels: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        loss = F.cross_entropy(logits, labels, label_smoothing=self.args.label_smoothing)
        if self.teacher is not None:
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                answers = F.softmax(self.teacher_forward(pixels).float(), 1)
            loss = (1 - self.args.distill) * loss + self.args.distill * F.cross_entropy(logits, answers)
        return loss + self.args.spike_rate * self.network.spike_rate() if self.args.spike_rate else loss

    def restore(self) -> None:
        exported, header = checkpoint.load(self.folder / "checkpoint.safetensors")
        wanted = {"architecture": self.network.arch, **self.recipe()}
        found = {"architecture": exported.arch, **header["training"]}
        for name, value in wanted.items():
            if value != found.get(name):
                raise ValueError(f"cannot resume {self.folder}: it was started with {name} {found.get(name)}, not {value}")
        state = torch.load(self.folder / "state.pt", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.best = state["epoch"], state["best"]

    def keep(self) -> None:
        state = {name: getattr(self, name).state_dict() for name in ("network", "averaged", "optimizer")}
        partial = self.folder / "state.partial"
        torch.save({**state, "epoch": self.epoch, "best": self.best}, partial)
        os.replace(partial, self.folder / "state.pt")

    def train_epoch(self) -> float:
        """One pass over the training images; the mean loss. The order depends on seed and epoch alone."""
        generator = torch.Generator().manual_seed(self.args.seed * 10_000 + self.epoch)
        order = torch.randperm(len(self.images), generator=generator)
        torch.manual_seed(generator.initial_seed())
        self.network.train()
        self.network.set_quantised(self.epoch >= self.args.smooth_epochs)
        early = self.epoch < self.args.early_epochs
        scheduled = (self.args.early_schedule if early else self.args.epochs) * self.steps
        started, total = time.monotonic(), 0.0
        for step in range(self.steps):
            done = self.epoch * self.steps + step
            for group in self.optimizer.param_groups:
                group["lr"] = one_cycle(done / scheduled, self.args.learning_rate)
            chosen = order[step * self.args.batch : (step + 1) * self.args.batch]
            pixels = dataset.to_pixels(dataset.augment(self.images[chosen], generator, self.args.reach, self.args.mirror))
            with torch.autocast("cpu", torch.bfloat16):
                logits = self.forward(pixels)
            loss = self.loss(logits.float(), pixels, self.labels[chosen])
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
            # The average forgets the first steps faster than the later ones.
            average(self.averaged, self.network, min(self.args.average, (done + 1) / (done + 10)))
            total += loss.item()
            count = step + 1
            if count % 50 == 0:
                pace = f"loss {total / count:.4f} {(time.monotonic() - started) / count:.3f} s/step"
                print(f"epoch {self.epoch + 1} step {count}/{self.steps} {pace}", flush=True)
        self.epoch += 1
        return total / self.steps

    def recipe(self) -> dict:
        return {name: getattr(self.args, name) for name in RECIPE}

    def export(self, path: Path, **measured: float) -> None:
        training = {**self.recipe(), "data": "fashion-mnist", "epoch": self.epoch, **measured}
        self.save(path, self.averaged, training)

    def save(self, path: Path, network: SpikingNetwork, training: dict) -> None:
        # Names belong to as many classes as the data set has.
        names = dataset.CLASS_NAMES if network.arch.classes == len(dataset.CLASS_NAMES) else ()
        checkpoint.save(path, network, training, self.held_out[0][:2], names)

    def finish_epoch(self, loss: float, seconds: float) -> None:
        """Measures, exports and keeps the run as it is after an epoch."""
        remeasure_norms(self.averaged, self.images[:10_000])
        held_out = accuracy(self.averaged, *self.held_out)
        latest, best = self.folder / "checkpoint.safetensors", self.folder / "best.safetensors"
        self.export(latest, held_out_accuracy=held_out)
        if held_out >= self.best:
            self.best = held_out
            shutil.copyfile(latest, best)
        self.keep()
        line = {"epoch": self.epoch, "loss": round(loss, 4), "held_out_accuracy": held_out, "seconds": round(seconds, 1)}
        with open(self.folder / "log.jsonl", "a") as log:
            print(json.dumps(line), file=log)
        print(line, flush=True)
        if self.epoch == 1 or self.epoch % self.args.publish_every == 0:
            self.publish(best)

    def publish(self, source: Path) -> None:
        if self.args.publish:
            self.args.publish.mkdir(parents=True, exist_ok=True)
            partial = self.args.publish / "checkpoint.partial"
            shutil.copyfile(source, partial)
            os.replace(partial, self.args.publish / "checkpoint.safetensors")

    def finish(self) -> None:
        """Measures the best export on the test images, which took no part in any choice, and publishes it."""
        best = self.folder / "best.safetensors"
        network, header = checkpoint.load(best)
        header["training"]["test_accuracy"] = accuracy(network, *dataset.load(self.args.data, "test"))
        self.save(best, network, header["training"])
        self.publish(best)
        print({"finished": header["training"]}, flush=True)


def main() -> None:
    args = options()
    torch.set_num_threads(args.threads)
    run = Run(args)
    while run.epoch < args.epochs:
        started = time.monotonic()
        loss = run.train_epoch()
        run.finish_epoch(loss, time.monotonic() - started)
    run.finish()


if __name__ == "__main__":
    main()
