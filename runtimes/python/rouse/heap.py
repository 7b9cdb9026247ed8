"""How glibc's heap treats large blocks. Loaded when the first large body arrives: ctypes costs 10 ms."""

from __future__ import annotations

_M_MMAP_THRESHOLD = -3


def give_back(size: int) -> None:
    """From now on a block of so many bytes goes back to the kernel when it is freed.

    Of its own accord glibc keeps free what is smaller than the largest block that was ever freed (`man mallopt`), for each of many
    threads: 32 MiB of bodies then take 112 MiB of memory, and 47 so. Another libc is left alone, and a Python without ctypes.
    """
    try:
        import ctypes

        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, size)
    except (ImportError, OSError, AttributeError):
        pass
