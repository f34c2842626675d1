"""The routes of a Tinker server on loopback, over the stand-in of tinker_stub.py: the real SDK drives it.

A request is done when it comes; `retrieve_future` hands out what it came to.  The SDK's own classes read and
write what travels as protobuf.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from tinker.proto import tinker_public_pb2 as wire  # pyright: ignore[reportMissingImports]
from tinker_stub import AdamParams, Datum, ModelInput, Sampler, SamplingParams, Service, Training

PROTO = "application/x-protobuf"
NUMBERS = {wire.DTYPE_FLOAT32: np.float32, wire.DTYPE_INT64: np.int64}


class Server:
    """The training and sampling clients of one service, by the names that requests have for them."""

    def __init__(self, service: Service):
        self.service = service
        self.trainers: dict[str, Training] = {}
        self.samplers: dict[str, Sampler] = {}
        self.results: list[Any] = []
        """what requests came to: a message or a dict; their numbers are their positions"""
        self.lock = threading.Lock()

    def promise(self, result: Any) -> dict[str, Any]:
        """What a request is answered with whose result is fetched by its number."""
        self.results.append(result)
        return {"request_id": str(len(self.results) - 1)}

    def create_model(self, body: dict[str, Any]) -> dict[str, Any]:
        name, lora = f"{body['session_id']}:train:{body['model_seq_id']}", body["lora_config"]
        self.trainers[name] = self.service.create_lora_training_client(
            body["base_model"], lora["rank"], lora.get("seed", 0)
        )
        return self.promise({"model_id": name, "type": "create_model"})

    def load_weights(self, body: dict[str, Any]) -> dict[str, Any]:
        """Adapter and optimizer that were saved, in a training client that has done nothing yet."""
        assert body["optimizer"]
        name = body.get("model_id") or f"{body['session_id']}:train:{body['model_seq_id']}"
        self.trainers[name] = self.service.create_training_client_from_state_with_optimizer(body["path"])
        return self.promise({"path": body["path"], "type": "load_weights"})

    def get_info(self, body: dict[str, Any]) -> dict[str, Any]:
        names = {"model_name": self.service.base, "arch": "qwen3", "tokenizer_id": self.service.base}
        return {"type": "get_info", "model_data": names, "model_id": body["model_id"], "is_lora": True}

    def forward_backward(self, content: bytes) -> dict[str, Any]:
        request = wire.ForwardBackwardRequest.FromString(content)
        trainer = self.trainers[request.model_id]
        rows = [
            Datum(
                ModelInput(prompt(row.model_input)),
                {key: numbers(tensor) for key, tensor in row.loss_fn_inputs.items()},
            )
            for row in request.data
        ]
        if not request.forward_only:
            trainer.forward_backward(rows, request.loss_fn)
            return self.promise(wire.ForwardBackwardOutput())
        outputs = trainer.forward(rows, request.loss_fn).result().loss_fn_outputs
        logps = [np.float32(output["logprobs"].data) for output in outputs]
        offsets = np.cumsum([0, *(logp.nbytes for logp in logps)])
        joined = wire.BatchedTensor(
            data=np.concatenate(logps).tobytes(),
            offsets=np.int64(offsets).tobytes(),
            dtype=wire.DTYPE_FLOAT32,
        )
        record = wire.ArrayRecord(fields={"logprobs": joined}, num_datums=len(rows))
        return self.promise(wire.ForwardBackwardOutput(loss_fn_outputs=[record]))

    def optim_step(self, body: dict[str, Any]) -> dict[str, Any]:
        self.trainers[body["model_id"]].optim_step(AdamParams(**body["adam_params"]))
        return self.promise({"type": "optim_step"})

    def save_weights(self, body: dict[str, Any]) -> dict[str, Any]:
        return self.promise(vars(self.trainers[body["model_id"]].save_state(body["path"]).result()))

    def save_weights_for_sampler(self, body: dict[str, Any]) -> dict[str, Any]:
        name = f"sampler:{body['sampling_session_seq_id']}"
        self.samplers[name] = self.trainers[body["model_id"]].save_weights_and_get_sampling_client()
        return self.promise({"sampling_session_id": name, "type": "save_weights_for_sampler"})

    def create_sampling_session(self, body: dict[str, Any]) -> dict[str, Any]:
        name = f"sampler:{body['sampling_session_seq_id']}"
        self.samplers[name] = self.service.create_sampling_client(body["base_model"])
        return {"sampling_session_id": name, "type": "create_sampling_session"}

    def asample(self, body: dict[str, Any]) -> dict[str, Any]:
        sampler = self.samplers[body["sampling_session_id"]]
        ids = ModelInput([token for chunk in body["prompt"]["chunks"] for token in chunk["tokens"]])
        how = body["sampling_params"]
        assert how["top_p"] == 1
        assert how["top_k"] == -1
        used = SamplingParams(how["max_tokens"], how["temperature"], how.get("seed", 0), how.get("stop", ()))
        (text,) = sampler.sample(ids, 1, used).result().sequences
        tokens, logp = np.int32(text.tokens).tobytes(), np.float32(text.logprobs).tobytes()
        answer = wire.SampleResponse(sequences=[wire.SampledSequence(tokens=tokens, logprobs=logp)])
        if body["prompt_logprobs"]:
            _, *scores = sampler.compute_logprobs(ids).result()
            answer.prompt_logprobs = np.float32([np.nan, *scores]).tobytes()
        names = [f"{body['sampling_session_id']}:{body['seq_id']}"]
        return {**self.promise(answer), "sample_sequence_ids": names}

    def retrieve_future(self, body: dict[str, Any]) -> Any:
        return self.results[int(body["request_id"])]

    def routes(self) -> dict[str, Callable[[Any], Any]]:
        """Path below /api/v1 -> what a POST there does."""
        own = (
            *(self.create_model, self.load_weights, self.get_info, self.forward_backward, self.optim_step),
            *(self.save_weights, self.save_weights_for_sampler, self.create_sampling_session),
            *(self.asample, self.retrieve_future),
        )
        return {
            **{verb.__name__: verb for verb in own},
            "client/config": lambda body: {},
            "client/dynamic_config": lambda body: {},
            "create_session": lambda body: {"session_id": "session", "type": "create_session"},
            "session_heartbeat": lambda body: {"type": "session_heartbeat"},
            "telemetry": lambda body: {"status": "accepted"},
            "weights_info": lambda body: {"base_model": self.service.base, "is_lora": True, "lora_rank": 2},
        }


def prompt(chunks: Sequence[Any]) -> list[int]:
    """Token ids of a message's chunks."""
    return [int(token) for chunk in chunks for token in np.frombuffer(chunk.encoded_text.tokens, np.int32)]


