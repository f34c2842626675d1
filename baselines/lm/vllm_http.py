"""The routes of a vLLM server that training needs, by the standard library alone."""

from __future__ import annotations

import json
import os
import time
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request

from baselines.lm.served import UNLIMITED, Reach
from collm_envs.policies.http import open_url

PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""before each further attempt after what may pass: 429, 5xx, a cut or refused connection"""
TIMEOUT_S = 1800.0
"""of one request, which may wait for hundreds of others in the server's queue"""
KEY = "VLLM_API_KEY"
"""environment variable with the server's key, under the name by which the server reads it too"""
WORDS = ("error", "message", "detail")
"""keys below which an error's text stands"""
NO_ROUTE = "Not Found"
"""what a server says of a route that it does not have"""
HINT = "`collm serve vllm MODEL --adapters N` starts one that can"


class Server:
    """A vLLM server and what it said of itself when it was connected to."""

    def __init__(self, url: str):
        """Connect.  Raises ValueError for an address that is none, OSError where no server answers."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise ValueError(f"vllm: need an address as vllm:http://localhost:8000, got {url!r}")
        self.url = url.rstrip("/").removesuffix("/v1")
        bases = [card for card in self.cards() if not card.get("parent")]
        if not bases:
            raise ValueError(f"{self.url} serves no model")
        self.base: str = bases[0]["id"]
        self.root: str = bases[0].get("root") or self.base
        """folder or hub name of the base model"""
        self.reach = Reach(bases[0].get("max_model_len") or UNLIMITED, "the server's --max-model-len")

    def cards(self) -> list[dict[str, Any]]:
        """What the server says of its models: "id", "root", and "parent" for an adapter."""
        return self._call("/v1/models", None)["data"]

    def post(self, path: str, **body: Any) -> Any:
        """The answer to a request, JSON or text.

        Raises ValueError with the server's words for a request it refuses, ConnectionError where none of
        several attempts came to an answer.
        """
        return self._call(path, body)

    def load_adapter(self, name: str, folder: Path) -> None:
        """Load a LoRA adapter in place of the one of this name, if there is one."""
        lacking = f"{self.url} loads no adapters; {HINT}"
        body = {"lora_name": name, "lora_path": str(folder), "load_inplace": True}
        self._call("/v1/load_lora_adapter", body, lacking)

    def reload_weights(self, folder: Path) -> None:
        """Replace all weights by those of a `save_pretrained` folder."""
        lacking = f"{self.url} reloads no weights; `collm serve vllm MODEL` starts one that does"
        body = {"method": "reload_weights", "kwargs": {"weights_path": str(folder)}}
        self._call("/collective_rpc", body, lacking)

    def _call(self, path: str, body: dict[str, Any] | None, lacking: str = "") -> Any:
        """GET, or POST with a body.  `lacking` is what is wrong with a server that has no such route."""
        headers = {"Content-Type": "application/json"}
        if os.environ.get(KEY):
            headers["Authorization"] = f"Bearer {os.environ[KEY]}"
        data = None if body is None else json.dumps(body).encode()
        for pause in (*PAUSES_S, None):
            try:
                with open_url(Request(self.url + path, data, headers), TIMEOUT_S) as answer:
                    return _decoded(answer.read())
            except HTTPError as error:
                words = _words(error)
                why = f"HTTP {error.code}: {words}"
                if error.code == 404 and lacking and words == NO_ROUTE:
                    raise ValueError(lacking) from None
                if error.code < 500 and error.code != 429:
                    raise ValueError(f"{self.url}{path}: {why}") from None
            except (OSError, HTTPException) as error:
                reason = error.reason if isinstance(error, URLError) else error
                why = f"{type(reason).__name__}: {reason}"
            if pause is not None:
                time.sleep(pause)
        raise ConnectionError(f"{self.url}{path}: {why}")


def tokens(url: str, answer: Any) -> tuple[list[int], list[float]]:
    """The token ids of a completion and their log-probabilities.

    Raises ValueError for an answer without them: token ids came with vLLM 0.10.2.
    """
    try:
        choice = answer["choices"][0]
        ids, logp = choice["token_ids"], choice["logprobs"]["token_logprobs"]
    except (KeyError, IndexError, TypeError):
        ids, logp = [], []
    if not ids or len(ids) != len(logp or []):
        raise ValueError(f"{url} returned no token ids with their log-probabilities: {str(answer)[:200]}")
    return list(ids), list(logp)


def _decoded(body: bytes) -> Any:
    """JSON, or the text of a route that answers in words."""
    try:
        return json.loads(body)
    except json.JSONDecodeError:
        return body.decode(errors="replace")


def _words(error: HTTPError) -> str:
    """What a server said of an error, on one line."""
    with error:
        answer = _decoded(error.read(2**16))
    while isinstance(answer, dict) and (key := next((k for k in WORDS if k in answer), "")):
        answer = answer[key]
    return " ".join(str(answer).split())[:300]
