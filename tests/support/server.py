"""An HTTP server that misbehaves as it is told."""

import contextlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Server(ThreadingHTTPServer):
    """Serves `files` by name; misbehaves as told; keeps what was asked, as (file name, Range header)."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.asked: list[tuple[str, str | None]] = []
        self.ranges = True
        self.breaks: dict[str, int] = {}  # file name -> the number of bytes after which it breaks off
        self.sent = 0  # bytes of all bodies
        self.gate = threading.Event()  # closed: a reply stops in the middle and waits
        self.gate.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name, asked = self.path.rsplit("/", 1)[-1], self.headers.get("Range")
        self.server.asked.append((name, asked))
        if self.path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", f"/{name}")
            return self.end_headers()
        if name not in self.server.files:
            return self.send_error(404)
        whole = self.server.files[name]
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and self.server.ranges else 0
        if start >= len(whole):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
        body = whole[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        half = self.server.breaks.get(name, len(body) // 2)
        self.server.sent += len(body)
        self.wfile.write(body[:half])
        self.server.gate.wait()
        if name not in self.server.breaks:
            self.wfile.write(body[half:])
        return None

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Server]:
    """A server on the loopback, reached without any proxy of this machine."""
    with pytest.MonkeyPatch.context() as patch, Server(files) as server:
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("no_proxy", "127.0.0.1")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.gate.set()
            server.shutdown()
            thread.join()


CONTENT = bytes(range(256)) * 40
