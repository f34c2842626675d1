"""A chat-completions server on loopback that streams where asked; its texts depend on what it reads."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


@contextmanager
def serve(answer: Callable[[list[dict[str, Any]]], str]) -> Iterator[str]:
    """The URL of a server whose replies are `answer(messages)`, with the version."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            message = {"role": "assistant", "content": answer(body["messages"])}
            frame = {"id": "1", "created": 1, "model": body["model"]}
            if body.get("stream"):
                chunk = {**frame, "object": "chat.completion.chunk"}
                parts = [
                    {**chunk, "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
                    {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
                    {**chunk, "choices": [], "usage": USAGE},
                ]
                text = "".join(f"data: {json.dumps(part)}\n\n" for part in parts) + "data: [DONE]\n\n"
                self.send("text/event-stream", text)
            else:
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                whole = {**frame, "object": "chat.completion", "choices": [choice], "usage": USAGE}
                self.send("application/json", json.dumps(whole))

        def send(self, kind: str, text: str) -> None:
            data = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
