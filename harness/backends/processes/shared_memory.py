"""Arrays that several processes see: anonymous memory that is gone with the last of them."""

import errno
import mmap
import os
import tempfile
from typing import Any

import numpy as np
import psutil

from harness.model.cell import Shape


class SharedArray:
    """`array`, zeros at first, in memory that another process maps by the open file `fd`.

    Raises MemoryError where there is too little.
    """

    def __init__(self, shape: Shape, dtype: Any) -> None:
        size = _size(shape, dtype)
        if size > psutil.virtual_memory().available:  # the system would promise it, and kill who takes it
            raise MemoryError(f"no {size:,} bytes for an array {shape} of {np.dtype(dtype)}")
        self.fd = _anonymous_file()
        try:
            os.ftruncate(self.fd, size)
            self.array = attached(self.fd, shape, dtype)
        except BaseException:
            os.close(self.fd)
            raise

    def close(self) -> None:
        """Lets go of the file; the memory stays for as long as an array of it is in use."""
        os.close(self.fd)


def attached(fd: int, shape: Shape, dtype: Any) -> np.ndarray:
    """The array that lies in the open file `fd`, which may be closed afterwards.

    Raises MemoryError where the process may not hold so much.
    """
    try:
        return np.ndarray(shape, dtype, buffer=mmap.mmap(fd, _size(shape, dtype)))
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryError(f"no room for an array {shape} of {np.dtype(dtype)}") from error
        raise


def _size(shape: Shape, dtype: Any) -> int:
    return max(1, int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize)


def _anonymous_file() -> int:
    """A file without a name, in memory where the system has that."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("harness")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
