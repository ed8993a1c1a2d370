"""How to export a network of your own: its modules, under its names, become the tensors that the converter reads.

`OwnSwin` is written the way Swin transformers usually are, unlike `network.py`: a convolution cuts patches, one linear layer
makes queries, keys and values, linear layers have biases and no batch norm, merging takes neighbours column by column. `tensors`
maps it, one line a part; copy that function and change its right-hand sides. docs/checkpoint.md says what each tensor means.

    python export_example.py own.safetensors && cargo run --release -p gen -- convert own.safetensors --out own.mst --report
"""

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

SIDE, CHANNELS, PATCH, DIMS, DEPTHS, HEADS, WINDOW, MLP_RATIO, LEVELS, CLASSES = 16, 3, 2, (8, 12), (2, 1), (2, 3), 4, 3, 8, 5


class Activation(nn.Module):
    """QCFS with a trained threshold."""

    def __init__(self, threshold: float):
        super().__init__()
        self.thresh = nn.Parameter(torch.tensor(threshold))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.thresh * (torch.floor(x * LEVELS / self.thresh + 0.5) / LEVELS).clamp(0, 1)


class ChannelNorm(nn.BatchNorm1d):
    """Batch norm of the last axis."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.flatten(0, -2)).view_as(x)


class OwnAttention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.q_if, self.k_if, self.v_if = Activation(0.7), Activation(0.8), Activation(0.9)
        self.attn_if, self.attn_v_if, self.proj_if = Activation(0.6), Activation(2.0), Activation(0.5)
        self.relative_position_bias_table = nn.Parameter(torch.randn((2 * WINDOW - 1) ** 2, heads) * 0.2)
        y, x = (torch.arange(WINDOW**2) // WINDOW, torch.arange(WINDOW**2) % WINDOW)
        index = (y[:, None] - y + WINDOW - 1) * (2 * WINDOW - 1) + x[:, None] - x + WINDOW - 1
        self.register_buffer("relative_position_index", index)

    def forward(self, x: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        """Windows [batch * windows, tokens, dim]; `allowed` [windows, tokens, tokens] says which pairs attend."""
        count, tokens, dim = x.shape
        q, k, v = self.qkv(x).view(count, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = self.q_if(q) @ self.k_if(k).transpose(-2, -1) * (dim // self.heads) ** -0.5
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        attention = self.attn_if(scores + bias).unflatten(0, (-1, len(allowed))) * allowed[:, None]
        context = self.attn_v_if(attention.flatten(0, 1) @ self.v_if(v))
        return self.proj_if(self.proj(context.transpose(1, 2).flatten(2)))


class OwnBlock(nn.Module):
    def __init__(self, dim: int, heads: int, side: int, shifted: bool):
        super().__init__()
        self.side, self.shift = side, WINDOW // 2 if shifted and side > WINDOW else 0
        self.norm1, self.shortcut1_if, self.attn = ChannelNorm(dim), Activation(1.0), OwnAttention(dim, heads)
        self.norm2, self.shortcut2_if = ChannelNorm(dim), Activation(1.1)
        self.fc1, self.fc1_if = nn.Linear(dim, MLP_RATIO * dim), Activation(0.8)
        self.fc2, self.fc2_if = nn.Linear(MLP_RATIO * dim, dim), Activation(0.6)
        # Tokens that were no neighbours before the cyclic shift lie in different regions.
        position = torch.arange(side)
        region = (position >= side - WINDOW).long() + (position >= side - self.shift).long()
        region = self.windows((region[:, None] * 3 + region).view(1, side, side, 1)).squeeze(-1)
        self.register_buffer("allowed", region[:, :, None] == region[:, None, :])

    def windows(self, x: torch.Tensor) -> torch.Tensor:
        batch, side, _, channels = x.shape
        x = x.view(batch, side // WINDOW, WINDOW, side // WINDOW, WINDOW, channels)
        return x.transpose(2, 3).reshape(-1, WINDOW**2, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.shortcut1_if(self.norm1(x)).roll((-self.shift, -self.shift), (1, 2))
        h = self.attn(self.windows(h), self.allowed)
        across = self.side // WINDOW
        h = h.view(len(x), across, across, WINDOW, WINDOW, -1).transpose(2, 3).reshape(x.shape)
        x = x + h.roll((self.shift, self.shift), (1, 2))
        return x + self.fc2_if(self.fc2(self.fc1_if(self.fc1(self.shortcut2_if(self.norm2(x))))))


class OwnMerging(nn.Module):
    def __init__(self, dim: int, following: int):
        super().__init__()
        self.norm, self.norm_if = ChannelNorm(dim), Activation(1.0)
        self.reduction, self.reduction_if = nn.Linear(4 * dim, following, bias=False), Activation(0.7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm_if(self.norm(x))
        # Swin's order: down the columns.
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        return self.reduction_if(self.reduction(x))


class OwnSwin(nn.Module):
    def __init__(self):
        super().__init__()
        sides = [SIDE // PATCH >> stage for stage in range(len(DIMS))]
        self.patch_embed = nn.Conv2d(CHANNELS, DIMS[0], PATCH, PATCH)
        self.patch_norm, self.patch_if = nn.BatchNorm2d(DIMS[0]), Activation(1.0)
        self.layers = nn.ModuleList(
            nn.ModuleList(OwnBlock(dim, heads, side, block % 2 == 1) for block in range(depth))
            for dim, depth, heads, side in zip(DIMS, DEPTHS, HEADS, sides)
        )
        self.downsample = nn.ModuleList(OwnMerging(*pair) for pair in zip(DIMS, DIMS[1:]))
        self.norm, self.norm_if, self.head = ChannelNorm(DIMS[-1]), Activation(1.2), nn.Linear(DIMS[-1], CLASSES)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = self.patch_if(self.patch_norm(self.patch_embed(pixels))).permute(0, 2, 3, 1)
        for stage, blocks in enumerate(self.layers):
            for block in blocks:
                x = block(x)
            if stage < len(self.downsample):
                x = self.downsample[stage](x)
        return self.head(self.norm_if(self.norm(x)).mean((1, 2)))


def norm(name: str, module: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of a batch norm."""
    return {f"{name}.{part}": getattr(module, part) for part in ("weight", "bias", "running_mean", "running_var")}