def numbers(tensor: Any) -> list[Any]:
    """Those of a message's tensor."""
    return np.frombuffer(tensor.dense, NUMBERS[tensor.dtype]).tolist()


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            base, name = server.service.base, self.path.rpartition("/")[2]
            facts = {
                "/api/v1/healthz": {"status": "ok"},
                f"/api/v1/samplers/{name}": {"sampler_id": name, "base_model": base},
            }
            self.answer(json.dumps(facts[self.path]).encode(), "application/json")

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            body = data if self.headers["Content-Type"] == PROTO else json.loads(data)
            try:
                with server.lock:
                    result = server.routes()[self.path.removeprefix("/api/v1/").partition("?")[0]](body)
            except (LookupError, AssertionError, TypeError, ValueError, RuntimeError) as error:
                # the SDK repeats a request whose connection was cut, and raises what a status of 422 says
                self.answer(json.dumps({"detail": repr(error)}).encode(), "application/json", 422)
            else:
                plain = isinstance(result, dict)
                data = json.dumps(result).encode() if plain else result.SerializeToString()
                self.answer(data, "application/json" if plain else PROTO)

        def answer(self, data: bytes, kind: str, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    return Handler


@contextmanager
def serving(service: Service) -> Iterator[str]:
    """The address of a server of this service while it runs."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(Server(service)))
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}"
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
