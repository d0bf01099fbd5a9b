"""How much memory this process has in use."""

import os
import resource
import sys
from pathlib import Path

_STATM, _STATUS = Path("/proc/self/statm"), Path("/proc/self/status")


def rss_bytes() -> int:
    """Return the resident memory now; where the system does not tell that, the most there has been."""
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return _most()


def peak_bytes() -> int:
    """Return the most resident memory that this process has had."""
    if _STATUS.exists():
        # Linux has what getrusage says begin with what the parent had.
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return _most()


def _most() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
