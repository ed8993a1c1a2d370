"""Run with `pytest` in this folder; needs no data set and a few seconds."""

import gzip
import json
import struct

import pytest
import torch

import checkpoint
import dataset
from network import (
    Architecture,
    MaskedSpikingTransformer,
    Qcfs,
    partition_windows,
    qcfs,
    relative_positions,
    reverse_windows,
    same_region,
)
from train import Run, one_cycle, options


def randomised_network(arch: Architecture) -> MaskedSpikingTransformer:
    """A calibrated network whose running statistics and position biases are not the initial ones."""
    torch.manual_seed(3)
    network = MaskedSpikingTransformer(arch)
    network.calibrate(torch.rand(8, arch.channels, arch.height, arch.width))
    for name, value in network.named_parameters():
        if name.endswith("bias_table"):
            value.data.add_(torch.randn_like(value))
    return network.eval()


def bytes_like(arch: Architecture, count: int = 1) -> torch.Tensor:
    return torch.randint(256, (count, arch.channels, arch.height, arch.width), dtype=torch.uint8)


def test_an_export_says_what_it_computes_and_shows_it(tmp_path):
    network = randomised_network(Architecture(dims=(8,), depths=(1,), heads=(2,), classes=2))
    images = bytes_like(network.arch, 3)
    checkpoint.save(tmp_path / "a.safetensors", network, {}, images, ("left", "right"))
    _, header = checkpoint.load(tmp_path / "a.safetensors")
    assert {name: header[name] for name in checkpoint.KINDS} == checkpoint.KINDS
    assert header["class_names"] == ["left", "right"]
    assert torch.equal(torch.tensor(header["example"]["pixels"], dtype=torch.uint8), images.flatten(1))
    torch.testing.assert_close(torch.tensor(header["example"]["logits"]), network(images / 255))


def test_the_example_of_a_masked_network_has_expected_activations(tmp_path):
    """Half of the queries' spikes are dropped, so half of each is expected; a draw would differ from run to run."""
    network = randomised_network(Architecture(dims=(8,), depths=(1,), heads=(2,)))
    images = bytes_like(network.arch)
    plain = checkpoint.example(network, images)
    network.set_masks({"stages.0.blocks.0.attn.q": 0.5})
    network.set_meetings(True)
    masked = checkpoint.example(network, images)
    assert masked == checkpoint.example(network, images) and masked != plain
    # Queries enter scores alone, and linearly.
    network.set_masks({})
    network.set_meetings(False)
    q = network.stages[0].blocks[0].attn.q
    q.register_forward_hook(lambda module, inputs, out: out / 2)
    torch.testing.assert_close(torch.tensor(masked["logits"]), network(images / 255))


def test_normalised_pixels_are_refused(tmp_path):
    from safetensors.torch import save_file

    header = {"format": "mst-checkpoint", "version": 1, "mean": 0.5, "std": 0.5}
    save_file({"x": torch.zeros(1)}, tmp_path / "a.safetensors", {"mst": json.dumps(header)})
    with pytest.raises(ValueError, match="mean and std"):
        checkpoint.load(tmp_path / "a.safetensors")


def test_export_and_reload_give_the_same_logits(tmp_path):
    network = randomised_network(Architecture())
    checkpoint.save(tmp_path / "a.safetensors", network, {"seed": 3}, bytes_like(network.arch))
    reloaded, header = checkpoint.load(tmp_path / "a.safetensors")
    pixels = torch.rand(4, 1, 28, 28)
    # A threshold is trained as a logarithm, so it can come back one bit off.
    torch.testing.assert_close(reloaded(pixels), network(pixels))
    assert header["training"] == {"seed": 3}
    assert header["thresholds"]["head.norm.threshold"] == pytest.approx(network.head.norm.threshold.log.exp().item())


def test_other_architectures_survive_the_export(tmp_path):
    arch = Architecture(height=16, width=16, channels=3, dims=(8,), depths=(1,), heads=(2,), window=4, levels=4, classes=3)
    checkpoint.save(tmp_path / "a.safetensors", MaskedSpikingTransformer(arch), {}, bytes_like(arch))
    assert checkpoint.load(tmp_path / "a.safetensors")[0].arch == arch


