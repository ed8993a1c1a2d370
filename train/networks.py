"""Networks of full size with random weights: what converter, reference and core are measured with where no trained ones are at hand.

    python networks.py vgg16 vgg16.safetensors              # CIFAR form, 33.6 M parameters
    python networks.py vgg16 quarter.safetensors --width 0.25
    python networks.py swin-t swin-t.safetensors            # 224 x 224 pixels, 28.3 M parameters

Thresholds and batch norm are calibrated on crops of photographs, and logits spread over the classes. `--images` writes crops that calibration has not seen, for `gen run --data`.
`resnet18` is that of export_resnet.py.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn

import calibration
import checkpoint
import graph
import photographs
from convolutional import VGG16
from export_resnet import CLASSES, LEVELS, SIDE, STD, SpikingResNet, masks
from network import Architecture, MaskedSpikingTransformer, Qcfs

VGG16_HIDDEN = 4096
SWIN_T = {
    "height": 224, "width": 224, "channels": 3, "patch": 4, "dims": (96, 192, 384, 768), "depths": (2, 2, 6, 2), "heads": (3, 6, 12, 24),
    "window": 7, "mlp_ratio": 4, "levels": LEVELS, "classes": 1000,
}  # fmt: skip
# Images to calibrate the transformer on.
SWIN_T_IMAGES = 12


class SpikingVgg(nn.Sequential):
    """VGG-16 as the literature on spiking networks has it for 32 x 32 pixels: max pools behind activations, three fully connected layers."""

    def __init__(self, width: float = 1.0, classes: int = CLASSES):
        features, inputs = [], 3
        for group in VGG16:
            for outputs in group:
                outputs = int(outputs * width)
                features += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), Qcfs(LEVELS)]
                inputs = outputs
            features.append(nn.MaxPool2d(2))
        hidden = int(VGG16_HIDDEN * width)
        classifier = [nn.Linear(inputs, hidden), Qcfs(LEVELS), nn.Dropout(), nn.Linear(hidden, hidden), Qcfs(LEVELS), nn.Dropout()]
        super().__init__()
        self.features, self.flatten = nn.Sequential(*features), nn.Flatten()
        self.classifier = nn.Sequential(*classifier, nn.Linear(hidden, classes))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)


def swin_t() -> MaskedSpikingTransformer:
    """Swin-T as a Masked Spiking Transformer; position biases differ, so that attention tells places apart."""
    network = MaskedSpikingTransformer(Architecture(**SWIN_T))
    for name, parameter in network.named_parameters():
        if name.endswith("bias_table"):
            nn.init.normal_(parameter, std=0.2)
    return network


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=("resnet18", "vgg16", "swin-t"))
    parser.add_argument("out", type=Path, help="safetensors file to write")
    parser.add_argument("--width", type=float, default=1.0, help="share of the channels (resnet18, vgg16)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--images", type=Path, help="write crops to this .npy file, too")
    parser.add_argument("--count", type=int, default=200, help="number of them")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    if args.network == "swin-t":
        side, network = SWIN_T["height"], swin_t()
        images = photographs.crops(SWIN_T_IMAGES, side, args.seed)
        pixels = graph.normalised(images)
        calibration.calibrate(network, pixels, statistics=True)
        calibration.spread_logits(network, network.head, pixels)
        checkpoint.save(args.out, network, {"weights": "random"}, images[:2])
    else:
        side, network = SIDE, {"resnet18": SpikingResNet, "vgg16": SpikingVgg}[args.network](args.width)
        head = network.fc if args.network == "resnet18" else network.classifier[-1]
        images = photographs.crops(calibration.IMAGES, side, args.seed)
        pixels = graph.normalised(images, std=STD)
        calibration.calibrate(network, pixels, statistics=True)
        calibration.spread_logits(network, head, pixels)
        graph.save(args.out, network, images[:4], name=args.out.stem, std=STD, masks=masks(network), training={"weights": "random"})
    parameters = sum(parameter.numel() for parameter in network.parameters())
    print(f"{args.out}: {parameters:,} parameters, example of {len(images[:4])} images")
    if args.images:
        np.save(args.images, photographs.crops(args.count, side, args.seed + 1).numpy())


if __name__ == "__main__":
    main()
