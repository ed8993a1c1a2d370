"""Run with `pytest` in this folder: the simulated event camera."""

import numpy as np
import torch

import event_files
import event_sensor
from event_sensor import SIDE, Sensor

QUIET = Sensor(noise=0.0, mismatch=0.0)


def edge() -> torch.Tensor:
    """A bright right half."""
    image = torch.zeros(1, SIDE, SIDE, dtype=torch.uint8)
    image[:, :, SIDE // 2 :] = 255
    return image


def test_the_path_is_three_saccades_that_come_back():
    path = QUIET.path()
    assert len(path) == 3 * QUIET.saccade + 1
    torch.testing.assert_close(path[-1], path[0])
    assert path.abs().max() <= QUIET.reach / 2 + 1e-6


def test_events_are_steps_of_log_intensity():
    """What an edge moves past sees the whole difference of logarithms, in steps of the threshold; what nothing moves past stays silent."""
    counts = event_sensor.frames(edge(), 3, QUIET, seed=1)[0].int()
    middle = SIDE // 2
    assert counts[:, 5:-5, 3 : middle - 4].sum() == 0 and counts[:, 5:-5, middle + 4 : -3].sum() == 0
    # Away from the ends of the picture, beside which all is black.
    brighter, darker = counts[1::2, middle, 4:-4], counts[0::2, middle, 4:-4]
    # The sensor moves right by 1.5 pixels in the first two saccades each, and left by 3 in the last.
    steps = np.log((1 + QUIET.floor) / QUIET.floor) / QUIET.threshold
    assert brighter[0].sum() > 0 and darker[0].sum() == 0, "to the right, pixels left of the edge get brighter"
    assert darker[2].sum() > 0 and brighter[2].sum() == 0
    assert brighter[:2, middle - 1 - 4].sum() == int(steps)


def test_recordings_hold_the_counted_events(tmp_path):
    event_sensor.recordings(edge(), tmp_path, QUIET, seed=1)
    events = event_files.read(tmp_path / "00000.es")
    counts = event_sensor.frames(edge(), 3, QUIET, seed=1)
    assert len(events) == counts.sum(dtype=torch.int64)
    columns = np.bincount(events.x, minlength=SIDE)
    assert (columns == counts[0].sum((0, 1), dtype=torch.int64).numpy()).all()
