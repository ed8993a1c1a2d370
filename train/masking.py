"""Random spike masking, and the noise of spike trains that meet: what a network must live with as a spiking one.

An analog activation with `levels` steps stands for a train of that many time steps, so dropping each spike with
probability `ratio` thins its spike count to a binomial number of survivors.
"""

import math

import torch
from torch import nn

# What a rule calls the sites of a block, and where they are in it.
MATRICES = {"q": "attn.q", "k": "attn.k", "attn": "attn.scores", "fc1": "mlp.fc1"}


def sites(depths: tuple[int, ...]) -> list[tuple[str, str, str]]:
    """(block, matrix, layer) of every site; layers are called as in the converted network."""
    blocks = [f"stages.{stage}.blocks.{block}" for stage, depth in enumerate(depths) for block in range(depth)]
    return [(block, matrix, f"{block}.{layer}") for block in blocks for matrix, layer in MATRICES.items()]


def parse(rules: str, depths: tuple[int, ...]) -> dict[str, float]:
    """`q=0.75,k=0.75` or `stages.0.blocks.1:attn=0.5`, later rules overriding earlier ones -> ratio by layer."""
    ratios = {}
    for rule in filter(None, rules.split(",")):
        place, _, value = rule.partition("=")
        block, _, matrix = place.rpartition(":")
        layers = [layer for b, m, layer in sites(depths) if m == matrix and block in ("", b)]
        if not layers:
            blocks = sorted({b for b, _, _ in sites(depths)})
            raise ValueError(f"mask `{rule}`: no such site; matrices are {', '.join(MATRICES)}, blocks {', '.join(blocks)}")
        ratios.update(dict.fromkeys(layers, ratio_of(rule, value)))
    return {layer: ratio for layer, ratio in ratios.items() if ratio}


def ratio_of(rule: str, value: str) -> float:
    """A ratio as the hardware has it: it keeps a spike when 8 random bits are at least the ratio in 1/256."""
    ratio = round(float(value) * 256) / 256
    if not 0 <= ratio < 1:
        raise ValueError(f"mask `{rule}`: ratio {value} is not within 0 to 255/256")
    return ratio


def draws_of(layer: str) -> dict[str, str]:
    """Where tokens share masks, keys draw what the queries draw; other layers have draws of their own."""
    return {"draws_of": layer.removesuffix("k") + "q"} if layer.endswith("attn.k") else {}


class SpikeMask(nn.Module):
    """Drops each spike of an activation with probability `ratio`, in training and in inference alike."""

    def __init__(self, levels: int):
        super().__init__()
        self.levels = levels
        self.ratio = 0.0
        # All tokens drop the same time slots of a channel. Whoever multiplies with these spikes then takes `slots` into account: which slots
        # are dropped is not for each activation to draw.
        self.shared = False
        # Passes on what survives on average, instead of a draw.
        self.expected = False
        self.register_buffer("survivors", None, persistent=False)

    def set_ratio(self, ratio: float) -> None:
        """Row n of the table lists the survivors of n spikes by their quantile, 2^16 of them."""
        self.ratio, keep = ratio, 1 - ratio
        quantiles = (torch.arange(1 << 16, dtype=torch.float64) + 0.5) / (1 << 16)
        rows = []
        for n in range(self.levels + 1):
            shares = [math.comb(n, m) * keep**m * ratio ** (n - m) for m in range(n + 1)]
            rows.append(torch.searchsorted(torch.tensor(shares, dtype=torch.float64).cumsum(0), quantiles).clamp(max=n))
        # As factors of the activation; one that is silent passes gradients as on average.
        factors = [row / n if n else torch.full_like(quantiles, keep) for n, row in enumerate(rows)]
        self.survivors = torch.stack(factors).flatten().float()

    def forward(self, x: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
        if not self.ratio or self.shared:
            return x
        if self.expected:
            return x * (1 - self.ratio)
        spikes = (x.detach() * (self.levels / threshold)).round().int()
        draw = torch.randint(1 << 16, x.shape, dtype=torch.int32)
        return x * self.survivors[(spikes << 16) + draw].to(x.dtype)


    def slots(self, shape: tuple[int, ...]) -> torch.Tensor:
        """The share of time slots that a mask which tokens share keeps, drawn for each of `shape`."""
        if self.expected or not self.ratio:
            return torch.full(shape, 1 - self.ratio)
        return torch.binomial(torch.full(shape, float(self.levels)), torch.full(shape, 1 - self.ratio)) / self.levels


def slot_noise(a: torch.Tensor, b: torch.Tensor, kept: torch.Tensor, levels: int) -> torch.Tensor:
    """As `meeting_noise`, of spikes in the `kept` share of the slots of each channel; `kept` has the shape of `a`, or spreads to it.

    A slot has both spikes with probability p = m n / L^2, two slots both of them with that of draws without replacement.
    """
    pairs = lambda x: x * (x * levels - 1).clamp(min=0) / (levels - 1)
    share = (kept * levels - 1) / levels
    variance = (kept * a) @ b / levels + (kept * share * pairs(a)) @ pairs(b) - (kept * a).square() @ b.square()
    return variance.clamp(min=0).sqrt() * torch.randn_like(variance)


def meeting_noise(a: torch.Tensor, b: torch.Tensor, levels: int) -> torch.Tensor:
    """Deviation of `a @ b` when spikes of the two meet by chance; `a` and `b` are rates in 0..1.

    Of two trains with m and n spikes among L time steps, as many coincide as in a draw without replacement: m n / L on
    average, with variance m n (L-m) (L-n) / (L^2 (L-1)).
    """
    variance = ((a * (1 - a)) @ (b * (1 - b))) / (levels - 1)
    return variance.clamp(min=0).sqrt() * torch.randn_like(variance)