def test_exported_tensors_have_the_documented_names():
    names = checkpoint.tensors(MaskedSpikingTransformer(Architecture()))
    norm = {"weight", "bias", "running_mean", "running_var"}
    linear = {"weight", "threshold", *(f"bn.{name}" for name in norm)}
    block = {f"{site}.{name}" for site in ("norm1", "norm2") for name in norm | {"threshold"}}
    block |= {f"{site}.{name}" for site in ("attn.q", "attn.k", "attn.v", "attn.proj", "mlp.fc1", "mlp.fc2") for name in linear}
    block |= {"attn.bias_table", "attn.score_threshold", "attn.context_threshold"}
    expected = {f"stages.{stage}.blocks.{index}.{name}" for stage in (0, 1) for index in (0, 1) for name in block}
    expected |= {f"stages.0.merge.norm.{name}" for name in norm | {"threshold"}}
    expected |= {f"stages.0.merge.reduction.{name}" for name in linear}
    expected |= {f"patch_embed.{name}" for name in linear}
    expected |= {f"head.norm.{name}" for name in norm | {"threshold"}} | {"head.weight", "head.bias"}
    assert set(names) == expected


def test_a_file_of_another_format_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="other.safetensors"):
        checkpoint.load(tmp_path / "other.safetensors")


def test_qcfs_rounds_half_up_and_clips():
    x = torch.tensor([-1.0, 0.124, 0.125, 0.374, 0.375, 1.9, 5.0])
    # Threshold 2 and 8 levels: steps of 1/4, taken half a step early.
    expected = torch.tensor([0.0, 0.0, 0.25, 0.25, 0.5, 2.0, 2.0])
    assert torch.equal(qcfs(x, torch.tensor([2.0]), 8), expected)


@pytest.mark.parametrize(
    "x, to_x, to_threshold",
    # Inside the range the threshold's gradient is q - x / threshold: here q = 3/8 and x / threshold = 0.8 / 2.
    [(-1.0, 0.0, 0.0), (0.8, 1.0, 3 / 8 - 0.4), (5.0, 0.0, 1.0)],
)
def test_qcfs_gradient(x, to_x, to_threshold):
    value = torch.tensor([x], requires_grad=True)
    threshold = torch.tensor([2.0], requires_grad=True)
    qcfs(value, threshold, 8).sum().backward()
    assert value.grad.item() == pytest.approx(to_x)
    assert threshold.grad.item() == pytest.approx(to_threshold)


def test_calibration_puts_thresholds_near_the_top_of_the_data():
    site = Qcfs(8)
    site.calibrating = True
    site(torch.linspace(0, 10, 1001))
    assert site.log.exp().item() == pytest.approx(9.9)


def test_smooth_activations_are_clipped_and_quantised_ones_lie_within_half_a_level():
    network = randomised_network(Architecture())
    site, x = network.head.norm.threshold, torch.linspace(-1, 3, 401)
    threshold = site.value().detach()
    network.set_quantised(False)
    smooth = site(x)
    torch.testing.assert_close(smooth, x.clamp(min=0).minimum(threshold))
    network.set_quantised(True)
    assert (site(x) - smooth).abs().max() <= threshold / site.levels / 2 + 1e-6


def test_the_spike_rate_counts_all_neurons_and_pulls_thresholds_up():
    network = randomised_network(Architecture()).train()
    sites = [module for module in network.modules() if isinstance(module, Qcfs)]
    fired = []
    for site in sites:
        site.register_forward_hook(lambda site, _, out: fired.append((out / site.value()).flatten()))
    network.set_counting(True)
    network(torch.rand(4, 1, 28, 28))
    rate = network.spike_rate()
    assert rate.item() == pytest.approx(torch.cat(fired).mean().item(), rel=1e-4)
    rate.backward()
    # The last site, which no other follows: a higher threshold means fewer spikes.
    assert network.head.norm.threshold.log.grad.item() < 0


@pytest.mark.parametrize("shift", [0, 3])
def test_reverse_windows_undoes_partition_windows(shift):
    x = torch.rand(2, 14, 21, 5)
    assert torch.equal(reverse_windows(partition_windows(x, 7, shift), 7, shift, 14, 21), x)


def test_a_window_holds_a_contiguous_square_in_raster_order():
    positions = torch.arange(14 * 14).view(1, 14, 14, 1)
    windows = partition_windows(positions, 7, 3)[0, :, :, 0]
    assert windows[0].tolist() == [row * 14 + column for row in range(3, 10) for column in range(3, 10)]


def test_pairs_attend_only_where_the_roll_did_not_join_distant_tokens():
    window, shift, size = 7, 3, 14
    allowed = same_region(size, size, window, shift)
    rows, columns = (
        partition_windows(axis.expand(size, size)[None, :, :, None], window, shift)[0, :, :, 0]
        for axis in (torch.arange(size)[:, None], torch.arange(size)[None, :])
    )
    near = lambda axis: (axis[:, :, None] - axis[:, None, :]).abs() < window
    assert torch.equal(allowed, near(rows) & near(columns))


