"""A real HTTP server on loopback that speaks chat completions and misbehaves as it is told."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Plan = Callable[[dict[str, Any], int], str]
"""(request body, how often this very request came before) -> name of a behaviour"""


class Stub:
    """What the server saw.  `paid` counts, per request, the answers that went out whole and good."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.seen: Counter[str] = Counter()
        self.paid: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.listened_to_the_end = False
        """to something that dripped for seconds"""
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()
        self.url = ""

    def answer(self, body: dict[str, Any]) -> str:
        said = f"reply to {body['messages'][-1]['content']}"
        usage = {"prompt_tokens": 11, "completion_tokens": 7}
        choice = {"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        return json.dumps({"model": "stub-1", "choices": [choice], "usage": usage})


class Handler(BaseHTTPRequestHandler):
    stub: Stub

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        stub = self.stub
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        body = json.loads(raw or "{}")
        with stub.lock:
            seen = stub.seen[raw]
            stub.seen[raw] += 1
            stub.bodies.append(body)
            stub.headers.append(dict(self.headers))
            stub.paths.append(self.path)
            stub.under_way += 1
            stub.most_under_way = max(stub.most_under_way, stub.under_way)
        ended = False
        try:
            name, _, rest = stub.plan(body, seen).partition(":")
            if name == "good":
                time.sleep(float(rest or 0))
                with stub.lock:
                    stub.paid[raw] += 1
                    stub.under_way -= 1  # before the caller has the answer, and may call again
                    ended = True
                self.send(200, stub.answer(body))
            else:
                BEHAVIOURS[name](self, body, rest)
        finally:
            with stub.lock:
                stub.under_way -= not ended

    def send(self, status: int, text: str, **headers: str) -> None:
        data = text.encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def hang_up(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)


def _cut_short(handler: Handler, body: dict[str, Any], rest: str) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.wfile.flush()
    handler.hang_up()


def _drip(handler: Handler, body: dict[str, Any], rest: str) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(100):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        pass


def _error_stall(handler: Handler, body: dict[str, Any], rest: str) -> None:
    _begin(handler, 500, "Content-Length: 100")
    time.sleep(float(rest))


def _error_reset(handler: Handler, body: dict[str, Any], rest: str) -> None:
    _begin(handler, 500, "Content-Length: 100")
    time.sleep(0.2)  # the head is read before the connection is reset
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(handler.connection.detach())


def _error_cut(handler: Handler, body: dict[str, Any], rest: str) -> None:
    _begin(handler, 429, "Transfer-Encoding: chunked")
    handler.wfile.write(b"20\r\nslow do")
    handler.hang_up()


def _error_drip(handler: Handler, body: dict[str, Any], rest: str) -> None:
    _begin(handler, 500, "X-Drip: yes")
    _trickle(handler, b"." * 100)


def _head_drip(handler: Handler, body: dict[str, Any], rest: str) -> None:
    handler.wfile.write(b"HTTP/1.0 200 OK\r\n")
    _trickle(handler, b"X-Drip: " + b"." * 100)


def _begin(handler: Handler, status: int, header: str) -> None:
    handler.send_response(status)
    handler.send_header(*header.split(": "))
    handler.end_headers()
    handler.wfile.flush()


def _trickle(handler: Handler, data: bytes) -> None:
    for k in range(len(data)):
        handler.wfile.write(data[k : k + 1])  # an OSError where nobody listens any more
        time.sleep(0.05)
    handler.stub.listened_to_the_end = True


BEHAVIOURS: dict[str, Callable[[Handler, dict[str, Any], str], None]] = {
    "status": lambda h, body, rest: h.send(int(rest), f'{{"error": "told to send {rest}"}}'),
    "brackets": lambda h, body, rest: h.send(400, "a [key] in [/brackets]"),
    "wait": lambda h, body, rest: h.send(429, "slow down", Retry_After=rest),
    "wait_until": lambda h, body, rest: h.send(
        429, "slow down", Retry_After=formatdate(time.time() + float(rest), usegmt=True)
    ),
    "hang": lambda h, body, rest: time.sleep(float(rest)),
    "cut": lambda h, body, rest: h.hang_up(),
    "cut_short": _cut_short,
    "drip": _drip,
    "error_stall": _error_stall,
    "error_reset": _error_reset,
    "error_cut": _error_cut,
    "error_drip": _error_drip,
    "head_drip": _head_drip,
    "empty": lambda h, body, rest: h.send(200, ""),
    "no_choices": lambda h, body, rest: h.send(200, '{"choices": []}'),
    "bad_json": lambda h, body, rest: h.send(200, '{"choices": [{"message"'),
    "not_an_object": lambda h, body, rest: h.send(200, "[1, 2]"),
    "error_in_200": lambda h, body, rest: h.send(200, '{"error": {"message": "overloaded"}}'),
    "stream": lambda h, body, rest: h.send(
        200, 'data: {"error": "overloaded"}\n\ndata: [DONE]\n\n', Content_Type="text/event-stream"
    ),
    "no_content": lambda h, body, rest: h.send(
        200, '{"choices": [{"message": {"content": null}, "finish_reason": "length"}]}'
    ),
    "echo": lambda h, body, rest: h.send(int(rest), json.dumps({"choices": [_echo(h)]})),
    "escaped": lambda h, body, rest: h.send(int(rest), _escaped(h)),
    "say": lambda h, body, rest: h.send(200, rest),
    "redirect": lambda h, body, rest: h.send(302, "", Location=rest),
}


def _echo(handler: Handler) -> dict[str, Any]:
    return {"message": {"content": f"you sent {handler.headers.get('Authorization')}"}}


def _escaped(handler: Handler) -> str:
    """The key everywhere, in every way that JSON may write a character."""
    key = handler.headers.get("Authorization", "").removeprefix("Bearer ")
    ways = ("".join(f"\\u{ord(c):04X}" for c in key), key.replace("/", "\\/"), json.dumps(f'"{key}')[3:-1])
    texts = [f'"{way}"' for way in ways]
    choice = f'{{"message": {{"content": {texts[0]}}}, "finish_reason": {texts[1]}}}'
    return f'{{"choices": [{choice}], "model": {texts[0]}, "usage": {{"prompt_tokens": {texts[2]}}}}}'


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # connections that the other side gave up are part of the game


@contextmanager
def serve(plan: Plan) -> Iterator[Stub]:
    """A running server; its address is `stub.url`, with the version."""
    stub = Stub(plan)
    server = Server(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"stub": stub}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
