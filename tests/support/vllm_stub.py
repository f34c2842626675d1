"""A server on loopback that speaks vLLM's routes over our own models and peft.

It writes by the same code as a local policy, so log-probabilities are those of a trainer to the bit where
rows are the same.  What a test wants to go wrong is set on `VLLM`.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file

from baselines.lm.history import Message
from baselines.lm.loading import load_model
from baselines.lm.policy import LM, Context
from baselines.lm.sampling import Sampling


class VLLM:
    """The models that are served, and what was asked of them."""

    def __init__(self, folder: str, *, adapters: bool = True, reloads: bool = True):
        self.root = folder
        self.model, self.tokenizer = load_model(folder, "cpu")
        self.wrapped: Any = None
        self.paths: dict[str, str] = {}
        """adapter -> the folder it was loaded from"""
        self.policies: dict[str, LM] = {}
        self.adapters, self.reloads = adapters, reloads
        self.lock = threading.Lock()
        self.requests: list[tuple[str, dict[str, Any]]] = []
        """path and body of every POST, in the order of their coming"""
        self.raw = False
        """log-probabilities before temperature, top-p and top-k, as vLLM's default has them"""
        self.deaf = False
        """adapters are accepted and not applied"""
        self.failures = 0
        """so many requests more are answered with status 500"""
        self.max_model_len = 512

    def cards(self) -> list[dict[str, Any]]:
        base = {"id": self.root, "root": self.root, "parent": None, "max_model_len": self.max_model_len}
        return [base, *({"id": n, "root": path, "parent": self.root} for n, path in self.paths.items())]

    def load(self, body: dict[str, Any]) -> str:
        """A LoRA adapter, in place of the one of its name."""
        name, folder = body["lora_name"], body["lora_path"]
        if not Path(folder, "adapter_config.json").is_file():
            raise LookupError(f"No adapter found for {folder}")
        assert body["load_inplace"] or name not in self.paths
        self.paths[name] = folder
        if self.deaf:
            return "Success"
        inner = f"{name}-{len(self.requests)}".replace(".", "_")  # peft has no name twice
        if self.wrapped is None:
            self.wrapped = PeftModel.from_pretrained(self.model, folder, adapter_name=inner)
        else:
            self.wrapped.load_adapter(folder, adapter_name=inner)
        self.policies[name] = LM(name, self.wrapped, self.tokenizer, Sampling(), Context(), adapter=inner)
        return f"Success: LoRA adapter '{name}' added successfully."

    def reload(self, body: dict[str, Any]) -> dict[str, Any]:
        """All weights, from a `save_pretrained` folder."""
        assert body["method"] == "reload_weights"
        stored = load_file(Path(body["kwargs"]["weights_path"], "model.safetensors"))
        self.model.load_state_dict(stored, strict=False)  # tied weights are stored once
        return {"results": [None]}

    def policy(self, name: str) -> LM:
        """The policy that writes as this model."""
        if name in self.policies:
            return self.policies[name]
        if name not in {card["id"] for card in self.cards()}:
            raise LookupError(f"The model `{name}` does not exist.")
        return LM(name, self.model, self.tokenizer, Sampling(), Context())

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """One text after token ids."""
        assert body["logprobs"] == 0
        assert body["return_token_ids"]
        assert body["repetition_penalty"] == 1.0
        policy = copy.copy(self.policy(body["model"]))
        policy.eos = set(body["stop_token_ids"])
        policy.sampling = Sampling(
            body["temperature"], body["top_p"], max(0, body["top_k"]), body["max_tokens"]
        )
        talk = policy.resume([None], [body["seed"]])
        talk.heads, talk.unread = [Message(None, body["prompt"])], [body["prompt"]]
        talk.read([])
        (move,) = talk.write()
        if self.raw:
            policy.sampling = Sampling()
            with torch.no_grad():
                (scores,) = policy.logp([move])
            move.logp = scores.logp.tolist()
        choice = {
            "token_ids": move.ids,
            "logprobs": {"token_logprobs": move.logp},
            "text": move.text,
            "finish_reason": "stop" if move.closed else "length",
        }
        return {"choices": [choice]}


def _handler(server: VLLM) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers = {
                "/v1/models": {"data": server.cards()},
                "/health": "",
                "/version": {"version": "0.32.0"},
            }
            if self.path in answers:
                self.answer(200, answers[self.path])
            else:
                self.answer(404, {"detail": "Not Found"})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            routes = {"/v1/completions": server.complete}
            routes |= {"/v1/load_lora_adapter": server.load} if server.adapters else {}
            routes |= {"/collective_rpc": server.reload} if server.reloads else {}
            with server.lock:
                server.requests.append((self.path, body))
                if server.failures:
                    server.failures -= 1
                    self.answer(500, {"error": {"message": "the engine is busy"}})
                elif self.path not in routes:
                    self.answer(404, {"detail": "Not Found"})
                else:
                    try:
                        self.answer(200, routes[self.path](body))
                    except LookupError as error:
                        self.answer(404, {"error": {"message": str(error)}})

        def answer(self, status: int, content: Any) -> None:
            data = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    return Handler


@contextmanager
def serving(server: VLLM) -> Iterator[str]:
    """The address of this server while it runs."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}"
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
