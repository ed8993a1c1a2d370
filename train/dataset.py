"""Fashion-MNIST from its idx.gz files, and the augmentation used in training."""

import gzip
from pathlib import Path

import numpy as np
import torch

# Where Debian's package dataset-fashion-mnist puts the files.
DEFAULT_FOLDER = Path("/usr/share/datasets/fashion-mnist")
HELD_OUT = 5000
CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"
)  # fmt: skip


def read_idx(path: Path) -> torch.Tensor:
    """One idx file of unsigned bytes: two zero bytes, type 8, the rank, then big-endian sizes and the data."""
    data = gzip.decompress(path.read_bytes())
    if data[:3] != b"\0\0\x08":
        raise ValueError(f"{path}: starts with {data[:3].hex()}, not with the idx mark of unsigned bytes 000008")
    rank = data[3]
    shape = np.frombuffer(data, ">u4", rank, 4).astype(int)
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape).copy())


def load(folder: Path, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images [count, channels, rows, columns] as bytes and labels [count]; part is `train`, `held-out`, `test` or `all` (training images).

    `held-out` is the last 5,000 training images, and `train` the others. The folder has idx.gz files, or `train.npz` and `test.npz`.
    """
    arrays = folder / ("test.npz" if part == "test" else "train.npz")
    if arrays.exists():
        with np.load(arrays) as file:
            images, labels = torch.from_numpy(file["images"]), torch.from_numpy(file["labels"]).long()
    else:
        prefix = "t10k" if part == "test" else "train"
        images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz").unsqueeze(1)
        labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz").long()
    keep = {"train": slice(None, -HELD_OUT), "held-out": slice(-HELD_OUT, None)}.get(part, slice(None))
    return images[keep], labels[keep]


def to_pixels(images: torch.Tensor) -> torch.Tensor:
    """Bytes to 0..1; the network takes no other normalisation."""
    return images.float() / 255


def augment(images: torch.Tensor, generator: torch.Generator, reach: int = 2, mirror: bool = True) -> torch.Tensor:
    """Mirrors each image with probability 1/2, if at all, and moves it by up to `reach` pixels, black moving in."""
    count, channels, height, width = images.shape
    padded = torch.nn.functional.pad(images, (reach, reach, reach, reach))
    rows = torch.randint(2 * reach + 1, (count, 1), generator=generator) + torch.arange(height)
    columns = torch.randint(2 * reach + 1, (count, 1), generator=generator) + torch.arange(width)
    mirrored = (torch.rand(count, 1, generator=generator) < 0.5) & mirror
    columns = torch.where(mirrored, columns.flip(1), columns)
    image = torch.arange(count)[:, None, None]
    return padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
