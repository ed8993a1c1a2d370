"""Recordings of event cameras as frames of counts, which every command takes as images.

    python event_files.py to-frames recordings/ frames.npz --frames 4 --size 28 28 --by time
    cargo run --release -p gen -- run net.mst --data frames.npz --axes nchw

A recording becomes an image of `2 * frames` channels: of each frame the events that got darker, then those that got brighter, counted pixel by pixel (255 at
most). Folders are classes, as for pictures; their names go into a .txt file beside the frames, for --class-names. Formats are told by content where they have a mark, else by the end of the name:

| format | written by | read with |
|---|---|---|
| `.aedat` 1.0 and 2.0 | jAER; CIFAR10-DVS | tonic, `--camera dvs128` or `davis346` |
| `.aedat` 3.1 | cAER; DVS Gesture | tonic |
| `.aedat4` | DV | faery |
| `.dat`, `.raw` | Prophesee; N-Cars | faery |
| `.es` | Event Stream | faery |
| `.bin` | ATIS; N-MNIST, N-Caltech101 | tonic |
| `.h5`, `.hdf5` | datasets `t`, `x`, `y`, `p`, alone or in a group (`events`), or a table of these columns | h5py |
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import faery
import h5py
import numpy as np
import tonic.io

# Addresses of jAER's cameras: bits of x, y and polarity, and the sensor.
CAMERAS = {"dvs128": ((1, 7), (8, 7), 0, (128, 128)), "davis346": ((12, 10), (22, 9), 11, (260, 346))}
ENDINGS = (".aedat", ".aedat4", ".dat", ".raw", ".es", ".bin", ".h5", ".hdf5")
MOST = 255


class NotRead(ValueError):
    """A file that holds no events that can be read: which, why, and what to do."""

    def __init__(self, path: Path, found: str, remedy: str):
        super().__init__(f"{path}: {found}; {remedy}")


@dataclass(frozen=True)
class Events:
    """Events in the order of time: microseconds, columns, rows, and whether the pixel got brighter."""

    t: np.ndarray
    x: np.ndarray
    y: np.ndarray
    brighter: np.ndarray
    # Rows and columns of the sensor, if the file says them.
    size: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.t)


def read(path: Path, camera: str = "dvs128") -> Events:
    """The events of a file; `camera` says what addresses of AEDAT 1 and 2 mean."""
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise NotRead(path, f"its name ends in {ending or 'nothing'}", f"name a file of {', '.join(ENDINGS)}")
    with open(path, "rb") as file:
        mark = file.read(14)
    if not mark:
        raise NotRead(path, "it is empty", "record or copy it again")
    try:
        if ending == ".aedat" and not mark.startswith(b"#!AER-DAT4"):
            events = _aedat(path, mark, camera)
        elif ending == ".bin":
            events = _of_table(tonic.io.read_mnist_file(str(path), dtype=tonic.io.events_struct), None)
        elif ending in (".h5", ".hdf5"):
            events = _hdf5(path)
        else:
            events = _faery(path)
    except NotRead:
        raise
    except Exception as error:  # Whatever a parser raises at a damaged file is told in one form.
        raise NotRead(path, f"not a whole recording ({type(error).__name__}: {error})", "record or copy it again") from error
    order = np.argsort(events.t, kind="stable")
    return Events(*(part[order] for part in (events.t, events.x, events.y, events.brighter)), events.size)


def _of_table(table: np.ndarray, size: tuple[int, int] | None) -> Events:
    column = lambda name: np.asarray(table[name]).astype(np.int64)
    return Events(column("t"), column("x"), column("y"), column("p") > 0, size)


def _aedat(path: Path, mark: bytes, camera: str) -> Events:
    if not mark.startswith(b"#!AER-DAT"):
        raise NotRead(path, "it does not begin with #!AER-DAT", "name the recording itself, as the camera's program wrote it")
    version, start, _ = tonic.io.read_aedat_header_from_file(str(path))
    events = tonic.io.get_aer_events_from_file(str(path), version, start)
    address, t = events["address"].astype(np.int64), events["timeStamp"].astype(np.int64)
    if version >= 3:
        # Polarity events of AEDAT 3.1: bit 0 valid, bit 1 polarity, then 15 bits of y and of x.
        return Events(t, address >> 17 & 0x7FFF, address >> 2 & 0x7FFF, (address >> 1 & 1) > 0)
    (x, x_bits), (y, y_bits), polarity, size = CAMERAS[camera]
    # Bit 31 marks what is no event of a pixel.
    kept = address >> 31 & 1 == 0
    address, t = address[kept], t[kept]
    of = lambda shift, bits: address >> shift & ((1 << bits) - 1)
    return Events(t, of(x, x_bits), of(y, y_bits), of(polarity, 1) > 0, size)


def _faery(path: Path) -> Events:
    stream = faery.events_stream_from_file(path)
    columns, rows = stream.dimensions()
    table = stream.to_array()
    return Events(
        table["t"].astype(np.int64), table["x"].astype(np.int64), table["y"].astype(np.int64), table["on"].astype(bool), (rows, columns)
    )


# What columns are called.
NAMES = {"t": ("t", "ts", "timestamp", "timestamps"), "x": ("x", "xs"), "y": ("y", "ys"), "p": ("p", "ps", "polarity", "pol", "on")}


def _hdf5(path: Path) -> Events:
    with h5py.File(path, "r") as file:
        groups = [file]
        file.visititems(lambda _, item: groups.append(item))
        for group in groups:
            names = (group.dtype.names or ()) if isinstance(group, h5py.Dataset) else tuple(group)
            found = {column: next((name for name in known if name in names), None) for column, known in NAMES.items()}
            if all(found.values()):
                return _of_table({column: group[name][()] for column, name in found.items()}, None)
    raise NotRead(path, "it has no datasets or columns t, x, y, p side by side", "write them as four datasets of one group")


def to_frames(events: Events, frames: int, size: tuple[int, int], by: str, path: Path) -> tuple[np.ndarray, int]:
    """Counts [2 * frames, rows, columns], and how many events found no room in them.

    Frames last equally long (`by` time) or have equally many events (`by` count). A sensor of another size is scaled: each pixel counts the events of
    those that fall into it.
    """
    if not len(events):
        raise NotRead(path, "it has no events", "leave it out")
    rows, columns = size
    sensor = events.size or (int(events.y.max()) + 1, int(events.x.max()) + 1)
    if events.y.max() >= sensor[0] or events.x.max() >= sensor[1]:
        found = f"an event at row {events.y.max()}, column {events.x.max()} of a sensor of {sensor[0]} x {sensor[1]}"
        raise NotRead(path, found, "name the camera that recorded it with --camera")
    if by == "time":
        begin, duration = events.t[0], events.t[-1] - events.t[0] + 1
        frame = (events.t - begin) * frames // duration
    else:
        frame = np.arange(len(events)) * frames // len(events)
    row, column = events.y * rows // sensor[0], events.x * columns // sensor[1]
    counts = np.zeros((2 * frames, rows, columns), np.int64)
    np.add.at(counts, (2 * frame + events.brighter, row, column), 1)
    return np.minimum(counts, MOST).astype(np.uint8), int(np.maximum(counts - MOST, 0).sum())


def recordings(folder: Path) -> tuple[list[tuple[Path, int]], list[str]]:
    """Files with their classes, and the classes' names: folders in the order of their names, or one class."""
    of = lambda place: sorted(path for path in place.rglob("*") if path.suffix.lower() in ENDINGS)
    if folder.is_file():
        return [(folder, 0)], []
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and of(path))
    if not classes:
        return [(path, 0) for path in of(folder)], []
    return [(path, number) for number, place in enumerate(classes) for path in of(place)], [place.name for place in classes]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command = parser.add_subparsers(required=True, metavar="COMMAND").add_parser("to-frames", help="make frames of counts")
    command.add_argument("recordings", type=Path, help="a file, a folder of files, or a folder of folders, a class each")
    command.add_argument("out", type=Path, help=".npz file to write: images [count, 2 * frames, rows, columns] of bytes, and labels")
    command.add_argument("--frames", type=int, default=4)
    command.add_argument("--by", choices=("time", "count"), default="time", help="frames of one duration, or of one number of events")
    command.add_argument("--size", type=int, nargs=2, metavar=("ROWS", "COLUMNS"), required=True)
    command.add_argument("--camera", choices=tuple(CAMERAS), default="dvs128", help="of AEDAT 1 and 2")
    args = parser.parse_args(arguments)
    if args.frames < 1 or min(args.size) < 1:
        parser.error("--frames and --size are 1 or more")
    files, classes = recordings(args.recordings)
    if not files:
        parser.error(f"{args.recordings}: no files of {', '.join(ENDINGS)}")
    images, dropped = [], 0
    for number, (path, _) in enumerate(files, 1):
        counts, lost = to_frames(read(path, args.camera), args.frames, tuple(args.size), args.by, path)
        images.append(counts)
        dropped += lost
        if number % 100 == 0 or number == len(files):
            print(f"{number} of {len(files)} recordings", flush=True)
    labels = {"labels": np.array([label for _, label in files], np.int64)} if classes else {}
    np.savez_compressed(args.out, images=np.stack(images), **labels)
    if classes:
        args.out.with_suffix(".txt").write_text("".join(f"{name}\n" for name in classes))
    if dropped:
        print(f"note: {dropped} events beyond {MOST} a pixel and frame are not counted; more --frames leave room")
    print(f"{args.out}: {len(images)} images of {2 * args.frames} channels, {args.size[0]} x {args.size[1]} pixels")


if __name__ == "__main__":
    main()
