"""Finished runs side by side: tables of the terminal, and compare.html."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from ftlab.reports import numbers
from ftlab.reports.figures import POINTS_AT_MOST
from ftlab.reports.page import template
from ftlab.reports.svg import SERIES, WIDTH, at_both_widths, canvas, style, svg
from ftlab.reports.terminal import table_of

SHOWN = 12  # names of samples at most
Found = Mapping[str, Any]


def print_runs(found: Found, console: Console) -> None:
    """Figures, costs, what differs in the settings, and the samples that tell the runs apart."""
    runs = found["runs"]
    table = table_of("", *(numbers.shorten(name, 24) for name in runs))
    for label, cells in rows(found):
        table.add_row(label, *cells)
    console.print(table)
    if found["config"]:
        settings = table_of("setting", *("" for _ in runs))
        for key, values in found["config"].items():
            settings.add_row(Text(key), *(Text(numbers.shorten(values[name], 24)) for name in runs))
        console.print()
        console.print(settings)
    console.print()
    for line in told(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def rows(found: Found) -> list[tuple[str, list[str]]]:
    """A row a figure of val and test, then one a cost; a cell a run."""
    runs = found["runs"].values()
    named = {(split, name): None for run in runs for split, figures in run["metrics"].items() for name in figures}
    lines = [
        (f"{split} {name}", numbers.figures(run["metrics"].get(split, {}).get(name) for run in runs))
        for split, name in named
        if "/" not in name
    ]
    return [
        *lines,
        ("time", numbers.durations(run["seconds"] for run in runs)),
        ("memory", numbers.memories(run["peak_memory_bytes"] for run in runs)),
        ("trainable", [numbers.count(run["trainable_parameters"]) for run in runs]),
        ("train samples", [f"{run['sizes'].get('train', 0):,}" for run in runs]),
    ]


def told(found: Found) -> list[str]:
    """What the samples of test say, a line a pair of runs."""
    lines = [
        f"test: {pair['runs'][0]} alone is right on {len(pair['only_first'])}, {pair['runs'][1]} alone on "
        f"{len(pair['only_second'])}, both on {pair['both']}, neither on {pair['neither']}; p {pair['p']:.3g}, "
        f"{pair['test']}"
        for pair in found["pairs"]
    ]
    which = "the other runs" if lines else "the runs"
    return lines + ([f"samples of {which} are not compared: {found['unpaired']}"] if "unpaired" in found else [])


def write_runs(found: Found, reports: Mapping[str, Any]) -> str:
    """The page as text. reports: report.json of each run, by its folder."""
    from markupsafe import Markup

    curves = Markup(at_both_widths(lambda width: curves_figure(reports, width)))  # matplotlib has escaped its text
    is_drawn = any(report["history"] for report in reports.values())
    return template("compare.html").render(
        found=found, rows=rows(found), told=told(found), curves=curves if is_drawn else "", shown=SHOWN
    )


def curves_figure(reports: Mapping[str, Any], width: float = WIDTH) -> str:
    """Loss of val, and the objective, of all runs over their epochs."""
    from matplotlib.ticker import MaxNLocator

    wide = width >= WIDTH
    names = [report["objective"]["name"] for report in reports.values()]
    with style():
        figure = canvas(width, 3.1 if wide else 5.8)
        both = figure.subplots(*((1, 2) if wide else (2, 1)))
        for place, (run, report) in enumerate(reports.items()):
            history = report["history"][:POINTS_AT_MOST]
            epochs = [record["epoch"] + 1 for record in history]
            look: dict[str, Any] = {
                "color": SERIES[place % len(SERIES)],
                "marker": "os^Dvx"[place % 6],
                "markersize": 3,
            }
            for axes, name in zip(both, ("loss", report["objective"]["name"]), strict=True):
                values = [(record["val"] or {}).get(name) for record in history]
                label = numbers.shorten(run, 30) if name == "loss" else None
                axes.plot(epochs, [float("nan") if v is None else v for v in values], label=label, **look)
        for axes, title in zip(both, ("loss of val", f"{' / '.join(dict.fromkeys(names))} of val"), strict=True):
            axes.set_title(title, loc="left")
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside lower left", ncols=2 if wide else 1, handlelength=1.2)
        return svg(figure, "Loss and objective of all runs")
