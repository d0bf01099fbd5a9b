"""What a figure was measured on: without it, it means nothing."""

import os
import platform
from importlib.metadata import version


def about() -> dict[str, object]:
    """Return the machine and the versions that matter."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "ebbtide": version("ebbtide"),
        "durability": "every record fsynced, many at once",
    }
