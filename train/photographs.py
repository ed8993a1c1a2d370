"""Crops of the photographs that scikit-image ships: images of any size for networks without a data set of their own."""

import torch
import torch.nn.functional as F
from skimage import data

# Colour photographs that are in the package itself, so that nothing is downloaded.
NAMES = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "immunohistochemistry")
# Shorter side of a crop, as a share of the photograph's.
SMALLEST = 0.2


def load() -> list[torch.Tensor]:
    """Bytes [3, rows, columns]."""
    return [torch.from_numpy(getattr(data, name)().copy()).permute(2, 0, 1) for name in NAMES]


def crops(count: int, side: int, seed: int) -> torch.Tensor:
    """Bytes [count, 3, side, side]: squares of random places, sizes and photographs, every second one mirrored."""
    random = torch.Generator().manual_seed(seed)
    photographs, found = load(), []
    for number in range(count):
        photograph = photographs[number % len(photographs)].float()
        shorter = min(photograph.shape[1:])
        size = int(shorter * (SMALLEST + (1 - SMALLEST) * torch.rand((), generator=random)))
        row, column = (int(torch.randint(length - size + 1, (), generator=random)) for length in photograph.shape[1:])
        crop = photograph[None, :, row : row + size, column : column + size]
        crop = F.interpolate(crop, (side, side), mode="bilinear", antialias=True, align_corners=False)
        found.append(crop.flip(3) if number // len(photographs) % 2 else crop)
    return torch.cat(found).round().clamp(0, 255).to(torch.uint8)