def tensors(own: OwnSwin) -> dict[str, torch.Tensor]:
    """Every tensor that the converter reads, from the module that holds it here."""
    out = norm("patch_embed.bn", own.patch_norm)
    out["patch_embed.weight"] = own.patch_embed.weight.flatten(1)  # [out, channel, row, column] -> [out, in]
    out["patch_embed.bias"] = own.patch_embed.bias
    out["patch_embed.threshold"] = own.patch_if.thresh
    for s, blocks in enumerate(own.layers):
        for b, block in enumerate(blocks):
            name, attention = f"stages.{s}.blocks.{b}", block.attn
            out |= norm(f"{name}.norm1", block.norm1) | norm(f"{name}.norm2", block.norm2)
            out[f"{name}.norm1.threshold"] = block.shortcut1_if.thresh
            out[f"{name}.norm2.threshold"] = block.shortcut2_if.thresh
            for part, weight, bias in zip("qkv", attention.qkv.weight.chunk(3), attention.qkv.bias.chunk(3)):
                out[f"{name}.attn.{part}.weight"], out[f"{name}.attn.{part}.bias"] = weight, bias
                out[f"{name}.attn.{part}.threshold"] = getattr(attention, f"{part}_if").thresh
            out[f"{name}.attn.bias_table"] = attention.relative_position_bias_table
            out[f"{name}.attn.score_threshold"] = attention.attn_if.thresh
            out[f"{name}.attn.context_threshold"] = attention.attn_v_if.thresh
            for part, linear, activation in (
                ("attn.proj", attention.proj, attention.proj_if),
                ("mlp.fc1", block.fc1, block.fc1_if),
                ("mlp.fc2", block.fc2, block.fc2_if),
            ):
                out[f"{name}.{part}.weight"], out[f"{name}.{part}.bias"] = linear.weight, linear.bias
                out[f"{name}.{part}.threshold"] = activation.thresh
    for s, merging in enumerate(own.downsample):
        name = f"stages.{s}.merge"
        out |= norm(f"{name}.norm", merging.norm)
        out[f"{name}.norm.threshold"] = merging.norm_if.thresh
        # Neighbours go along the rows: (0,0) (0,1) (1,0) (1,1).
        first, below, right, last = merging.reduction.weight.chunk(4, 1)
        out[f"{name}.reduction.weight"] = torch.cat([first, right, below, last], 1)
        out[f"{name}.reduction.threshold"] = merging.reduction_if.thresh
    out |= norm("head.norm", own.norm)
    out["head.norm.threshold"] = own.norm_if.thresh
    out["head.weight"], out["head.bias"] = own.head.weight, own.head.bias
    # Thresholds have one element.
    return {name: value.detach().float().reshape(value.shape or (1,)).contiguous() for name, value in out.items()}


def header(own: OwnSwin) -> dict:
    """The architecture, as the converter reads it."""
    image = {"height": SIDE, "width": SIDE, "channels": CHANNELS}
    shape = {"patch": PATCH, "dims": DIMS, "depths": DEPTHS, "heads": HEADS, "window": WINDOW, "mlp_ratio": MLP_RATIO}
    # What `forward` computes: nothing in the names of tensors would tell. Pixels are bytes / 255 here; if yours are normalised
    # after that, add "mean" and "std", a number or one a channel. "class_names" is optional.
    kinds = {"activation": "qcfs", "attention": "qcfs", "norm": "batch_norm", "residual": "add"}
    rest = {"levels": LEVELS, "classes": CLASSES, "bn_eps": own.norm.eps, "masks": {}}
    return {"format": "mst-checkpoint", "version": 1, "image": image, **shape, **rest, **kinds}


def example() -> tuple[OwnSwin, torch.Tensor]:
    """A network with random weights and statistics, in the place of your trained one, and an image of bytes."""
    torch.manual_seed(7)
    own = OwnSwin()
    for module in own.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.weight.data.uniform_(0.6, 1.4)
            module.bias.data.uniform_(0.1, 0.5)
            module.running_mean.uniform_(0.0, 0.4)
            module.running_var.uniform_(0.2, 0.8)
    return own.eval(), torch.randint(256, (1, CHANNELS, SIDE, SIDE))


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="safetensors file to write")
    args = parser.parse_args()
    own, image = example()
    # With an image and its logits in it, the converter sees whether it computes what this network computes, and refuses if not.
    expected = {"pixels": image.flatten().tolist(), "logits": own(image / 255).flatten().tolist()}
    save_file(tensors(own), args.out, {"mst": json.dumps({**header(own), "example": expected})})


if __name__ == "__main__":
    main()
