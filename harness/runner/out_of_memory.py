"""Each framework says in words of its own that there is not enough memory."""

MARKS = (
    "outofmemory",
    "out of memory",
    "resource_exhausted",
    "resourceexhausted",
    "can't allocate memory",
    "cannot allocate memory",
    "bad_alloc",  # of C++, which then aborts
    "alloc_failed",  # of cuBLAS and cuDNN up to 8
    "allocation_failed",  # of cuDNN from 9 on, of the device's memory or the host's
    "error_out_of_memory",  # of CUDA's driver
    "memoryallocation",  # of CUDA
)


def matches(text: str) -> bool:
    """Whether an exception's name and message, or a process' last output, is about memory."""
    words = text.lower()
    return any(mark in words for mark in MARKS)
