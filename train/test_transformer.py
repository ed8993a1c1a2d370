"""Run with `pytest` in this folder: the transformer as a graph file."""

import torch

import checkpoint
from network import Architecture, MaskedSpikingTransformer

ARCH = Architecture(height=8, width=8, channels=6, reduction=2, dims=(8, 16), depths=(2, 1), heads=(2, 2), window=2)


def test_a_transformer_with_a_reduction_comes_back_from_its_file(tmp_path):
    torch.manual_seed(4)
    network = MaskedSpikingTransformer(ARCH)
    network.calibrate(torch.rand(8, 6, 8, 8))
    network.eval().set_masks(network.parse_masks("q=0.5,k=0.5,attn=0.25,stages.1.blocks.0:fc1=0.5"))
    network.share_masks()
    images = torch.randint(256, (3, 6, 8, 8), dtype=torch.uint8)
    path = tmp_path / "events.safetensors"
    checkpoint.save(path, network, {"epoch": 2}, images)
    loaded, header = checkpoint.load(path)
    assert loaded.arch == ARCH and header["training"]["epoch"] == 2
    for layer, mask in network.masks().items():
        assert (loaded.masks()[layer].ratio, loaded.masks()[layer].shared) == (mask.ratio, mask.shared), layer
        loaded.masks()[layer].expected = True
    torch.testing.assert_close(loaded(images.float() / 255), torch.tensor(header["example"]["logits"]), rtol=1e-5, atol=1e-5)
    masks = {node["name"]: node["mask"] for node in header["nodes"] if "mask" in node}
    assert masks["stages.0.blocks.1.attn"] == {"ratio": 0.25, "shared": True, "label": "attn"}
    assert masks["stages.0.blocks.1.attn.k"]["draws_of"] == "stages.0.blocks.1.attn.q"
