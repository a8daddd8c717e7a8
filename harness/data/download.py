"""Downloads one URL into one file: resumes an earlier download, limits its size, shows a progress bar."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

from harness.data import idx
from harness.errors import DataError
from harness.text import tolerant

CONNECT_SECONDS = 3.05  # slightly above 3, the interval at which TCP retransmits
READ_SECONDS = 15.0


class ServerError(Exception):
    """A server cannot be reached, refuses, or breaks off; the bytes received until then are kept."""


def download_file(url: str, part: Path, *, limit: int, title: str | None = None) -> None:
    """Appends the rest of `url` to `part` and flushes it to the disk.

    With a `title`, a progress bar of that name is shown on stderr. A server that cannot resume sends
    everything again. Raises ServerError, and DataError for a response that does not continue `part` or
    makes it larger than `limit` bytes.
    """
    import pooch
    import requests
    from tqdm import tqdm

    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(part.open("ab"))
        start = stream.tell()

        def on_response(response: Any, **_: Any) -> None:
            stack.callback(response.close)
            if response.status_code == 200:
                stream.truncate(0)
            elif response.status_code == 206:
                if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                    raise DataError(f"{url}: answered with another range than the one asked for.")
            elif response.status_code == 416:
                raise DataError(f"{url}: has no bytes after the {start:,} fetched earlier.")
            if title and response.status_code in (200, 206):
                total = int(response.headers.get("Content-Length", 0))
                bar = tqdm(desc=title, total=total, unit="B", unit_scale=True, file=tolerant(sys.stderr))
                fetch.progressbar = stack.enter_context(bar)

        fetch = pooch.HTTPDownloader(
            headers={"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {}),
            hooks={"response": on_response},
            timeout=(CONNECT_SECONDS, READ_SECONDS),
        )
        try:
            fetch(url, _Bounded(stream, limit, url), None)
        except (requests.RequestException, ValueError) as error:  # ValueError: a header is not a number
            raise ServerError(f"{url}: {_reason(error)}") from error
        stream.flush()
        os.fsync(stream.fileno())


class _Bounded:
    """A file that raises DataError instead of growing beyond `limit` bytes."""

    def __init__(self, stream: BinaryIO, limit: int, url: str) -> None:
        self.stream, self.limit, self.url = stream, limit, url
        self.flush = stream.flush

    def write(self, chunk: bytes) -> None:
        if self.stream.tell() + len(chunk) > self.limit:
            raise idx.content_error(self.url, found="more bytes", expected=f"at most {self.limit:,}")
        self.stream.write(chunk)


def _reason(error: Exception) -> str:
    """Why a request failed, without the exceptions wrapped around the reason."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:.0f} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off midway; a second call continues there"
    inner = getattr(error.args[0], "reason", error.args[0]) if error.args else error
    return str(inner).split("): ", 1)[-1]
