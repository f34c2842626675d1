"""A search's memory: every question to a model with its answer, every gate's report, one JSON line each.

What was answered is never asked again: after a kill the same command goes on where it was.  Keys never come
here; the client (collm_envs.policies.openai) keeps them to one header and blots them out of what comes back.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from collm_envs.files import read_lines, saving
from collm_envs.policies.openai import OpenAI
from collm_envs.policies.seat import Reply, Seat


class Transcript:
    """The file at `path`, read at the start and appended to; lines that a kill cut short are taken away."""

    def __init__(self, path: Path):
        path.touch()
        whole = path.read_bytes()
        whole = whole[: whole.rfind(b"\n") + 1]
        path.write_bytes(whole)
        self.path, self._lock = path, threading.Lock()
        self._answers: dict[str, str] = {}
        self._noted: set[str] = set()
        for entry in read_lines(path):
            if "answer" in entry:
                self._answers[entry["call"]] = entry["answer"]
            else:
                self._noted.add(_digest(entry))

    @property
    def answered(self) -> bool:
        """Whether any question has been answered yet."""
        return bool(self._answers)

    def ask(self, model: OpenAI, seats: Sequence[Seat]) -> list[str]:
        """The model's answers, of which those already here are not paid for again.

        Raises RuntimeError where the endpoint gave no answer; the answers that came are kept.
        """
        missing = [seat for seat in seats if _key(model, seat) not in self._answers]

        def heard(seat: Seat, reply: Reply) -> None:
            if not reply.error:
                call = {"call": _key(model, seat), "who": seat.agent, "model": model.name}
                said = {"answer": reply.text, "usage": dict(reply.usage)}
                self._write({**call, "messages": list(seat.history), **said})

        if missing:
            for reply in model.act_each(missing, heard):
                if reply.error:
                    raise RuntimeError(
                        f"{model.name}: {reply.error}  (answers so far are kept: run it again)"
                    )
        return [self._answers[_key(model, seat)] for seat in seats]

    def note(self, **entry: Any) -> None:
        """Write down what happened, once."""
        if _digest(entry) not in self._noted:
            self._write(entry)

    def _write(self, entry: dict[str, Any]) -> None:
        hint = "the same command goes on and pays for no answer twice"
        with self._lock, saving(str(self.path), hint):
            with self.path.open("a", encoding="utf-8", newline="\n") as file:
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            if "answer" in entry:
                self._answers[entry["call"]] = entry["answer"]
            else:
                self._noted.add(_digest(entry))


def _key(model: OpenAI, seat: Seat) -> str:
    return _digest([model.name, seat.agent, seat.seed, list(seat.history)])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
