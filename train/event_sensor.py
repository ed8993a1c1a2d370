"""Fashion-MNIST as an event camera sees it: pictures on a screen, a sensor that is moved in three saccades, as N-Caltech101 and CIFAR10-DVS were recorded.

    python event_sensor.py --out runs/events            # train.npz and test.npz: images [count, 2 * frames, 28, 28] of counts, labels
    python event_sensor.py --recordings 3 --out some/   # the first recordings as .es files, one a picture

A pixel fires when the logarithm of its intensity has moved by its threshold since its latest event, and then rests. Thresholds differ from pixel to pixel, differently for
brighter and darker. Time goes in steps of 1 ms.
"""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import dataset

SIDE = 28


@dataclass(frozen=True)
class Sensor:
    """A sensor and its path; lengths in pixels, times in milliseconds."""

    threshold: float = 0.2
    # Deviation of thresholds, as a share, and the range that they are kept in.
    mismatch: float = 0.15
    least: float = 0.15
    most: float = 0.25
    rest: int = 2
    saccade: int = 100
    reach: float = 3.0
    # What a black pixel of the screen still shines.
    floor: float = 0.1
    # Events a pixel and second that nothing caused.
    noise: float = 0.5
    # Of the thresholds.
    seed: int = 1

    def path(self) -> torch.Tensor:
        """Where the sensor looks at each step, [steps, 2]: along the sides of a triangle, back to where it began."""
        corners = self.reach * torch.tensor([[-0.5, -0.5], [0.5, 0.0], [-0.5, 0.5], [-0.5, -0.5]])
        # Saccades start and stop gently.
        way = (1 - torch.cos(torch.linspace(0, math.pi, self.saccade + 1)[1:])) / 2
        sides = [corners[n] + way[:, None] * (corners[n + 1] - corners[n]) for n in range(3)]
        return torch.cat([corners[:1], *sides])


def thresholds(sensor: Sensor) -> torch.Tensor:
    """[2, SIDE, SIDE]: for darker and for brighter."""
    spread = 1 + sensor.mismatch * torch.randn((2, SIDE, SIDE), generator=torch.Generator().manual_seed(sensor.seed))
    return (sensor.threshold * spread).clamp(sensor.least, sensor.most)


def look(images: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
    """Intensities 0 to 1 [count, SIDE, SIDE] where the sensor is moved by `offset` rows and columns, bilinear; black around the picture."""
    rows, columns = math.floor(offset[0]), math.floor(offset[1])
    part = offset - torch.tensor([rows, columns])
    pad = int(max(abs(rows), abs(columns))) + 2
    wide = F.pad(images, (pad, pad, pad, pad))
    of = lambda y, x: wide[:, pad + rows + y : pad + rows + y + SIDE, pad + columns + x : pad + columns + x + SIDE]
    upper = of(0, 0) * (1 - part[1]) + of(0, 1) * part[1]
    lower = of(1, 0) * (1 - part[1]) + of(1, 1) * part[1]
    return upper * (1 - part[0]) + lower * part[0]


def record(images: torch.Tensor, sensor: Sensor, generator: torch.Generator, seen) -> None:
    """Shows pictures [count, SIDE, SIDE], 0 to 1, to the sensor; `seen(step, darker, brighter)` gets the pixels that fire at each step."""
    limits = thresholds(sensor)
    light = lambda offset: (look(images, offset) + sensor.floor).log()
    path = sensor.path()
    level = light(path[0])
    rests = torch.zeros(images.shape, dtype=torch.int32)
    for step, offset in enumerate(path[1:]):
        moved = light(offset) - level
        ready = rests == 0
        chance = torch.rand(images.shape, generator=generator) < sensor.noise / 1000
        which = torch.rand(images.shape, generator=generator) < 0.5
        darker = ready & ((moved <= -limits[0]) | (chance & which))
        brighter = ready & ~darker & ((moved >= limits[1]) | (chance & ~which))
        level = level - limits[0] * (darker & (moved <= -limits[0])) + limits[1] * (brighter & (moved >= limits[1]))
        rests = torch.where(darker | brighter, sensor.rest, (rests - 1).clamp(min=0))
        seen(step, darker, brighter)


def frames(images: torch.Tensor, count: int, sensor: Sensor, seed: int) -> torch.Tensor:
    """Counts [images, 2 * count, SIDE, SIDE] of frames that last equally long, as `event_files.to_frames` has them; `images` are bytes [.., SIDE, SIDE]."""
    steps = 3 * sensor.saccade
    counts = []
    for number, batch in enumerate(images.reshape(-1, SIDE, SIDE).split(2000)):
        found = torch.zeros(len(batch), 2 * count, SIDE, SIDE, dtype=torch.uint8)

        def seen(step: int, darker: torch.Tensor, brighter: torch.Tensor, found=found) -> None:
            frame = step * count // steps
            found[:, 2 * frame] += darker
            found[:, 2 * frame + 1] += brighter

        record(batch.float() / 255, sensor, torch.Generator().manual_seed(seed * 1_000_003 + number), seen)
        counts.append(found)
    return torch.cat(counts)


def recordings(images: torch.Tensor, folder: Path, sensor: Sensor, seed: int) -> None:
    """Writes one .es file a picture."""
    import faery

    for number, image in enumerate(images.reshape(-1, 1, SIDE, SIDE)):
        events = []

        def seen(step: int, darker: torch.Tensor, brighter: torch.Tensor, events=events) -> None:
            for on, which in enumerate((darker, brighter)):
                events += [(1000 * step, x, y, bool(on)) for y, x in which[0].nonzero().tolist()]

        record(image.float() / 255, sensor, torch.Generator().manual_seed(seed + number), seen)
        faery.events_stream_from_array(np.array(events, faery.EVENTS_DTYPE), (SIDE, SIDE)).to_file(folder / f"{number:05}.es")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=dataset.DEFAULT_FOLDER, help="folder of the idx.gz files")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--frames", type=int, default=3, help="of one duration; three are one a saccade")
    parser.add_argument("--test-images", type=int, default=10_000, help="the first so many test images")
    parser.add_argument("--recordings", type=int, help="write the events of the first so many test images as files instead")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    sensor = Sensor()
    if args.recordings:
        recordings(dataset.load(args.data, "test")[0][: args.recordings], args.out, sensor, args.seed)
        return
    for name, part, count in (("test", "test", args.test_images), ("train", "all", None)):
        images, labels = (value[:count] for value in dataset.load(args.data, part))
        counts = frames(images, args.frames, sensor, args.seed + (name == "train"))
        np.savez_compressed(args.out / f"{name}.npz", images=counts.numpy(), labels=labels.numpy())
        print(f"{args.out / name}.npz: {len(counts)} images, {counts.sum(dtype=torch.int64) / len(counts):,.0f} events each", flush=True)


if __name__ == "__main__":
    main()
