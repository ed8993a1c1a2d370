"""How a network of convolutions is exported: torchvision's ResNet-18 in its form for small images, with QCFS in the place of ReLU.

The first convolution is 3 x 3 and no max pool follows, as usual for 32 x 32 pixels. `graph.save` traces the network, so nothing of it is listed
here. Without `--state-dict` weights are random; either way the thresholds are calibrated, as is batch norm of random weights, on crops of photographs (yours: training images).

    python export_resnet.py resnet18.safetensors && cargo run --release -p gen -- convert resnet18.safetensors --out resnet18.mst --report
"""

import argparse
from pathlib import Path

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

import calibration
import graph
import photographs
from network import Qcfs

SIDE, CLASSES, LEVELS = 32, 10, 8
# Of CIFAR-10, roughly.
MEAN, STD = [0.49, 0.48, 0.45], [0.25, 0.24, 0.26]


class SpikingBlock(BasicBlock):
    """torchvision's block, with an activation of its own at both places."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        del self.relu
        self.act1, self.act2 = Qcfs(LEVELS), Qcfs(LEVELS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        h = self.act1(self.bn1(self.conv1(x)))
        return self.act2(self.bn2(self.conv2(h)) + shortcut)


class SpikingResNet(ResNet):
    """torchvision's network for small images. `width` is a share of its channels."""

    def __init__(self, width: float = 1.0, classes: int = CLASSES):
        super().__init__(SpikingBlock, [2, 2, 2, 2], num_classes=classes)
        self.inplanes = int(64 * width)
        self.conv1, self.bn1 = nn.Conv2d(3, self.inplanes, 3, padding=1, bias=False), nn.BatchNorm2d(self.inplanes)
        del self.relu, self.maxpool
        self.act = Qcfs(LEVELS)
        for stage in range(4):
            layer = self._make_layer(SpikingBlock, int((64 << stage) * width), 2, stride=2 if stage else 1)
            setattr(self, f"layer{stage + 1}", layer)
        self.fc = nn.Linear(int(512 * width), classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")

    def _forward_impl(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def masks(network: nn.Module) -> dict[str, dict]:
    """A label for the masks of all activations: `gen run --mask conv=0.5`."""
    return {path: {"label": "conv"} for path, module in network.named_modules() if isinstance(module, Qcfs)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="safetensors file to write")
    parser.add_argument("--state-dict", type=Path, help="weights of torchvision's names, with statistics [default: random ones]")
    parser.add_argument("--width", type=float, default=1.0, help="share of the channels")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    network = SpikingResNet(args.width)
    if args.state_dict:
        missing, unexpected = network.load_state_dict(torch.load(args.state_dict, weights_only=True), strict=False)
        # Thresholds are not in it; everything else must be.
        if unexpected or any(not name.endswith(".log") for name in missing):
            raise SystemExit(f"{args.state_dict}: not of this network: {', '.join(missing + unexpected)}")
    images = photographs.crops(calibration.IMAGES, SIDE, args.seed)
    pixels = graph.normalised(images, MEAN, STD)
    calibration.calibrate(network, pixels, statistics=not args.state_dict)
    if not args.state_dict:
        calibration.spread_logits(network, network.fc, pixels)
    graph.save(args.out, network, images[:4], name=args.out.stem, mean=MEAN, std=STD, masks=masks(network))


if __name__ == "__main__":
    main()
