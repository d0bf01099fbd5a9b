"""Matplotlib, where it is installed: it is an extra, and nothing but plots needs it."""

from typing import Any

from peer.errors import CallerError


def pyplot() -> Any:
    """Return matplotlib's pyplot, drawing to files.

    Raises: CallerError, if it is not installed.
    """
    try:
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib import pyplot as plots
    except ImportError as error:
        raise CallerError(
            "plots need matplotlib, which is not installed. Nothing was run."
            ' pip install "ebbtide[research]", or use --no-plots'
        ) from error
    return plots
