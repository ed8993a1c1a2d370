"""Run with `pytest` in this folder: traced networks are what PyTorch computes, and what has no counterpart is named with a remedy."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import nn

import calibration
import export_resnet
import graph
import networks
from network import Qcfs

# Read by the converter's own tests.
SAMPLE = Path(__file__).parent.parent / "model/tests/golden/own_resnet.safetensors"


def node(nodes: list[dict], name: str) -> dict:
    return next(node for node in nodes if node["name"] == name)


def evaluate(nodes: list[dict], tensors: dict[str, torch.Tensor], pixels: torch.Tensor) -> torch.Tensor:
    """What docs/checkpoint.md says that the nodes compute."""
    values = {}
    for step in nodes:
        name = step["name"]
        x = [values[read] for read in step["inputs"]]
        tensor = {part: tensors[f"{name}.{part}"] for part in parts_of(name, tensors)}
        match step["op"]:
            case "input":
                y = pixels
            case "conv":
                groups = step.get("groups", 1)
                y = F.conv2d(x[0], tensor["weight"], tensor.get("bias"), step["stride"], step["padding"], groups=groups)
            case "linear":
                y = F.linear(x[0].flatten(1), tensor["weight"], tensor.get("bias"))
            case "batch_norm":
                shape = (1, -1) + (1,) * (x[0].dim() - 2)
                scale = tensor.get("weight", torch.tensor(1.0)) / (tensor["running_var"] + step["eps"]).sqrt()
                y = (x[0] - tensor["running_mean"].view(shape)) * scale.view(shape if scale.dim() else ())
                if "bias" in tensor:
                    y = y + tensor["bias"].view(shape)
            case "qcfs":
                levels, threshold = step["levels"], tensor["threshold"]
                y = threshold * (torch.floor(x[0] * levels / threshold + 0.5) / levels).clamp(0, 1)
            case "add":
                y = x[0] + x[1]
            case "avg_pool":
                y = F.avg_pool2d(x[0], step["kernel"], step["stride"], step.get("padding", 0))
            case "max_pool":
                y = F.max_pool2d(x[0], step["kernel"], step["stride"], step["padding"])
            case "flatten":
                y = x[0].flatten(1)
            case "mean":
                y = x[0].mean((2, 3))
        values[name] = y
    return values[nodes[-1]["name"]]


def parts_of(name: str, tensors: dict[str, torch.Tensor]) -> list[str]:
    return [key.removeprefix(f"{name}.") for key in tensors if key.rpartition(".")[0] == name]


class Everything(nn.Module):
    """One of each that converts."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding="same"), nn.BatchNorm2d(8), Qcfs(4))
        self.depthwise, self.norm = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8), nn.BatchNorm2d(8, affine=False)
        self.short, self.act, self.pool = nn.AvgPool2d(2), Qcfs(4), nn.MaxPool2d(3, 1, 1)
        self.shrink, self.drop = nn.AdaptiveAvgPool2d(2), nn.Dropout()
        self.hidden, self.hidden_act, self.fc = nn.Linear(32, 12), Qcfs(4), nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = self.pool(self.act(self.norm(self.depthwise(x)) + self.short(x)))
        x = self.drop(self.shrink(x)).view(x.size(0), -1)
        return self.fc(self.hidden_act(self.hidden(x)))


@pytest.mark.parametrize(
    "make", [Everything, lambda: export_resnet.SpikingResNet(1 / 16), lambda: networks.SpikingVgg(1 / 16)], ids=["all", "resnet", "vgg"]
)
def test_nodes_compute_what_the_network_computes(make, tmp_path):
    torch.manual_seed(3)
    network = make()
    images = torch.randint(256, (16, 3, 32, 32), dtype=torch.uint8)
    if isinstance(network, Everything):
        images = images[:, :, :8, :8]
    calibration.calibrate(network, graph.normalised(images, std=0.5), statistics=True)
    path = tmp_path / "out.safetensors"
    graph.save(path, network, images[:2], name="out", std=0.5)
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["mst-graph"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    found = evaluate(header["nodes"], tensors, graph.normalised(images[:2], std=header["input"]["std"]))
    torch.testing.assert_close(found, torch.tensor(header["example"]["logits"]), rtol=1e-4, atol=1e-4)


def test_masks_go_to_the_activations_that_are_named():
    network = networks.SpikingVgg(1 / 32).eval()
    nodes = graph.trace(network, (3, 32, 32), {"features.2": {"label": "conv", "ratio": 0.5}}).nodes
    assert node(nodes, "features.2")["mask"] == {"label": "conv", "ratio": 0.5}
    assert "mask" not in node(nodes, "features.5")
    with pytest.raises(ValueError, match="no activations: features.0; there are features.2, "):
        graph.trace(network, (3, 32, 32), {"features.0": 0.5})


class Around(nn.Module):
    """A convolution, something, a head."""

    def __init__(self, part: nn.Module):
        super().__init__()
        self.first, self.act, self.part, self.head = nn.Conv2d(4, 4, 1), Qcfs(4), part, nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.part(self.act(self.first(x))).mean((2, 3)))


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


