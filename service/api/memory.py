"""A worker gives memory back to the system when it no longer needs it."""

import ctypes

import pyarrow as pa

LARGE = 1 << 20  # bytes of an array from which on it has pages of its own, which are free when it is: a set is some arrays of megabytes
_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of malloc.h


def give_back() -> None:
    """Lets what was freed go, from now on, in this process.

    The C library of most systems keeps what large arrays took once it has seen some, and small ones that lie between hold it fast: a worker that
    had read a set of 20,000 series kept 110 MB of it for nothing. Arrow's own pool kept 26 MB of a small set. Elsewhere nothing is changed.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, LARGE)
