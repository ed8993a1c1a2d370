"""The Masked Spiking Transformer as an analog network with QCFS activations.

Every activation is quantised to `levels` steps below a trained threshold, which is what an integrate-and-fire neuron
with that threshold emits over `levels` time steps; nothing in here spikes yet. Module and parameter names are the
tensor names of the exported checkpoint (see `checkpoint.py`).

Shapes: B images, N tokens in raster order, C channels, W tokens in a window; tensors are [B, N, C] unless noted.
"""

import copy
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from masking import SpikeMask, meeting_noise, parse, slot_noise


@dataclass(frozen=True)
class Architecture:
    """Everything that fixes the network's shape; checked once here and trusted below."""

    height: int = 28
    width: int = 28
    channels: int = 1
    # Channels of a layer of single pixels in front of the patches, as event frames have it; 0: none, then the patches read the image.
    reduction: int = 0
    patch: int = 2
    dims: tuple[int, ...] = (32, 64)
    depths: tuple[int, ...] = (2, 2)
    heads: tuple[int, ...] = (1, 2)
    window: int = 7
    mlp_ratio: int = 4
    levels: int = 8
    classes: int = 10
    bn_eps: float = 1e-5

    def __post_init__(self):
        if not len(self.dims) == len(self.depths) == len(self.heads):
            raise ValueError(f"dims {self.dims}, depths {self.depths} and heads {self.heads} must have one value a stage")
        if self.height % self.patch or self.width % self.patch:
            raise ValueError(f"image {self.height}x{self.width} is not a multiple of patch {self.patch}")
        for stage, (dim, heads) in enumerate(zip(self.dims, self.heads)):
            if dim % heads:
                raise ValueError(f"stage {stage}: {dim} channels do not split over {heads} heads")
            rows, columns = self.tokens(stage)
            if rows % self.window or columns % self.window:
                raise ValueError(f"stage {stage}: {rows}x{columns} tokens are not a multiple of window {self.window}")
            if stage + 1 < len(self.dims) and (rows % 2 or columns % 2):
                raise ValueError(f"stage {stage}: {rows}x{columns} tokens cannot be merged 2x2")

    @classmethod
    def of(cls, fields: dict) -> "Architecture":
        """From names and values as JSON and the command line have them."""
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})

    def tokens(self, stage: int) -> tuple[int, int]:
        """Rows and columns of the token map of a stage."""
        return self.height // self.patch >> stage, self.width // self.patch >> stage

    def shift(self, stage: int, block: int) -> int:
        """Cyclic shift of a block: half a window in odd blocks, none where one window covers the map."""
        return self.window // 2 if block % 2 and min(self.tokens(stage)) > self.window else 0


class StraightThroughFloor(torch.autograd.Function):
    """floor forward, identity backward."""

    @staticmethod
    def forward(context, x):
        return torch.floor(x)

    @staticmethod
    def backward(context, gradient):
        return gradient


def qcfs(x: torch.Tensor, threshold: torch.Tensor, levels: int) -> torch.Tensor:
    """Quantisation-clip-floor-shift: threshold * clip(floor(x * levels / threshold + 1/2) / levels, 0, 1).

    The gradient passes the floor unchanged, so for x inside the clip range it is 1 for x and q - x / threshold for the
    threshold (q the quantised fraction); above the range 0 and 1; below it 0 and 0.
    """
    steps = StraightThroughFloor.apply(x * (levels / threshold) + 0.5)
    return threshold * (steps / levels).clamp(0.0, 1.0)


class Qcfs(nn.Module):
    """One activation site with its threshold, trained as a logarithm: always positive, and steps are relative."""

    def __init__(self, levels: int):
        super().__init__()
        self.levels = levels
        self.log = nn.Parameter(torch.zeros(1))
        self.calibrating = False
        self.quantised = True
        # Whether the latest batch's spikes, over the levels, and neurons are kept: see `spike_rate`.
        self.counting = False
        self.rates, self.neurons = None, 0

    def value(self) -> torch.Tensor:
        return self.log.exp()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.calibrating:
            # 2^20 values at most: torch.quantile refuses more than 2^24.
            sample = x.detach().float().flatten()[: 1 << 20]
            self.log.data.fill_(math.log(max(torch.quantile(sample, 0.99).item(), 1e-2)))
        # Half precision would blur the level boundaries.
        threshold, exact = self.value(), x.float()
        out = qcfs(exact, threshold, self.levels) if self.quantised else threshold * (exact / threshold).clamp(0.0, 1.0)
        if self.counting:
            self.rates, self.neurons = (out / threshold).sum(), out.numel()
        return out.to(x.dtype)


