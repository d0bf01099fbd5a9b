"""What lets this process join a Ray that was started for a cluster: it has to be set before Ray is imported."""

import os
import sys
from pathlib import Path

from peer.backends.ray_head import environment
from peer.trust import authority


def use_token(folder: Path) -> None:
    """Set a folder's token. If Ray was imported meanwhile, as a file of agents may do, begin this command anew with it.

    Raises: ConfigInvalid, if the folder's authority can't be read.
    """
    token = environment(authority.load(folder))
    if all(os.environ.get(name) == value for name, value in token.items()):
        return
    os.environ.update(token)
    if "ray" in sys.modules:
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
