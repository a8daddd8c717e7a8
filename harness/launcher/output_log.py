"""What a run prints, in a file: all of it, or of a flood the beginning and the end."""

import os
import selectors
import threading
from pathlib import Path

PART = 2**20  # bytes that are kept of the beginning, and of the end
WAIT_SECONDS = 5.0


class Output:
    """Reads a pipe in a thread, and writes what comes out of it to a file.

    The file takes the first 2 MiB as they come, so that they outlive this process. Of more it holds, when it
    is closed, the first and the last MiB, and between them how much was left out. What cannot be written is
    read all the same, since who prints would wait: `failed` is then the error.
    """

    def __init__(self, path: Path, over: int) -> None:
        """Reads until nobody is left to write to `pipe`, which is for the caller to close, or until the other
        end of the pipe `over` is closed and there is nothing more to read. Raises OSError."""
        self.failed: OSError | None = None
        self._file = path.open("wb", buffering=0)
        read, self.pipe = os.pipe()
        self._end = bytearray()  # of what came
        self._count = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, args=(read, over), daemon=True)
        self._thread.start()

    def add(self, text: bytes) -> None:
        """Adds something to what has come so far."""
        with self._lock:
            self._write(text[: max(0, 2 * PART - self._count)])
            self._count += len(text)
            self._end += text
            if len(self._end) > 2 * PART:
                del self._end[:-PART]

    def last(self, size: int) -> bytes:
        """The last bytes that came, at most a MiB; for when the process is over."""
        self._thread.join(WAIT_SECONDS)
        with self._lock:
            return bytes(self._end[-size:])

    def close(self) -> None:
        """Ends the file; for when all processes that write to the pipe are."""
        self._thread.join(WAIT_SECONDS)
        with self._lock, self._file:
            left_out = self._count - 2 * PART
            if left_out > 0 and self.failed is None:
                self._file.truncate(PART)
                self._file.seek(PART)
                self._write(f"\n... {left_out:,} bytes are left out here ...\n".encode())
                self._write(bytes(self._end[-PART:]))

    def _write(self, text: bytes) -> None:
        try:
            while text and self.failed is None and not self._file.closed:
                text = text[self._file.write(text) :]
        except OSError as error:
            self.failed = error

    def _read(self, pipe: int, over: int) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            selector.register(over, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select()}
                if pipe in ready:
                    text = os.read(pipe, 65536)
                    if not text:
                        break
                    self.add(text)
                elif over in ready:
                    break
        os.close(pipe)
