"""Run with `pytest` in this folder: small recordings in each format, written here byte by byte where a format is simple, else by a library."""

import struct

import faery
import h5py
import numpy as np
import pytest

import event_files
from event_files import Events, NotRead, read, to_frames

# t, x, y, brighter.
EVENTS = [(10, 3, 5, 1), (25, 100, 90, 0), (40, 0, 127, 1), (1000, 127, 0, 0)]


def aedat2(path):
    lines = b"#!AER-DAT2.0\r\n# made for a test\r\n"
    path.write_bytes(lines + b"".join(struct.pack(">II", y << 8 | x << 1 | p, t) for t, x, y, p in EVENTS))


def aedat31(path):
    header = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"
    events = b"".join(struct.pack("<II", x << 17 | y << 2 | p << 1 | 1, t) for t, x, y, p in EVENTS)
    # Type 1: polarity; source, size of an event, offset of its time, overflow, capacity, number, valid.
    count = len(EVENTS)
    path.write_bytes(header + struct.pack("<HHIIIIII", 1, 1, 8, 4, 0, count, count, count) + events)


def binary(path):
    path.write_bytes(b"".join(bytes([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255]) for t, x, y, p in EVENTS))


def hdf5(path):
    columns = dict(zip("txyp", np.array(EVENTS).T))
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            file.create_dataset(f"events/{name}", data=values)


def hdf5_table(path):
    columns = [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")]
    with h5py.File(path, "w") as file:
        file.create_dataset("CD/events", data=np.array([(x, y, p, t) for t, x, y, p in EVENTS], columns))


def by_faery(path):
    faery.events_stream_from_array(np.array(EVENTS, faery.EVENTS_DTYPE), (128, 128)).to_file(path)


FORMATS = [
    ("two.aedat", aedat2), ("three.aedat", aedat31), ("caltech.bin", binary), ("group.h5", hdf5), ("table.hdf5", hdf5_table),
    ("dv.aedat4", by_faery), ("prophesee.dat", by_faery), ("prophesee.raw", by_faery), ("stream.es", by_faery),
]  # fmt: skip


@pytest.mark.parametrize(("name", "write"), FORMATS, ids=[name for name, _ in FORMATS])
def test_events_come_back(name, write, tmp_path):
    path = tmp_path / name
    write(path)
    events = read(path)
    first = events.t[0]
    found = list(zip((events.t - first).tolist(), events.x.tolist(), events.y.tolist(), events.brighter.astype(int).tolist()))
    assert found == [(t - 10, x, y, p) for t, x, y, p in EVENTS]


@pytest.mark.parametrize(("name", "write"), FORMATS, ids=[name for name, _ in FORMATS])
def test_damaged_files_are_refused_by_name(name, write, tmp_path):
    path = tmp_path / name
    write(path)
    whole = path.read_bytes()
    for damaged in (b"", b"\xff" * 7, whole[: len(whole) // 3]):
        path.write_bytes(damaged)
        try:
            assert len(read(path)) < len(EVENTS), "what is cut off is not made up"
        except NotRead as refused:
            assert name in str(refused)


def test_events_are_counted_by_frame_polarity_and_place(tmp_path):
    t = np.array([0, 10, 20, 30, 40, 99])
    x, y = np.array([0, 1, 2, 3, 3, 3]), np.array([0, 0, 2, 3, 3, 0])
    events = Events(t, x, y, np.array([True, True, False, True, True, False]), (4, 4))
    counts, lost = to_frames(events, 2, (2, 2), "time", tmp_path)
    # The first half of the time: two brighter above left, one darker and two brighter below right.
    assert counts.shape == (4, 2, 2) and lost == 0
    assert counts[1].tolist() == [[2, 0], [0, 2]] and counts[0].tolist() == [[0, 0], [0, 1]]
    assert counts[2].tolist() == [[0, 1], [0, 0]] and not counts[3].any()
    halves, _ = to_frames(events, 2, (2, 2), "count", tmp_path)
    assert halves[:2].sum() == 3 and halves[2:].sum() == 3
    many = Events(np.arange(300), np.zeros(300, int), np.zeros(300, int), np.ones(300, bool), (1, 1))
    counts, lost = to_frames(many, 1, (1, 1), "time", tmp_path)
    assert counts.max() == 255 and lost == 45


def test_folders_are_classes(tmp_path, capsys):
    for name in ("b", "a"):
        (tmp_path / "all" / name).mkdir(parents=True)
        binary(tmp_path / "all" / name / "one.bin")
    out = tmp_path / "frames.npz"
    event_files.main(["to-frames", str(tmp_path / "all"), str(out), "--frames", "3", "--size", "16", "16"])
    with np.load(out) as file:
        assert file["images"].shape == (2, 6, 16, 16) and file["images"].sum() == 2 * len(EVENTS)
        assert file["labels"].tolist() == [0, 1]
    assert out.with_suffix(".txt").read_text() == "a\nb\n"
    assert "2 images of 6 channels" in capsys.readouterr().out


def test_what_is_no_recording_is_refused(tmp_path):
    other = tmp_path / "notes.txt"
    other.write_text("no events")
    with pytest.raises(NotRead, match="ends in .txt; name a file of .aedat"):
        read(other)
    wrong = tmp_path / "wrong.aedat"
    wrong.write_bytes(b"no mark at all, but long enough")
    with pytest.raises(NotRead, match="does not begin with #!AER-DAT"):
        read(wrong)
    empty = tmp_path / "empty.h5"
    h5py.File(empty, "w").close()
    with pytest.raises(NotRead, match="no datasets or columns t, x, y, p"):
        read(empty)