def test_masked_pairs_do_not_reach_the_context():
    network = randomised_network(Architecture())
    attention = network.stages[0].blocks[1].attn
    x = torch.rand(1, 14 * 14, 32)
    moved = x.clone()
    # Row 0 shares the shifted windows with row 13 only because of the roll.
    moved[0, :14] = torch.rand(14, 32)
    assert torch.equal(attention(x)[0, 13 * 14 :], attention(moved)[0, 13 * 14 :])


def test_relative_positions_follow_the_documented_formula():
    table = relative_positions(7)
    query, key = 2 * 7 + 5, 4 * 7 + 1
    assert table[query, key] == (2 - 4 + 6) * 13 + (5 - 1 + 6)
    assert table.min() == 0 and table.max() == 13**2 - 1


def test_patches_are_flattened_like_a_convolution_kernel():
    arch = Architecture(channels=2)
    network = randomised_network(arch)
    pixels = torch.rand(3, 2, 28, 28)
    seen = []
    network.patch_embed.bn.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(pixels)
    kernel = network.patch_embed.weight.view(32, 2, 2, 2)
    expected = torch.nn.functional.conv2d(pixels, kernel, stride=2).flatten(2).transpose(1, 2)
    torch.testing.assert_close(seen[0], expected)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"patch": 3}, "patch 3"),
        ({"window": 5}, "window 5"),
        ({"heads": (3, 2)}, "stage 0: 32 channels"),
        ({"depths": (2,)}, "one value a stage"),
    ],
)
def test_impossible_architectures_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Architecture(**wrong)


def test_augmentation_mirrors_and_moves_and_is_seeded():
    image = torch.zeros(64, 1, 28, 28, dtype=torch.uint8)
    image[:, 0, 10, 8] = 255
    moved = dataset.augment(image, torch.Generator().manual_seed(1))
    assert torch.equal(moved, dataset.augment(image, torch.Generator().manual_seed(1)))
    _, _, rows, columns = moved.nonzero(as_tuple=True)
    assert len(rows) == 64 and set(rows.tolist()) == set(range(8, 13))
    assert set(columns.tolist()) == set(range(6, 11)) | set(range(17, 22))


def test_learning_rate_peaks_after_warm_up_and_ends_at_zero():
    assert one_cycle(0.1, 3e-3) == pytest.approx(3e-3)
    assert one_cycle(0.0, 3e-3) < 2e-4 and one_cycle(1.0, 3e-3) == pytest.approx(0.0)


@pytest.fixture
def small_run(tmp_path):
    """Starts a run of two short epochs on noise."""
    images = torch.randint(256, (dataset.HELD_OUT + 64, 8, 8), dtype=torch.uint8)
    labels = torch.randint(10, (len(images),), dtype=torch.uint8)
    for name, values in (("images-idx3", images), ("labels-idx1", labels)):
        header = struct.pack(f">I{values.ndim}I", 0x0800 + values.ndim, *values.shape)
        (tmp_path / f"train-{name}-ubyte.gz").write_bytes(gzip.compress(header + values.numpy().tobytes(), 1))
    shape = "--height 8 --width 8 --dims 8 --depths 1 --heads 1 --window 4 --batch 16 --epochs 2 --eager"

    def start(name: str, *extra: str) -> Run:
        return Run(options([*shape.split(), "--data", str(tmp_path), "--runs", str(tmp_path), "--name", name, *extra]))

    return start


def test_a_resumed_run_ends_like_an_uninterrupted_one(small_run):
    whole, first = small_run("whole"), small_run("cut")
    for run in (whole, whole, first):
        run.finish_epoch(run.train_epoch(), 0.0)
    second = small_run("cut", "--resume")
    second.finish_epoch(second.train_epoch(), 0.0)
    for a, b in zip(whole.averaged.state_dict().values(), second.averaged.state_dict().values()):
        assert torch.equal(a, b)


def test_a_run_is_not_resumed_with_another_recipe(small_run):
    run = small_run("run")
    run.finish_epoch(run.train_epoch(), 0.0)
    with pytest.raises(ValueError, match="started with epochs 2, not 9"):
        small_run("run", "--resume", "--epochs", "9")


def test_every_epoch_exports_and_the_first_is_published(small_run, tmp_path):
    run = small_run("run", "--publish", str(tmp_path / "published"))
    run.finish_epoch(run.train_epoch(), 0.0)
    published, header = checkpoint.load(tmp_path / "published/checkpoint.safetensors")
    assert header["training"]["epoch"] == 1 and published.arch == run.network.arch
    assert (tmp_path / "run/checkpoint.safetensors").exists()
