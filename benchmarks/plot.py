"""Pictures of benchmarks."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench_rollback import CONE, Row


def plot_rollback(rows: Sequence[Row], file: Path) -> None:
    """Draw messages, latency and the others' work against the number of agents."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    sizes = [row.agents for row in rows]
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6))
    series = (
        ("rollback messages", [row.messages_median for row in rows]),
        ("latency, ms (median)", [row.latency_ms_median for row in rows]),
        ("others' work meanwhile, of alone", [row.kept for row in rows]),
    )
    for axis, (name, values) in zip(axes, series, strict=True):
        axis.plot(sizes, values, marker="o", color="#0b6bcb")
        axis.set_xscale("log")
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.set_ylim(0, max(values) * 1.25)
        axis.set_xlabel("agents")
        axis.set_title(name, fontsize=10)
        axis.grid(alpha=0.3)
    figure.suptitle(f"Undoing a cone of {CONE} steps")
    figure.tight_layout()
    figure.savefig(file, dpi=130)
    plt.close(figure)