REFUSED = [
    ("part", nn.LayerNorm([4, 8, 8]), "LayerNorm", "BatchNorm2d"),
    ("part", nn.GroupNorm(2, 4), "GroupNorm", "BatchNorm2d"),
    ("part", nn.Softmax(1), "Softmax", "QCFS|Qcfs of q k'"),
    ("part", nn.GELU(), "GELU", "network.Qcfs"),
    ("part", nn.ReLU(), "ReLU", "calibrated"),
    ("part", nn.Conv2d(4, 4, 3, padding=1, groups=2), "2 groups", "0 outside the groups"),
    ("part", nn.Conv2d(4, 4, 3, padding=2, dilation=2), "dilation", "zeros between its weights"),
    ("part", nn.ConvTranspose2d(4, 4, 3, padding=1), "ConvTranspose2d", "train with a convolution"),
    ("part", nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), "reflect", "zeros"),
    ("part", nn.AvgPool2d(3, 1, 1, count_include_pad=False), "border", "count_include_pad"),
    ("part", nn.MaxPool2d(3, 2, ceil_mode=True), "ceil_mode", "ceil_mode=False"),
    ("part", nn.BatchNorm2d(4, track_running_stats=False), "running statistics", "track_running_stats=True"),
    ("part", nn.Linear(8, 8), "linear layer of a tensor", "flatten"),
    ("part.softmax", Function(lambda x: F.softmax(x, 1)), "softmax", "QCFS|Qcfs of q k'"),
    ("part.gelu", Function(F.gelu), "gelu", "network.Qcfs"),
    ("part.layer_norm", Function(lambda x: F.layer_norm(x, [8])), "layer_norm", "BatchNorm2d"),
    ("part.mul", Function(lambda x: x * x), "mul", "do not multiply"),
    ("part.cat", Function(lambda x: torch.cat([x, x], 1)[:, :4]), "cat", "sum in its place"),
    ("part.add", Function(lambda x: x + 1), "sum of other things", "bias"),
]


@pytest.mark.parametrize(("path", "part", "found", "remedy"), REFUSED, ids=[f"{row[0]}-{row[2]}" for row in REFUSED])
def test_what_has_no_counterpart_is_named_with_a_remedy(path, part, found, remedy):
    with pytest.raises(graph.NoCounterpart) as refused:
        graph.trace(Around(part).eval(), (4, 8, 8))
    said = str(refused.value)
    assert said.startswith(f"`{path}") and found in said, said
    assert any(words in said for words in remedy.split("|")), said


def test_depthwise_convolutions_convert():
    nodes = graph.trace(Around(nn.Conv2d(4, 4, 3, padding=1, groups=4)).eval(), (4, 8, 8)).nodes
    assert node(nodes, "part")["groups"] == 4


def test_the_sample_of_the_converter_is_what_the_program_writes(tmp_path, monkeypatch):
    out = tmp_path / "own_resnet.safetensors"
    monkeypatch.setattr("sys.argv", ["export_resnet.py", str(out), "--width", "0.0625", "--seed", "2"])
    export_resnet.main()
    with safe_open(out, "pt") as file, safe_open(SAMPLE, "pt") as sample:
        found, expected = (json.loads(one.metadata()["mst-graph"]) for one in (file, sample))
        assert set(file.keys()) == set(sample.keys())
        for key in file.keys():
            torch.testing.assert_close(file.get_tensor(key), sample.get_tensor(key), rtol=1e-3, atol=1e-3)
    assert {**found, "example": None} == {**expected, "example": None}
