"""Reports the float accuracy of a checkpoint on the 10,000 test images; can dump logits for cross-checks."""

import argparse
from pathlib import Path

import numpy as np
import torch

import checkpoint
import dataset

SHIPPED_TEST_IMAGES = Path(__file__).parent.parent / "models/data/fashion-mnist"


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, default=SHIPPED_TEST_IMAGES, help="folder of the idx.gz files")
    parser.add_argument("--images", type=int, default=10_000, help="use only the first ones")
    parser.add_argument("--logits", type=Path, help="write the logits [images, classes] as float32 .npy")
    args = parser.parse_args()

    network, header = checkpoint.load(args.checkpoint)
    images, labels = dataset.load(args.data, "test")
    images, labels = images[: args.images], labels[: args.images]
    logits = torch.cat([network(dataset.to_pixels(batch)) for batch in images.split(500)])
    correct = (logits.argmax(1) == labels).sum().item()
    print(f"epoch {header['training']['epoch']}: {correct} of {len(labels)} correct, {100 * correct / len(labels):.2f} %")
    if args.logits:
        np.save(args.logits, logits.numpy())


if __name__ == "__main__":
    main()
