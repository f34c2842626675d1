"""A model behind any OpenAI-compatible chat endpoint: vLLM, SGLang, Ollama, llama.cpp, commercial ones.

Standard library only.  A call is tried again, with growing pauses, after what may pass (429, 5xx, a cut
connection, a time-out, an answer that is no answer) and given up at once after what will not (other 4xx).
After an answer it is never made again, be it empty; what the model thought first is kept apart.  The key
comes from the environment, travels in one header to the given address only (redirects are refused), and is
blotted out of whatever the endpoint sends back.
"""

from __future__ import annotations

import json
import os
import re
import time
import urllib.error
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from random import Random
from threading import Event
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request

from collm_envs.policies import answers, options
from collm_envs.policies.http import open_url
from collm_envs.policies.query import read_query
from collm_envs.policies.seat import READ, WRITTEN, Reply, Seat
from collm_envs.space import SURROGATE

MAX_ANSWER_BYTES = 64 * 2**20
MAX_PAUSE_S = 60.0
SAMPLING: Mapping[str, Callable[[str], Any]] = {
    "temperature": float,
    "top_p": float,
    "top_k": int,
    "max_tokens": int,
    "max_completion_tokens": int,
}
"""what may stand after the model's name and is sent as it is; see also `options.SENT`"""
SETTINGS: Mapping[str, Callable[[str], Any]] = {"concurrency": int, "timeout_s": float, "retries": int}
"""settings after the model's name that configure this client and are not sent"""
PASSES = (408, 409, 425, 429)
"""statuses of the 4xx kind after which a call is tried again"""
_LONG_KEY = 8


class _Refused(Exception):
    """One attempt that returned no answer."""

    def __init__(self, why: str, *, again: bool, pause_s: float | None = None):
        super().__init__(why)
        self.again, self.pause_s = again, pause_s


def parse(text: str) -> OpenAI:
    """The policy of "http://host/v1#model" or "http://host/v1#model?temperature=0.7&max_tokens=512".

    After the model's name: what is sent (`SAMPLING`, `JSON`), `body={...}` for whatever else the endpoint
    takes, `seed=off`, and settings of our own (`SETTINGS`).  Values may be percent-encoded: %26 for &.
    Raises ValueError for anything else, and for keys and passwords: all of this stands in records.
    """
    url, _, target = text.partition("#")
    model, _, query = target.partition("?")
    readers = {**SAMPLING, **SETTINGS, **options.SENT}
    settings = read_query("openai", query, readers, hint=f"  Anything else: {options.EXAMPLE}")
    ours = {name: settings.pop(name) for name in SETTINGS if name in settings}
    seeded = settings.pop("seed", True)
    body = settings.pop("body", {})
    if twice := sorted(set(body) & set(settings)):
        raise ValueError(f"openai: {twice[0]} stands in body and beside it; say it once")
    return OpenAI(url, model, {**settings, **body}, seeded, **ours)