class TokenBatchNorm(nn.Module):
    """Batch normalisation of the channels over all tokens of all images of a batch."""

    def __init__(self, channels: int, eps: float):
        super().__init__()
        self.eps = eps
        self.momentum = 0.1
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(
            x.flatten(0, -2), self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum, self.eps
        ).view_as(x)


class SpikingNorm(TokenBatchNorm):
    """BN -> QCFS, as on the residual stream."""

    def __init__(self, channels: int, arch: Architecture):
        super().__init__(channels, arch.bn_eps)
        self.threshold = Qcfs(arch.levels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.threshold(super().forward(x))


class SpikingLinear(nn.Module):
    """Linear without bias -> BN -> QCFS."""

    def __init__(self, inputs: int, outputs: int, arch: Architecture):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / math.sqrt(inputs))
        self.bn = TokenBatchNorm(outputs, arch.bn_eps)
        self.threshold = Qcfs(arch.levels)
        self.mask = SpikeMask(arch.levels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mask(self.threshold(self.bn(F.linear(x, self.weight))), self.threshold.value())


def partition_windows(x: torch.Tensor, window: int, shift: int) -> torch.Tensor:
    """[B, rows, columns, C] -> [B, windows, W, C] after rolling the map up and left by `shift`."""
    if shift:
        x = torch.roll(x, (-shift, -shift), (1, 2))
    batch, rows, columns, channels = x.shape
    x = x.view(batch, rows // window, window, columns // window, window, channels)
    return x.transpose(2, 3).reshape(batch, -1, window * window, channels)


def reverse_windows(x: torch.Tensor, window: int, shift: int, rows: int, columns: int) -> torch.Tensor:
    """The inverse of `partition_windows`."""
    batch, _, _, channels = x.shape
    x = x.view(batch, rows // window, columns // window, window, window, channels)
    x = x.transpose(2, 3).reshape(batch, rows, columns, channels)
    return torch.roll(x, (shift, shift), (1, 2)) if shift else x


def same_region(rows: int, columns: int, window: int, shift: int) -> torch.Tensor:
    """[windows, W, W]: whether a query and a key of a shifted window were neighbours before the roll wrapped around."""

    def regions(size: int) -> torch.Tensor:
        position = torch.arange(size)
        return (position >= size - window).long() + (position >= size - shift).long()

    if not shift:
        return torch.ones(rows // window * (columns // window), window**2, window**2, dtype=torch.bool)
    region = regions(rows)[:, None] * 3 + regions(columns)[None, :]
    region = partition_windows(region[None, :, :, None], window, 0)[0, :, :, 0]
    return region[:, :, None] == region[:, None, :]


def relative_positions(window: int) -> torch.Tensor:
    """[W, W]: row of the bias table for query i and key j: (yi-yj+w-1)*(2w-1) + (xi-xj+w-1)."""
    y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    y, x = y.flatten(), x.flatten()
    return (y[:, None] - y[None, :] + window - 1) * (2 * window - 1) + (x[:, None] - x[None, :] + window - 1)


class WindowAttention(nn.Module):
    """Attention inside (shifted) windows, without softmax: QCFS takes its place."""

    def __init__(self, dim: int, heads: int, tokens: tuple[int, int], shift: int, arch: Architecture):
        super().__init__()
        self.heads, self.tokens, self.window, self.shift = heads, tokens, arch.window, shift
        self.q = SpikingLinear(dim, dim, arch)
        self.k = SpikingLinear(dim, dim, arch)
        self.v = SpikingLinear(dim, dim, arch)
        self.bias_table = nn.Parameter(torch.zeros((2 * arch.window - 1) ** 2, heads))
        self.score_threshold = Qcfs(arch.levels)
        self.score_mask = SpikeMask(arch.levels)
        self.context_threshold = Qcfs(arch.levels)
        self.meetings = False
        self.proj = SpikingLinear(dim, dim, arch)
        self.register_buffer("relative", relative_positions(arch.window), persistent=False)
        self.register_buffer("allowed", same_region(*tokens, arch.window, shift)[:, None], persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, dim = x.shape
        x = partition_windows(x.view(batch, *self.tokens, dim), self.window, self.shift)
        # [B, windows, heads, W, C / heads]
        q, k, v = (site(x).unflatten(-1, (self.heads, -1)).transpose(2, 3) for site in (self.q, self.k, self.v))
        # Where tokens share masks, q and k have one: what it keeps of a channel's time slots it keeps of both.
        kept = self.q.mask.slots((batch, 1, self.heads, 1, q.shape[-1])) if self.q.mask.shared else None
        scores = self.product(q, self.q.threshold, k.transpose(-2, -1), self.k.threshold, kept) / math.sqrt(dim // self.heads)
        if self.score_threshold.calibrating:
            # Spikes are never negative, so neither are scores: without an offset every key would fire for every query.
            self.bias_table.data.sub_(scores.mean())
        bias = self.bias_table[self.relative].permute(2, 0, 1)
        attention = self.score_threshold(scores + bias) * self.allowed
        attention = self.score_mask(attention, self.score_threshold.value()).to(v.dtype)
        mask = self.score_mask
        kept = mask.slots((*attention.shape[:3], 1, attention.shape[-1])) if mask.shared else None
        context = self.context_threshold(self.product(attention, self.score_threshold, v, self.v.threshold, kept))
        out = self.proj(context.transpose(2, 3).flatten(3))
        return reverse_windows(out, self.window, self.shift, *self.tokens).view(batch, tokens, dim)

    def product(
        self, a: torch.Tensor, a_site: Qcfs, b: torch.Tensor, b_site: Qcfs, kept: torch.Tensor | None
    ) -> torch.Tensor:
        """`a @ b`, as it is on average over the time slots that spikes fire into, or as it comes out in one draw; in the `kept` share of the slots."""
        mean = (a if kept is None else a * kept.to(a.dtype)) @ b
        if not self.meetings:
            return mean
        with torch.no_grad():
            scale = a_site.value() * b_site.value()
            rates = a / a_site.value().to(a.dtype), b / b_site.value().to(b.dtype)
            levels = a_site.levels
            noise = scale * (meeting_noise(*rates, levels) if kept is None else slot_noise(*rates, kept.to(a.dtype), levels))
        return mean + noise.to(mean.dtype)


class Mlp(nn.Module):
    def __init__(self, dim: int, arch: Architecture):
        super().__init__()
        self.fc1 = SpikingLinear(dim, dim * arch.mlp_ratio, arch)
        self.fc2 = SpikingLinear(dim * arch.mlp_ratio, dim, arch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.fc1(x))


class Block(nn.Module):
    """Attention and MLP, each added to a residual stream that is never quantised itself."""

    def __init__(self, stage: int, block: int, arch: Architecture):
        super().__init__()
        dim = arch.dims[stage]
        self.norm1 = SpikingNorm(dim, arch)
        self.attn = WindowAttention(dim, arch.heads[stage], arch.tokens(stage), arch.shift(stage, block), arch)
        self.norm2 = SpikingNorm(dim, arch)
        self.mlp = Mlp(dim, arch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Merge(nn.Module):
    """Halves the token map: 2x2 neighbours, in the order (0,0) (0,1) (1,0) (1,1) [row, column], become one token."""

    def __init__(self, stage: int, arch: Architecture):
        super().__init__()
        dim = arch.dims[stage]
        self.tokens = arch.tokens(stage)
        self.norm = SpikingNorm(dim, arch)
        self.reduction = SpikingLinear(4 * dim, arch.dims[stage + 1], arch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, columns = self.tokens
        h = self.norm(x).view(len(x), rows // 2, 2, columns // 2, 2, -1)
        return self.reduction(h.transpose(2, 3).reshape(len(x), rows * columns // 4, -1))


class Stage(nn.Module):
    def __init__(self, stage: int, arch: Architecture):
        super().__init__()
        self.blocks = nn.ModuleList(Block(stage, block, arch) for block in range(arch.depths[stage]))
        self.merge = Merge(stage, arch) if stage + 1 < len(arch.dims) else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.merge(x) if self.merge else x


class Head(nn.Module):
    """BN -> QCFS, mean over tokens, linear: the only layer with a bias and without an activation."""

    def __init__(self, arch: Architecture):
        super().__init__()
        self.norm = SpikingNorm(arch.dims[-1], arch)
        self.weight = nn.Parameter(torch.randn(arch.classes, arch.dims[-1]) / math.sqrt(arch.dims[-1]))
        self.bias = nn.Parameter(torch.zeros(arch.classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(self.norm(x).mean(1), self.weight, self.bias)


class SpikingNetwork(nn.Module):
    """What training needs of a network of QCFS activations with masks."""

    def masks(self) -> dict[str, SpikeMask]:
        """Every mask by the name of its layer in the converted network."""
        raise NotImplementedError

    def parse_masks(self, rules: str) -> dict[str, float]:
        """Ratios by layer from rules as `--mask` takes them."""
        raise NotImplementedError

    def expect_masks(self) -> None:
        """Scales what reads masked spikes so that rates start out as without masks, where no batch norm does it."""
        raise NotImplementedError

    def set_masks(self, ratios: dict[str, float]) -> None:
        """Masks the layers named, and no others."""
        masks = self.masks()
        if unknown := ratios.keys() - masks.keys():
            raise ValueError(f"no mask sites: {', '.join(sorted(unknown))}; there are {', '.join(masks)}")
        for layer, mask in masks.items():
            mask.set_ratio(ratios.get(layer, 0.0))

    def expected(self) -> "SpikingNetwork":
        """A copy in evaluation mode whose masks pass on what they leave on average."""
        network = copy.deepcopy(self).eval()
        for mask in network.masks().values():
            mask.expected = True
        return network

    def set_quantised(self, quantised: bool) -> None:
        """Whether activations have levels, or are clipped ReLUs with the same thresholds."""
        for module in self.modules():
            if isinstance(module, Qcfs):
                module.quantised = quantised

    def set_counting(self, counting: bool) -> None:
        """Whether `spike_rate` is wanted."""
        for module in self.modules():
            if isinstance(module, Qcfs):
                module.counting = counting

    def spike_rate(self) -> torch.Tensor:
        """Spikes a neuron and time step that the latest batch fired, as a mean over all neurons of the network."""
        sites = [module for module in self.modules() if isinstance(module, Qcfs)]
        return sum(site.rates for site in sites) / sum(site.neurons for site in sites)

    @torch.no_grad()
    def calibrate(self, pixels: torch.Tensor) -> None:
        """Sets every threshold to the 99th percentile its site sees in one batch; call once, before training."""
        sites = [module for module in self.modules() if isinstance(module, Qcfs)]
        for site in sites:
            site.calibrating = True
        self.train()
        self(pixels)
        for site in sites:
            site.calibrating = False


class MaskedSpikingTransformer(SpikingNetwork):
    """[B, channels, height, width] pixels in 0..1 -> [B, classes] logits."""

    def __init__(self, arch: Architecture):
        super().__init__()
        self.arch = arch
        self.reduction = SpikingLinear(arch.channels, arch.reduction, arch) if arch.reduction else None
        self.patch_embed = SpikingLinear((arch.reduction or arch.channels) * arch.patch**2, arch.dims[0], arch)
        self.stages = nn.ModuleList(Stage(stage, arch) for stage in range(len(arch.dims)))
        self.head = Head(arch)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        if self.reduction:
            pixels = self.reduction(pixels.movedim(1, -1)).movedim(-1, 1)
        # A patch is flattened in the order channel, row, column, like the kernel of a convolution.
        patches = F.pixel_unshuffle(pixels, self.arch.patch).flatten(2).transpose(1, 2)
        x = self.patch_embed(patches)
        for stage in self.stages:
            x = stage(x)
        return self.head(x)

    def masks(self) -> dict[str, SpikeMask]:
        found = {}
        for stage, blocks in enumerate(self.stages):
            for index, block in enumerate(blocks.blocks):
                name = f"stages.{stage}.blocks.{index}"
                attention = {"q": block.attn.q.mask, "k": block.attn.k.mask, "scores": block.attn.score_mask}
                found |= {f"{name}.attn.{layer}": mask for layer, mask in attention.items()}
                found[f"{name}.mlp.fc1"] = block.mlp.fc1.mask
        return found

    def parse_masks(self, rules: str) -> dict[str, float]:
        """As `masking.parse` reads them."""
        return parse(rules, self.arch.depths)

    def share_masks(self) -> None:
        """Lets tokens share the masks of q, k and attention, and q and k have one."""
        for module in self.modules():
            if isinstance(module, WindowAttention):
                if module.q.mask.ratio != module.k.mask.ratio:
                    raise ValueError(f"q is masked by {module.q.mask.ratio} and k by {module.k.mask.ratio}: with shared masks both have one")
                for mask in (module.q.mask, module.k.mask, module.score_mask):
                    mask.shared = True

    def expected(self) -> "MaskedSpikingTransformer":
        """Also without the noise of spikes that meet."""
        network = super().expected()
        network.set_meetings(False)
        return network

    def set_meetings(self, drawn: bool) -> None:
        """Whether products of spike trains carry the noise of spikes that meet by chance."""
        for module in self.modules():
            if isinstance(module, WindowAttention):
                module.meetings = drawn

    @torch.no_grad()
    def expect_masks(self) -> None:
        """Scales what follows a product by the share of spikes that the masks leave, so that rates start out unchanged."""
        for module in self.modules():
            if isinstance(module, WindowAttention):
                left = 1 - module.q.mask.ratio
                left *= 1 if module.q.mask.shared else 1 - module.k.mask.ratio
                module.score_threshold.log.add_(math.log(left))
                module.bias_table.mul_(left)
                module.context_threshold.log.add_(math.log(1 - module.score_mask.ratio))
