"""A URL opened for so many seconds in all, however slowly the bytes come.  Redirects are refused."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPConnection, HTTPResponse
from io import BufferedReader, RawIOBase
from typing import Any


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> None:
        return None

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class _Until(RawIOBase):
    """The bytes of a socket up to a moment: a socket's own time-out begins anew with every byte."""

    def __init__(self, sock: Any, raw: Any, until: float):
        self._sock, self._raw, self._until = sock, raw, until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _HTTP(urllib.request.HTTPHandler):
    def do_open(self, http_class: Any, req: Any, **kwargs: Any) -> Any:
        return super().do_open(_timed(http_class), req, **kwargs)


class _HTTPS(urllib.request.HTTPSHandler):
    def do_open(self, http_class: Any, req: Any, **kwargs: Any) -> Any:
        return super().do_open(_timed(http_class), req, **kwargs)


def _timed(connect: Callable[..., HTTPConnection]) -> Callable[..., HTTPConnection]:
    """Connections whose answers, head and body, must be read `timeout` seconds after they were made."""

    def made(host: str, *, timeout: float, **kwargs: Any) -> HTTPConnection:
        until = time.monotonic() + timeout

        class Answer(HTTPResponse):
            def __init__(self, sock: Any, *args: Any, **kwargs: Any):
                super().__init__(sock, *args, **kwargs)
                self.fp = BufferedReader(_Until(sock, self.fp.detach(), until))

        connection = connect(host, timeout=timeout, **kwargs)
        connection.response_class = Answer
        return connection

    return made


_opener = urllib.request.build_opener(_NoRedirect, _HTTP, _HTTPS)


def open_url(request: urllib.request.Request, timeout_s: float) -> Any:
    """The answer; reading its head and its body, an error's too, ends in a TimeoutError when time is up.

    Connecting, the handshake of TLS and sending end by themselves after `timeout_s` each.  Raises what
    `urllib.request.urlopen` does, HTTPError for a redirect too.
    """
    return _opener.open(request, timeout=timeout_s)
