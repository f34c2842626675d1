"""Checkpoints are whole or not there, and nothing that happens to one harms an older one."""

import errno
import os
from pathlib import Path

import pytest
import torch

from baselines.runs.checkpoint import DIGEST, STATE, load_last, save, steps


def state(number):
    return {"step": number, "weights": {"w": torch.full((50,), float(number))}, "optimizers": {}}


def test_what_was_saved_comes_back(tmp_path):
    save(tmp_path, 3, state(3), keep=2)
    back = load_last(tmp_path)
    assert back is not None
    assert back["step"] == 3
    assert torch.equal(back["weights"]["w"], torch.full((50,), 3.0))


def test_a_folder_without_checkpoints_gives_none(tmp_path):
    assert load_last(tmp_path / "nothing") is None
    assert load_last(tmp_path) is None


def test_only_the_newest_are_kept(tmp_path):
    for number in range(1, 8):
        save(tmp_path, number, state(number), keep=3)
    assert steps(tmp_path) == [5, 6, 7]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"step-0000000{k}" for k in (5, 6, 7)]


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("file", [STATE, DIGEST])
@pytest.mark.parametrize(
    "harm", [cut, flip, lambda path: path.unlink(), lambda path: path.write_bytes(b"\xff")]
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(tmp_path, file, harm):
    for number in (1, 2):
        save(tmp_path, number, state(number), keep=2)
    harm(tmp_path / "step-00000002" / file)
    with pytest.warns(UserWarning, match="step-00000002 is damaged .*going back to the one before it"):
        back = load_last(tmp_path)
    assert back is not None
    assert back["step"] == 1


def test_after_a_fall_back_the_damaged_one_gives_way_and_not_the_good_ones(tmp_path):
    for number in (10, 20):
        save(tmp_path, number, state(number), keep=2)
    cut(tmp_path / "step-00000020" / STATE)
    save(tmp_path, 15, state(15), keep=1)  # stopped by hand before step 20 came again
    assert steps(tmp_path) == [15]
    back = load_last(tmp_path)
    assert back is not None
    assert back["step"] == 15


@pytest.mark.parametrize("file", [STATE, DIGEST])
def test_a_full_disk_is_reported_with_the_step_and_leaves_older_ones_alone(tmp_path, monkeypatch, file):
    save(tmp_path, 1, state(1), keep=1)
    opened = Path.open

    class Full:
        """A file on a disk with room for a hundred bytes more, or none."""

        def __init__(self, inner):
            self.inner, self.room = inner, 100 if file == STATE else 0

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.inner.close()

        def write(self, data):
            self.room -= len(data)
            if self.room < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.inner.write(data)

    def full(path, *args, **kwargs):
        answer = opened(path, *args, **kwargs)
        return Full(answer) if path.name == file and args == ("wb",) else answer

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match=r"checkpoint of step 2 could not be written .No space left"):
        save(tmp_path, 2, state(2), keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    back = load_last(tmp_path)
    assert back is not None
    assert back["step"] == 1


class Killed(BaseException):
    """Stands for a kill: nothing that runs afterwards tidies up."""


@pytest.mark.parametrize("verb", ["replace", "fsync", "open"])
def test_a_kill_at_any_point_of_a_save_leaves_a_whole_checkpoint(tmp_path, monkeypatch, verb):
    real = getattr(os, verb)
    for calls in range(20):  # dies in the call after so many
        folder, left = tmp_path / str(calls), [calls]
        save(folder, 1, state(1), keep=1)

        def dying(*args, left=left, **kwargs):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return real(*args, **kwargs)

        monkeypatch.setattr(os, verb, dying)
        try:
            save(folder, 2, state(2), keep=1)
        except Killed:
            monkeypatch.setattr(os, verb, real)
            back = load_last(folder)
            assert back is not None
            assert back["step"] in (1, 2)
            save(folder, 2, state(2), keep=1)  # what was left lying about does not disturb the next one
            assert [path.name for path in folder.iterdir()] == ["step-00000002"]
        else:
            assert calls > 0, f"{verb} was never called"
            return
    pytest.fail(f"{verb} is called more than 20 times")
