"""The tellers and ledgers, with a wall clock that can be set: by libfaketime (Debian: faketime), in each host."""

from pathlib import Path

from teller_app import agents, options

AHEAD = "/srv/ahead"
"""On each machine its own: how far its hosts' clocks are ahead, as `+60s`."""
LIBRARY = "libfaketimeMT.so.1"
found = sorted(Path("/usr/lib").glob(f"*/faketime/{LIBRARY}"))
options = options | {
    "runtime_env": {
        "env_vars": {
            "PYTHONPATH": str(Path(__file__).resolve().parent),
            "LD_PRELOAD": str(found[0]) if found else "",
            "FAKETIME_TIMESTAMP_FILE": AHEAD,
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",
        }
    }
}
__all__ = ("agents", "options")
