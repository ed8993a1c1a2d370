"""Run with `pytest` in this folder: the exported example computes what the network that it was exported from computes."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import export_example
from network import Architecture, MaskedSpikingTransformer

# Read by the converter's own tests.
SAMPLE = Path(__file__).parent.parent / "model/tests/golden/own_swin.safetensors"


@pytest.fixture
def exported():
    with torch.no_grad():
        own, image = export_example.example()
        yield own, image / 255, export_example.tensors(own), export_example.header(own)


def test_the_mapped_tensors_compute_the_same_logits(exported):
    own, pixels, tensors, header = exported
    image = header["image"]
    names = ("patch", "dims", "depths", "heads", "window", "mlp_ratio", "levels", "classes", "bn_eps")
    arch = Architecture(**image, **{name: header[name] for name in names})
    network = MaskedSpikingTransformer(arch)
    state = {}
    for name, value in network.state_dict().items():
        if name.endswith("threshold.log"):
            state[name] = tensors.pop(name.removesuffix(".log")).log()
        elif ".bn." in name and name not in tensors:
            # What a missing batch norm means: nothing but the bias.
            linear, part = name.split(".bn.")
            identity = {"weight": 1.0, "running_mean": 0.0, "running_var": 1 - arch.bn_eps}
            bias = tensors.pop(f"{linear}.bias", torch.zeros_like(value)) if part == "bias" else None
            state[name] = bias if bias is not None else torch.full_like(value, identity[part])
        else:
            state[name] = tensors.pop(name)
    # A bias in front of a batch norm moves its mean.
    state["patch_embed.bn.running_mean"] = state["patch_embed.bn.running_mean"] - tensors.pop("patch_embed.bias")
    assert not tensors, "every exported tensor is read"
    network.load_state_dict(state)
    torch.testing.assert_close(network.eval()(pixels), own(pixels), rtol=1e-4, atol=1e-4)


def test_the_program_writes_an_example_of_what_it_computes(exported, tmp_path, monkeypatch):
    own, pixels, _, header = exported
    monkeypatch.setattr("sys.argv", ["export_example.py", str(tmp_path / "own.safetensors")])
    export_example.main()
    with safe_open(tmp_path / "own.safetensors", "pt") as file:
        found = json.loads(file.metadata()["mst"])
    torch.testing.assert_close(torch.tensor(found["example"]["logits"]), own(pixels).flatten())
    assert found["residual"] == header["residual"] == "add"


def test_the_sample_of_the_converter_is_what_the_example_writes(exported):
    _, _, tensors, header = exported
    with safe_open(SAMPLE, "pt") as file:
        found = json.loads(file.metadata()["mst"])
        assert set(file.keys()) == set(tensors)
        for name, value in tensors.items():
            torch.testing.assert_close(file.get_tensor(name), value)
    assert {**found, "example": None} == {**json.loads(json.dumps(header)), "example": None}
