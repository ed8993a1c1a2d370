"""ResNet-18 and VGG-16 of the ANN-to-SNN literature for small images, with a mask behind every activation.

Shapes of torchvision (BasicBlock, [2, 2, 2, 2]; VGG-16 with batch norm and three fully connected layers), first convolution 3 x 3, with a share of
the channels. Module names are the node names of the exported graph file. Images [B, channels, rows, columns].
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

import graph
from masking import SpikeMask, ratio_of
from network import Qcfs, SpikingNetwork

# Channels of VGG-16's convolutions; a pool stands behind each group.
VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
VGG16_SIDE = 32
# What all masks of a network are called by `gen run --mask`.
LABEL = "conv"


@dataclass(frozen=True)
class Shape:
    """Everything that fixes a network; `hidden` (of VGG-16) and all channels are those of share 1."""

    kind: str = "resnet18"
    height: int = 28
    width: int = 28
    channels: int = 1
    share: float = 1.0
    hidden: int = 4096
    pool: str = "avg"
    levels: int = 8
    classes: int = 10

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"network {self.kind!r}: there are {', '.join(KINDS)}")
        if self.pool not in ("avg", "max"):
            raise ValueError(f"pool {self.pool!r}: avg or max")

    def of(self, channels: int) -> int:
        return max(1, round(channels * self.share))


class MaskedQcfs(Qcfs):
    """QCFS, then a random spike mask."""

    def __init__(self, levels: int):
        super().__init__(levels)
        self.mask = SpikeMask(levels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mask(super().forward(x), self.value())


class MaskedMaxPool(nn.MaxPool2d):
    """The largest of 2 x 2 activations, then a random spike mask: the maximum of masked spikes would not be that of their counts."""

    def __init__(self, activation: Qcfs):
        super().__init__(2)
        self.mask = SpikeMask(activation.levels)
        # Not a module of this one: its threshold is another's parameter.
        self.activation = (activation,)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mask(super().forward(x), self.activation[0].value())


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
    return layer


class Convolutional(SpikingNetwork):
    """What both have in common: masks at every activation, all of one label."""

    def __init__(self, arch: Shape):
        super().__init__()
        self.arch = arch

    def masks(self) -> dict[str, SpikeMask]:
        return {path: module.mask for path, module in self.named_modules() if isinstance(module, MaskedQcfs | MaskedMaxPool)}

    def parse_masks(self, rules: str) -> dict[str, float]:
        """`conv=0.5` masks all layers, `layer1.0.act1=0.5` one; later rules override earlier ones."""
        ratios = {}
        for rule in filter(None, rules.split(",")):
            place, _, value = rule.partition("=")
            paths = [path for path in self.masks() if place in (LABEL, path)]
            if not paths:
                raise ValueError(f"mask `{rule}`: no such layer; there are {LABEL} (all), {', '.join(self.masks())}")
            ratios.update(dict.fromkeys(paths, ratio_of(rule, value)))
        return {path: ratio for path, ratio in ratios.items() if ratio}

    @torch.no_grad()
    def expect_masks(self) -> None:
        """Scales what reads masked spikes by the share that is dropped: batch norm behind it does that when it is measured again."""
        for path, reader in self.readers_without_norm().items():
            reader.weight.div_(1 - self.masks()[path].ratio)

    def readers_without_norm(self) -> dict[str, nn.Linear]:
        """Linear layers that no batch norm follows, by the activation that they read."""
        raise NotImplementedError


class Block(nn.Module):
    """Two convolutions beside a shortcut; spikes where torchvision's BasicBlock has ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int, levels: int):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs)
        self.act1 = MaskedQcfs(levels)
        self.conv2, self.bn2 = conv(outputs, outputs, 3, 1, 1), nn.BatchNorm2d(outputs)
        self.act2 = MaskedQcfs(levels)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        h = self.act1(self.bn1(self.conv1(x)))
        return self.act2(self.bn2(self.conv2(h)) + shortcut)


