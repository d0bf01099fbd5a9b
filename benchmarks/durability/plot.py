"""The benchmark's picture."""

from pathlib import Path
from typing import Any

from benchmarks.durability.summary import Spread, per_step
from benchmarks.durability.systems import ALL

OURS, THEIRS = "#0b6bcb", "#9aa5b1"


def plot_durability(found: dict[str, Any], file: Path) -> None:
    """Draw steps a second of one agent and of many, and bytes a step against the history."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "durability"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(15, 4.2))
    titles = (("one", "durable steps a second, one agent"), ("many", "the same, many agents on one host"))
    for axis, (kind, title) in zip(axes, titles, strict=False):
        runs = found["speeds"][kind]
        names = list(reversed(runs))
        spreads = [Spread.of([run["per_s"] for run in runs[name]]) for name in names]
        axis.barh(
            [ALL[name].says for name in names], [spread.median for spread in spreads],
            color=[THEIRS if ALL[name].is_peer else OURS for name in names],
            xerr=[
                [spread.median - spread.least for spread in spreads],
                [spread.most - spread.median for spread in spreads],
            ],
        )  # fmt: skip
        axis.set_title(title, fontsize=10)
        axis.grid(axis="x", alpha=0.3)
    axis = axes[2]
    for name, run in found["volumes"]["growing"].items():
        sizes = sorted(run["sizes"].values(), key=lambda size: size["steps"])
        axis.plot(
            [size["steps"] for size in sizes], [per_step(size) for size in sizes], marker="o", label=ALL[name].says,
            color=None if ALL[name].is_peer else OURS, linestyle="-" if name != "ebbtide-replicated" else "--",
        )  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("steps of history")
    axis.set_title("bytes on disk a step that adds 200 bytes", fontsize=10)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    plt.close(figure)
