"""Run with `pytest` in this folder; needs no data set and a few seconds."""

import math

import pytest
import torch

import checkpoint
from masking import SpikeMask, meeting_noise, parse, slot_noise
from network import Architecture, MaskedSpikingTransformer

DEPTHS = (2, 1)


def test_later_rules_override_earlier_ones():
    ratios = parse("q=0.75,attn=0.5,stages.0.blocks.1:q=0.25,stages.1.blocks.0:attn=0", DEPTHS)
    assert ratios == {
        "stages.0.blocks.0.attn.q": 0.75,
        "stages.0.blocks.1.attn.q": 0.25,
        "stages.1.blocks.0.attn.q": 0.75,
        "stages.0.blocks.0.attn.scores": 0.5,
        "stages.0.blocks.1.attn.scores": 0.5,
    }
    assert parse("", DEPTHS) == {}


@pytest.mark.parametrize("rule", ["v=0.5", "stages.7.blocks.0:q=0.5", "q=1", "q=-0.1", "q=much"])
def test_what_is_no_rule_is_refused(rule):
    with pytest.raises(ValueError):
        parse(rule, DEPTHS)


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75, 0.875])
def test_survivors_are_binomial(ratio):
    torch.manual_seed(1)
    mask, threshold = SpikeMask(8), torch.tensor([0.7])
    mask.set_ratio(ratio)
    for spikes in range(9):
        x = threshold * spikes / 8 * torch.ones(200_000)
        survivors = mask(x, threshold) * 8 / threshold
        assert torch.allclose(survivors, survivors.round(), atol=1e-4)
        mean, variance = spikes * (1 - ratio), spikes * (1 - ratio) * ratio
        # Five deviations of a mean of 200,000, and two percent of the variance.
        assert survivors.mean().item() == pytest.approx(mean, abs=5 * math.sqrt(variance / 200_000) + 1e-6)
        assert survivors.var().item() == pytest.approx(variance, rel=0.02, abs=1e-6)


def test_a_mask_passes_gradients_of_what_survives():
    mask, threshold = SpikeMask(4), torch.tensor([1.0])
    mask.set_ratio(0.5)
    x = torch.full((1000,), 0.75, requires_grad=True)
    masked = mask(x, threshold)
    masked.sum().backward()
    assert torch.allclose(x.grad * 0.75, masked.detach())


def test_meeting_noise_is_that_of_spikes_in_random_slots():
    torch.manual_seed(2)
    levels, channels, draws = 8, 16, 20_000
    m, n = torch.randint(levels + 1, (channels,)), torch.randint(levels + 1, (channels,))

    def trains(counts):
        order = torch.rand(draws, channels, levels).argsort(-1)
        return order < counts[:, None]

    coincidences = (trains(m) & trains(n)).sum((1, 2)) / levels
    noise = meeting_noise((m / levels).expand(draws, 1, -1), (n / levels).unsqueeze(-1).expand(draws, -1, 1), levels)
    assert coincidences.mean().item() == pytest.approx((m * n).sum().item() / levels**2, rel=0.01)
    assert noise.std().item() == pytest.approx(coincidences.std().item(), rel=0.03)


def test_masks_and_what_they_leave_survive_the_export(tmp_path):
    network = MaskedSpikingTransformer(Architecture())
    ratios = parse("q=0.75,stages.1.blocks.0:fc1=0.5", network.arch.depths)
    network.set_masks(ratios)
    checkpoint.save(tmp_path / "a.safetensors", network, {}, torch.zeros(1, 1, 28, 28, dtype=torch.uint8))
    reloaded, header = checkpoint.load(tmp_path / "a.safetensors")
    assert header["masks"] == ratios
    assert {layer: mask.ratio for layer, mask in reloaded.masks().items() if mask.ratio} == ratios
    with pytest.raises(ValueError, match="stages.9"):
        network.set_masks({"stages.9.blocks.0.attn.q": 0.5})


def test_masks_leave_rates_about_where_they_were():
    torch.manual_seed(3)
    network = MaskedSpikingTransformer(Architecture())
    network.calibrate(torch.rand(16, 1, 28, 28))
    attention = network.stages[0].blocks[0].attn
    rates = []
    attention.score_threshold.register_forward_hook(lambda site, _, out: rates.append((out / site.value()).mean().item()))
    with torch.no_grad():
        network(torch.rand(16, 1, 28, 28))
        network.set_masks(parse("q=0.5,k=0.5,attn=0.5", network.arch.depths))
        network(torch.rand(16, 1, 28, 28))
        network.expect_masks()
        network(torch.rand(16, 1, 28, 28))
    unmasked, masked, adapted = rates
    assert abs(adapted - unmasked) < 0.1 < abs(masked - unmasked)


def test_slot_noise_is_that_of_spikes_that_meet_in_the_kept_slots():
    levels, draws = 8, 100_000
    for m, n, kept in [(4, 4, 2), (4, 4, 8), (3, 5, 4), (7, 2, 1)]:
        spikes = [torch.rand(draws, levels).argsort(1) < count for count in (m, n)]
        met = (spikes[0] & spikes[1])[:, :kept].sum(1) / levels
        a, b, share = (torch.full((1, 1), value / levels) for value in (m, n, kept))
        assert abs(met.mean() - (share * a * b).item()) < 0.002
        noise = torch.stack([slot_noise(a, b, share, levels) for _ in range(4000)])
        assert abs(noise.std() / met.std() - 1) < 0.05, (m, n, kept)


def test_shared_masks_leave_the_draw_to_products():
    mask = SpikeMask(8)
    mask.set_ratio(0.75)
    mask.shared = True
    x = torch.rand(4, 5)
    assert mask(x, torch.ones(1)) is x
    kept = mask.slots((20_000,))
    assert abs(kept.mean() - 0.25) < 0.01 and set((kept * 8).tolist()) <= set(range(9))
    mask.expected = True
    assert mask.slots((2,)).tolist() == [0.25, 0.25]


def test_shared_masks_come_back_from_a_file(tmp_path):
    torch.manual_seed(2)
    network = MaskedSpikingTransformer(Architecture(height=8, width=8, dims=(8,), depths=(1,), heads=(2,), window=4))
    network.calibrate(torch.rand(4, 1, 8, 8))
    network.eval().set_masks(network.parse_masks("q=0.5,k=0.5,attn=0.25"))
    network.share_masks()
    path = tmp_path / "shared.safetensors"
    checkpoint.save(path, network, {}, torch.randint(256, (2, 1, 8, 8), dtype=torch.uint8))
    loaded, header = checkpoint.load(path)
    block = "stages.0.blocks.0.attn"
    assert header["masks"][f"{block}.k"] == {"ratio": 0.5, "shared": True, "draws_of": f"{block}.q"}
    assert header["masks"][f"{block}.scores"] == {"ratio": 0.25, "shared": True}
    assert all(loaded.masks()[layer].shared for layer in header["masks"])
    uneven = MaskedSpikingTransformer(network.arch)
    uneven.set_masks(uneven.parse_masks("q=0.5"))
    with pytest.raises(ValueError, match="both have one"):
        uneven.share_masks()