class ResNet18(Convolutional):
    """The stem has stride 1, so stages have 28, 14, 7 and 4 rows for 28 x 28 pixels. There is one pool: the mean over all positions."""

    def __init__(self, arch: Shape):
        super().__init__(arch)
        inputs = arch.of(64)
        self.conv1, self.bn1 = conv(arch.channels, inputs, 3, 1, 1), nn.BatchNorm2d(inputs)
        self.act = MaskedQcfs(arch.levels)
        for stage in range(4):
            outputs, stride = arch.of(64 << stage), 2 if stage else 1
            blocks = [Block(inputs, outputs, stride, arch.levels), Block(outputs, outputs, 1, arch.levels)]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
            inputs = outputs
        self.fc = nn.Linear(inputs, arch.classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.bn1(self.conv1(x)))
        return self.fc(self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3)))

    def readers_without_norm(self) -> dict[str, nn.Linear]:
        return {"layer4.1.act2": self.fc}


class Vgg16(Convolutional):
    """Smaller images are padded to 32 x 32 by the first convolution, as five pools halve them. Pools stand behind activations."""

    def __init__(self, arch: Shape):
        super().__init__(arch)
        features, inputs = [], arch.channels
        border = 1 + (VGG16_SIDE - arch.height) // 2
        for group in VGG16:
            for outputs in map(arch.of, group):
                activation = MaskedQcfs(arch.levels)
                features += [conv(inputs, outputs, 3, 1, 1 if features else border), nn.BatchNorm2d(outputs), activation]
                inputs = outputs
            if arch.pool == "max":
                features[-1] = Qcfs(arch.levels)
            features.append(nn.AvgPool2d(2) if arch.pool == "avg" else MaskedMaxPool(features[-1]))
        hidden = arch.of(arch.hidden)
        self.features, self.flatten = nn.Sequential(*features), nn.Flatten()
        self.fc1, self.bn1, self.act1 = nn.Linear(inputs, hidden, bias=False), nn.BatchNorm1d(hidden), MaskedQcfs(arch.levels)
        self.fc2, self.bn2, self.act2 = nn.Linear(hidden, hidden, bias=False), nn.BatchNorm1d(hidden), MaskedQcfs(arch.levels)
        self.fc3 = nn.Linear(hidden, arch.classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.flatten(self.features(x))
        x = self.act2(self.bn2(self.fc2(self.act1(self.bn1(self.fc1(x))))))
        return self.fc3(x)

    def readers_without_norm(self) -> dict[str, nn.Linear]:
        return {"act2": self.fc3}


KINDS = {"resnet18": ResNet18, "vgg16": Vgg16}


def network(arch: Shape) -> Convolutional:
    return KINDS[arch.kind](arch)


@torch.no_grad()
def save(path: Path, network: Convolutional, training: dict, images: torch.Tensor, class_names: tuple[str, ...] = ()) -> None:
    """Writes the graph file; `images` become its example, with what masks leave on average. Weights are kept in half precision."""
    expected = network.expected()
    for module in expected.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.copy_(module.weight.half())
    masks = {path: {"label": LABEL, "ratio": mask.ratio} for path, mask in expected.masks().items()}
    training = {**training, "network": asdict(network.arch)}
    graph.save(
        path, expected, images, name=path.stem, class_names=class_names, masks=masks, training=training, weights=torch.float16
    )


def load(tensors: dict[str, torch.Tensor], header: dict) -> Convolutional:
    """The network of a file that `save` wrote, in evaluation mode."""
    built = network(Shape(**header["training"]["network"]))
    for name in [name for name in tensors if name.endswith(".threshold")]:
        tensors[name.removesuffix("threshold") + "log"] = tensors.pop(name).log()
    missing, unexpected = built.load_state_dict(tensors, strict=False)
    if unexpected or any(not name.endswith("num_batches_tracked") for name in missing):
        raise ValueError(f"tensors of another network: {', '.join(missing + unexpected)}")
    nodes = {node["name"]: node.get("mask", {}) for node in header["nodes"]}
    built.set_masks({path: nodes[path].get("ratio", 0.0) for path in built.masks()})
    return built.eval()
