"""Figures of a regression: predicted against true, residuals and errors by range of each target."""

from typing import TYPE_CHECKING, Any

from ftlab.reports.svg import INK, SERIES, WIDTH, canvas, style, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DRAWN_AT_MOST = 12  # targets; a picture has about 60 kB


def drawn_targets(report: dict[str, Any]) -> list[dict[str, Any]]:
    """What the task counted of each target, as far as there is a picture of it."""
    return (report.get("residuals") or {"targets": []})["targets"][:DRAWN_AT_MOST]


def target_rows(report: dict[str, Any]) -> dict[str, Any] | None:
    """The metrics of each target on the split that is shown; None for a task without numbers."""
    found = report.get("residuals")
    if not found:
        return None
    metrics = report["metrics"][found["split"]]
    names = [name for name in metrics if "/" not in name and name != "loss"]
    rows = [
        {"target": t["target"], "figures": [metrics.get(f"{name}/{t['target']}") for name in names]}
        for t in found["targets"]
    ]
    return {"split": found["split"], "metrics": names, "rows": rows, "drawn": DRAWN_AT_MOST}


def residuals_figure(target: dict[str, Any]) -> str:
    """Three panels of one target: predicted against true, histogram of the errors, error by range of the truth."""
    with style():
        figure = canvas(WIDTH, 3.0)
        left, middle, right = figure.subplots(1, 3)
        _scatter(left, target["points"])
        _histogram(middle, target["histogram"])
        _ranges(right, target["ranges"])
        return svg(figure, "Predicted against true, errors, and errors by the true value")


def _scatter(axes: "Axes", points: list[list[float]]) -> None:
    true, predicted = ([point[side] for point in points] for side in (0, 1))
    if points:
        ends = min(true + predicted), max(true + predicted)
        axes.plot(ends, ends, color=INK, linewidth=0.8, alpha=0.6)
    axes.plot(true, predicted, "o", color=SERIES[0], markersize=3, alpha=0.5, markeredgewidth=0)
    axes.set_title("predicted against true", loc="left")
    axes.set(xlabel="true", ylabel="predicted")


def _histogram(axes: "Axes", histogram: dict[str, Any]) -> None:
    if histogram["counts"]:
        axes.stairs(histogram["counts"], histogram["edges"], fill=True, color=SERIES[0], alpha=0.7)
    axes.axvline(0, color=INK, linewidth=0.8, alpha=0.6)
    axes.set_title("errors", loc="left")
    axes.set(xlabel="predicted - true", ylabel="samples")


def _ranges(axes: "Axes", ranges: list[dict[str, Any]]) -> None:
    places = range(len(ranges))
    axes.bar(places, [part["mae"] for part in ranges], color=SERIES[0], alpha=0.7, label="mean absolute error")
    axes.plot(places, [part["bias"] for part in ranges], "o-", color=SERIES[1], markersize=3.5, label="mean error")
    axes.axhline(0, color=INK, linewidth=0.8, alpha=0.6)
    labels = [f"{part['low']:.3g} … {part['high']:.3g}" for part in ranges]
    axes.set_xticks(places, labels, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_title("error by true value", loc="left")
    axes.legend(loc="best", handlelength=1.2)
