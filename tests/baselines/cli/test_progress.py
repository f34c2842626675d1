"""How long commands tell how far they are: on a terminal, to a pipe, wide and narrow."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from baselines.cli.progress import EVERY_S, Progress, duration, fitted

NUMBERS = ("return 0.812", "eval 0.700", "loss +0.012", "1,203 tok/s")


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def piped(total, done=0, width=60, quiet=False):
    file, clock = io.StringIO(), Clock()
    console = Console(file=file, width=width, force_terminal=False)
    return Progress("maac", total, done, console=console, clock=clock, quiet=quiet), file, clock


def test_a_pipe_gets_a_line_after_the_first_step_then_one_every_few_seconds_and_the_last():
    progress, file, clock = piped(100)
    with progress:
        for step in range(1, 101):
            clock.now += EVERY_S / 5
            progress.update(step, *NUMBERS)
    lines = file.getvalue().splitlines()
    steps = [int(re.match(r"maac (\d+)/100", line)[1]) for line in lines]
    assert steps == [1, *range(6, 100, 5), 100]
    assert lines[0] == "maac 1/100  return 0.812  eval 0.700  loss +0.012  1,203 tok/s  3:18 left"
    assert lines[-1] == "maac 100/100  return 0.812  eval 0.700  loss +0.012  1,203 tok/s"


@pytest.mark.parametrize("width", [20, 60, 200])
def test_to_a_pipe_nothing_is_cut_or_wrapped_at_any_width(width):
    progress, file, clock = piped(10, width=width)
    with progress:
        clock.now = 3.0
        progress.update(1, *NUMBERS)
    assert file.getvalue() == "maac 1/10  " + "  ".join(NUMBERS) + "  0:27 left\n"


def test_steps_taken_earlier_do_not_count_for_the_time_left():
    progress, file, clock = piped(100, done=90)
    with progress:
        clock.now = 2.0
        progress.update(91)
    assert "91/100  0:18 left" in file.getvalue()


def test_the_time_left_counts_from_a_restart():
    progress, file, clock = piped(10)
    with progress:
        clock.now = 1000.0
        progress.restart()
        clock.now = 1001.0
        progress.update(1)
    assert "0:09 left" in file.getvalue()


def test_a_step_that_was_told_is_not_told_twice_at_the_end():
    progress, file, _ = piped(1)
    with progress:
        progress.update(1, "return 1.000")
    assert file.getvalue() == "maac 1/1  return 1.000\n"


def test_an_interrupt_leaves_the_step_that_was_reached():
    progress, file, _ = piped(100)
    with pytest.raises(KeyboardInterrupt), progress:
        progress.update(1)
        progress.update(2)
        raise KeyboardInterrupt
    assert file.getvalue().splitlines()[-1].startswith("maac 2/100")


def test_quiet_says_nothing():
    progress, file, _ = piped(2, quiet=True)
    with progress:
        progress.update(2)
    assert file.getvalue() == ""


@pytest.mark.parametrize("width", [45, 60, 80, 200])
def test_a_terminal_shows_whole_numbers_only(width, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, force_interactive=True)
    with Progress("warm start HouseBuild-v0"[:width], 1000, console=console) as progress:
        progress.update(400, *NUMBERS)
        progress.bar.refresh()
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", file.getvalue())
    lines = [line for part in shown.split("\n") for line in part.split("\r")]
    assert max(map(len, lines)) <= width
    assert "…" not in shown
    assert "400/1000" in shown
    assert ("1,203 tok/s" in shown) or width < 200


def test_numbers_are_dropped_from_the_last_on():
    assert fitted(("return 0.5", "loss 1"), 18) == "return 0.5  loss 1"
    assert fitted(("return 0.5", "loss 1"), 17) == "return 0.5"
    assert fitted(("return 0.5",), 3) == ""


def test_durations():
    assert [duration(s) for s in (5, 65.4, 3605)] == ["0:05", "1:05", "1:00:05"]
