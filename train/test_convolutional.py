"""Run with `pytest` in this folder: networks of convolutions, their masks, and their files."""

import json

import pytest
import torch
from safetensors import safe_open

import checkpoint
import convolutional
from convolutional import Shape

SHAPES = [Shape("resnet18", share=1 / 16), Shape("vgg16", share=1 / 16), Shape("vgg16", share=1 / 16, pool="max")]
IDS = ["resnet18", "vgg16", "vgg16-max"]


def calibrated(shape: Shape) -> convolutional.Convolutional:
    torch.manual_seed(1)
    network = convolutional.network(shape)
    network.calibrate(torch.rand(16, shape.channels, shape.height, shape.width))
    return network.eval()


@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
def test_a_file_comes_back_as_the_network(shape, tmp_path):
    network = calibrated(shape)
    layer = list(network.masks())[3]
    network.set_masks(network.parse_masks(f"conv=0.5,{layer}=0.25"))
    images = torch.randint(256, (2, 1, 28, 28), dtype=torch.uint8)
    path = tmp_path / "own.safetensors"
    checkpoint.save(path, network, {"epoch": 1}, images)
    loaded, header = checkpoint.load(path)
    assert loaded.arch == shape and header["training"]["epoch"] == 1
    assert {path: mask.ratio for path, mask in loaded.masks().items()} == {**dict.fromkeys(network.masks(), 0.5), layer: 0.25}
    # The example is what masks leave on average, of the weights in the file.
    for mask in loaded.masks().values():
        mask.expected = True
    torch.testing.assert_close(loaded(images.float() / 255), torch.tensor(header["example"]["logits"]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
def test_masks_are_of_one_label_and_behind_max_pools(shape, tmp_path):
    network = calibrated(shape)
    path = tmp_path / "own.safetensors"
    checkpoint.save(path, network, {}, torch.zeros(1, 1, 28, 28, dtype=torch.uint8))
    with safe_open(path, "pt") as file:
        nodes = json.loads(file.metadata()["mst-graph"])["nodes"]
    pooled = {source for node in nodes if node["op"] == "max_pool" for source in node["inputs"]}
    for node in nodes:
        if node["op"] in ("qcfs", "max_pool"):
            assert ("mask" in node) == (node["name"] not in pooled), node
    labels = {node["mask"]["label"] for node in nodes if "mask" in node}
    assert labels == {convolutional.LABEL}


def test_what_is_no_network_or_layer_is_named():
    with pytest.raises(ValueError, match="there are resnet18, vgg16"):
        Shape("alexnet")
    with pytest.raises(ValueError, match=r"no such layer; there are conv \(all\), act, layer1.0.act1"):
        calibrated(SHAPES[0]).parse_masks("q=0.5")


def test_a_mask_leaves_the_mean_of_the_logits():
    """Behind the last activation no batch norm makes up for what a mask drops, so the classifier's weights do."""
    network = calibrated(SHAPES[0])
    pixels = torch.rand(64, 1, 28, 28)
    plain = network(pixels)
    network.set_masks(network.parse_masks("layer4.1.act2=0.75"))
    network.expect_masks()
    masked = torch.stack([network(pixels) for _ in range(20)]).mean(0)
    slope = (masked * plain).sum() / plain.square().sum()
    assert abs(slope - 1) < 0.05, slope
