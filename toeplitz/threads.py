"""How many threads to compute with."""

import os


def threads() -> int:
    """Threads to compute with: TOEPLITZ_NUM_THREADS, OMP_NUM_THREADS or the cores given to us."""
    for name in ("TOEPLITZ_NUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name, "").isdigit():
            return max(1, int(os.environ[name]))
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