@dataclass(frozen=True)
class OpenAI:
    """Chat completions of `model` at `base_url`; every reply is a call of its own, many at once."""

    base_url: str
    """up to and with the version: "http://localhost:8000/v1" """
    model: str
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """sent as it is: temperature, top_p, max_tokens, stop, chat_template_kwargs, ..."""
    seeded: bool = True
    """whether each call sends its seat's seed; some endpoints refuse one"""
    concurrency: int = 16
    """calls under way at once"""
    timeout_s: float = 300.0
    """seconds for one attempt, first byte to last; connecting and sending each have the same limit of their
    own"""
    retries: int = 6
    """attempts after the first"""
    pause_s: float = 0.5
    """before the second attempt; doubled with each, scattered by half, at most MAX_PAUSE_S"""
    key_variable: str = "OPENAI_API_KEY"
    """name of the environment variable that holds the key; nothing is sent where it is not set"""

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or not self.model:
            expected = "openai:http://localhost:8000/v1#model"
            raise ValueError(f"openai: need {expected!r}, got {_shown(parts.geturl())!r} and {self.model!r}")
        if parts.username or parts.password or parts.query:
            raise ValueError(
                "openai: no user, password or query in the address; keys go into the environment"
            )
        for name in ("concurrency", "timeout_s"):
            if not vars(self)[name] > 0:
                raise ValueError(f"openai: {name} must be above 0, got {vars(self)[name]}")
        if self.retries < 0:
            raise ValueError(f"openai: retries must be at least 0, got {self.retries}")
        options.check(self.sampling, os.environ.get(self.key_variable, "").strip())

    @property
    def name(self) -> str:
        """What `parse` of the policies takes; without the key."""
        query = options.write(self.sampling, {*SAMPLING, *options.SENT}, self.seeded)
        return f"openai:{self.base_url}#{self.model}" + f"?{query}" * bool(query)

    def act(self, seats: Sequence[Seat]) -> list[Reply]:
        """One reply for each seat, in order; never raises for what the endpoint does."""
        return self.act_each(seats, lambda seat, reply: None)

    def act_each(self, seats: Sequence[Seat], notify: Callable[[Seat, Reply], None]) -> list[Reply]:
        """As `act`; `notify` is called from a thread of the pool as soon as a reply is there.

        Interrupted, it makes no further attempts but waits for those under way, since they are paid for.
        """
        key, stop = self._key(), Event()

        def call(seat: Seat) -> Reply:
            reply = self._call(seat, key, stop)
            notify(seat, reply)
            return reply

        pool = ThreadPoolExecutor(max(1, min(self.concurrency, len(seats))))
        try:
            return list(pool.map(call, seats))
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)

    def request(self, seat: Seat) -> dict[str, Any]:
        """The body of the call for a seat."""
        roles = ("user", "assistant")
        messages = [{"role": roles[k % 2], "content": text} for k, text in enumerate(seat.history)]
        seed = {"seed": seat.seed} if self.seeded else {}
        return {"model": self.model, "messages": messages, **seed, **self.sampling}

    def _key(self) -> str:
        key = os.environ.get(self.key_variable, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise ValueError(f"openai: the key in {self.key_variable} holds characters that no header may")
        return key

    def _call(self, seat: Seat, key: str, stop: Event) -> Reply:
        body = json.dumps(self.request(seat)).encode()
        errors: list[str] = []
        for attempt in range(1 + self.retries):
            began = time.monotonic()
            try:
                text, usage = _read(self._post(body, key), key)
            except _Refused as refused:
                errors.append(_without(str(refused), key))
                if not refused.again or attempt == self.retries or stop.is_set():
                    break
                pause = self.pause_s * 2**attempt * (0.5 + Random(f"{seat.seed}/{attempt}").random())
                if stop.wait(min(MAX_PAUSE_S, pause if refused.pause_s is None else refused.pause_s)):
                    break
            else:
                seconds = round(time.monotonic() - began, 3)
                usage.update(seconds=seconds, attempts=attempt + 1, **({"errors": errors} if errors else {}))
                return Reply(text, usage)
        return Reply("", {"attempts": len(errors), "errors": errors}, error=errors[-1])

    def _post(self, body: bytes, key: str) -> bytes:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        url = self.base_url.rstrip("/") + "/chat/completions"
        try:
            with open_url(Request(url, body, headers), self.timeout_s) as answer:
                data = bytearray()
                while chunk := answer.read1(2**16):
                    data += chunk
                    if len(data) > MAX_ANSWER_BYTES:
                        raise _Refused(f"an answer of more than {MAX_ANSWER_BYTES} bytes", again=False)
                if answer.length:
                    raise _Refused("the connection was cut in the middle of the answer", again=True)
        except urllib.error.HTTPError as error:
            error_text = _without(_said(error), key)
            again = error.code in PASSES or error.code >= 500
            why = f"HTTP {error.code} {error.reason}: {' '.join(error_text.split())[:300]}"
            if error.code in (400, 422) and "seed" in error_text and self.seeded:
                why += "  (the model's name with ?seed=off sends no seed)"
            raise _Refused(why, again=again, pause_s=_retry_after(error.headers)) from None
        except TimeoutError:
            raise _Refused(f"no answer within {self.timeout_s:g} s", again=True) from None
        except (OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            if isinstance(reason, TimeoutError):
                raise _Refused(f"no answer within {self.timeout_s:g} s", again=True) from None
            raise _Refused(f"{type(reason).__name__}: {reason}", again=True) from None
        return bytes(data)


def _said(error: urllib.error.HTTPError) -> str:
    """The beginning of an error's text; "" where it does not come."""
    with error:
        try:
            return error.read(2**16).decode(errors="replace")
        except (OSError, HTTPException):
            return ""


def _read(body: bytes, key: str) -> tuple[str, dict[str, Any]]:
    """(text, usage) of an answer, without the key."""
    try:
        answer = answers.read(body)
    except answers.Unread:
        shown = " ".join(_without(body[: 2**16].decode(errors="replace"), key)[:300].split())
        raise _Refused(f"an answer without a text: {shown}", again=True) from None
    known_key = key if len(key) >= _LONG_KEY else ""  # a shorter one would blot out words
    counted = answer.usage
    counts = {READ: counted.get("prompt_tokens"), WRITTEN: counted.get("completion_tokens")}
    usage: dict[str, Any] = {name: n for name, n in counts.items() if type(n) is int and n >= 0}
    words = {
        "finish_reason": answer.finish_reason,
        "model": answer.model,
        "thinking": answer.thinking or None,
        "empty": answer.empty or None,
    }
    for name, word in words.items():
        if isinstance(word, str):
            usage[name] = SURROGATE.sub("\ufffd", _without(word, known_key))
    return _without(answer.text, known_key), usage


def _retry_after(headers: Message) -> float | None:
    """Seconds to wait by the Retry-After header: a number or a date."""
    header = headers.get("Retry-After")
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _without(text: str, key: str) -> str:
    return _written(key).sub("[key]", text) if key else text


def _written(key: str) -> re.Pattern[str]:
    r"""The key with its characters as they are or as JSON may write them, JSON in JSON too: c, \c, \u0063."""
    return re.compile("".join(rf"\\{{0,7}}(?:{re.escape(c)}|u(?i:{ord(c):04x}))" for c in key))


def _shown(url: str) -> str:
    return url.rpartition("@")[2]
