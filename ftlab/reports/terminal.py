"""What a person reads in the terminal: the plan before a run, a line an epoch, the result after it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ftlab.errors import UserError, choices
from ftlab.problems import SEVERITIES, Problem
from ftlab.reports import frozen, intervals, numbers
from ftlab.reports.held import held, judged
from ftlab.reports.plan import Row, Run, Setting, rows, runs, weight_decays
from ftlab.streams import printed

Stages = Sequence[dict[str, Any]]
Plan = Sequence[dict[str, Any]]
UNBOUNDED = 100_000  # characters
LINE = 80  # characters of a line an epoch


def print_facts(facts: Mapping[str, str], console: Console) -> None:
    """One line each, and an empty one."""
    table = CalmTable.grid(padding=(0, 2, 0, 0))
    for name, text in facts.items():
        table.add_row(Text(name), Text(numbers.readable(text)))
    console.print(table)
    console.print()


def print_plan(
    stages: Stages, plan: Plan, console: Console, detail: str = "stages", tied: Mapping[str, str] | None = None
) -> None:
    """The plan, stage by stage and phase by phase; with many phases a row is a phase.

    detail: "stages" lets neighbours that are treated alike share a row, "layers" gives each row of `stages` its own.
    tied: other places of shared parameters, with the address of the stage that counts and trains them.

    Raises: UserError for another `detail`.
    """
    if detail not in ("stages", "layers"):
        raise UserError(f"plan.detail: '{detail}' is unknown; {choices(detail, ('stages', 'layers'))}")
    collapse = detail == "stages"
    shared = rows(stages, plan, collapse)
    unbounded = console.options.update(max_width=UNBOUNDED)  # otherwise the measure is cut to the console's width
    for table in (_by_stage(shared, plan), _by_stage(shared, plan, tall=True)):
        if console.measure(table, options=unbounded).maximum <= console.width:
            break
    else:
        table = _by_phase(stages, plan, collapse)
    console.print(table)
    console.print()
    for place, stage in (tied or {}).items():
        console.print(Text(f"{numbers.readable(place)}: tied to {stage}"), soft_wrap=True)
    console.print(_footer(stages, plan, detail), style="dim")


def print_summary(report: dict[str, Any], console: Console) -> None:
    """The result of a run: objective, metrics, phases with time and memory, and where everything lies."""
    objective, seconds = report["objective"], numbers.duration(sum(report["seconds"].values()))
    ends = intervals.interval(report, objective["split"], objective["name"], objective["value"])
    seconds += ", this sitting" if report.get("resumed") else ""
    said = (
        (f"{judged(report, objective['split'])} {objective['name']} {numbers.figure(objective['value'])}", "bold"),
        f" ({ends and f'{ends}; '}{'higher' if objective['mode'] == 'max' else 'lower'} is better), ",
    )
    unjudged = ("nothing is judged, as there is neither a val nor a test split; ",)
    console.print(Text.assemble(*(said if report["metrics"] else unjudged), seconds))
    if report["history"]:
        console.print(Text(held(report)), soft_wrap=True)
    console.print()
    if report["metrics"]:
        _print_metrics(report, report["metrics"], console)
        console.print()
    console.print(_phases(report["phases"]))
    console.print()
    for warning in report.get("warnings", []):
        console.print(Text(f"warning: {numbers.readable(warning)}", style="yellow"), soft_wrap=True)
    for name in ("report.html", "report.json", "bundle"):
        path = Path(report["run_dir"]) / name
        if path.exists():  # an interrupted run has no bundle
            # soft_wrap: a path broken into lines cannot be copied
            console.print(Text(f"{name:<12}{numbers.readable(path)}"), soft_wrap=True)


def print_evaluation(report: dict[str, Any], output: Path | None, console: Console) -> None:
    """How many samples of what were measured, every figure, what to know of them, and where the report lies."""
    sizes, samples, name = report["data"]["sizes"], report["samples"], numbers.readable(report["data"]["name"])
    held = "" if list(sizes) == ["train"] else f" ({', '.join(f'{size:,} {split}' for split, size in sizes.items())})"
    part = "" if samples == sum(sizes.values()) else f" of {sum(sizes.values()):,}"
    what = "sample" if sum(sizes.values()) == 1 else "samples"
    console.print(Text(f"{report['split']}: {samples:,}{part} {what} of {name}{held}"), soft_wrap=True)
    console.print()
    _print_metrics(report, {report["split"]: report["metrics"]}, console, each=True)
    console.print()
    for warning in report["warnings"]:
        console.print(Text(f"warning: {numbers.readable(warning)}", style="yellow"), soft_wrap=True)
    if output is not None:
        console.print(Text(f"written to {numbers.readable(output)}"), soft_wrap=True)


def print_problems(
    name: str, sizes: Mapping[str, int], problems: Sequence[Problem], console: Console | None = None
) -> None:
    """What a check of data found: one row a problem; on one line each where it is not read on a terminal."""
    console = console or Console()
    if not console.is_terminal:  # a path broken into lines cannot be searched for
        console.width = UNBOUNDED
    held = ", ".join(f"{numbers.count(count)} {split}" for split, count in sizes.items())
    console.print(Text(f"data={name}" + (f": {held}" if held else "")))
    if problems:
        table = table_of("count", "problem", "severity", "examples", left=("problem", "severity", "examples"))
        for one in problems:
            kind = Text(numbers.readable(one.what) + (f"; {numbers.readable(one.advice)}" if one.advice else ""))
            style = {"error": "bold red", "warning": "yellow"}.get(one.severity, "dim")
            shown = Text("\n".join(map(numbers.readable, one.examples)))
            table.add_row(f"{one.count:,}", kind, Text(one.severity, style=style), shown)
        console.print(table)
    counts = [numbers.plural(sum(one.severity == severity for one in problems), severity) for severity in SEVERITIES]
    console.print(Text(", ".join(counts)))


def epoch_line(record: dict[str, Any], first: dict[str, Any], metric: str | None = None) -> str:
    """One line an epoch for logs, at most 80 characters; `metric` defaults to the first one of the val split.

    first: the record of the run's first epoch, whose figures say with how many digits all below them are written.
    """
    val, val_first = record.get("val") or {}, first.get("val") or {}
    metric = metric or next((name for name in val if name != "loss"), None)
    words = [f"train {numbers.figure_after(first['train'].get('loss'), record['train'].get('loss')):>6}"]
    if "loss" in val:
        words.append(f"val {numbers.figure_after(val_first.get('loss'), val['loss']):>6}")
    if metric is not None and metric != "loss":
        shown = numbers.figure_after(val_first.get(metric), val.get(metric))
        words.append(f"{numbers.shorten(metric, 12)} {shown:>6}")
    figures = "  ".join([*words, numbers.duration(record["seconds"])])
    start = f"epoch {record['epoch'] + 1:>3}  "  # a record counts from 0, a person from 1
    room = max(1, min(16, LINE - len(start) - len(figures) - 2))  # the name of the phase gives way, figures never do
    return f"{start}{numbers.shorten(record['phase'], room):<{room}}  {figures}"


class CalmTable(Table):
    """Lines end where their text ends. Where the terminal is not UTF-8, a cell is measured as it will be printed, so
    that columns stay in line."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in Segment.split_lines(cast(Iterable[Segment], super().__rich_console__(console, options))):
            yield from _unfilled(line)
            yield Segment.line()

    def add_row(self, *cells: Any, **how: Any) -> None:
        super().add_row(*(Cell(cell) if isinstance(cell, Text) else cell for cell in cells), **how)

    def add_column(self, header: Any = "", *rest: Any, **how: Any) -> None:
        super().add_column(Cell(header) if isinstance(header, Text) else header, *rest, **how)


def _unfilled(line: Sequence[Segment]) -> list[Segment]:
    """Without the blanks at its end, which a column's width has added."""
    kept = list(line)
    while kept and not kept[-1].text.rstrip(" "):
        kept.pop()
    if kept:
        kept[-1] = Segment(kept[-1].text.rstrip(" "), kept[-1].style)
    return kept


class Cell:
    """A text as the console's encoding has it."""

    def __init__(self, text: Text) -> None:
        self.text = text

    def _shown(self, options: ConsoleOptions) -> Text:
        found = printed(self.text.plain, options.encoding)
        # the styles of parts hold places, which replaced characters would move
        return self.text if found == self.text.plain else Text(found, style=self.text.style)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._shown(options))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._shown(options)


def table_of(*columns: str, left: Sequence[str] = ()) -> Table:
    """A calm table: one rule under the header, figures to the right, columns named in `left` to the left."""
    table = CalmTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for name in columns:
        table.add_column(Text(name), justify="left" if name in left else "right", overflow="fold")
    return table


def _by_stage(shared: Sequence[Row], plan: Plan, tall: bool = False) -> Table:
    """Rows: stages from the input to the output. Columns: phases, heads of two lines, or narrower ones of three."""
    between = "\n" if tall else " "
    headers = [f"{place}{between}{phase['phase']}\n{_epochs(phase)}" for place, phase in enumerate(plan, start=1)]
    table = table_of("stage", "parameters", *headers, left=("stage",))
    one_decay = len(weight_decays(plan)) <= 1
    for row in shared:
        cells = (_cell(setting, one_decay) for setting in row.settings)
        table.add_row(Text(row.label), numbers.count(row.parameters), *cells)
    return table


def _by_phase(stages: Stages, plan: Plan, collapse: bool) -> Table:
    """Rows: phases, each with the runs of stages that train in it."""
    one_decay = len(weight_decays(plan)) <= 1  # then the footer tells it, and the names have more room
    decay = () if one_decay else ("decay",)
    table = table_of("phase", "epochs", "trains", "parameters", "rate", *decay, left=("phase", "trains"))
    for place, phase in enumerate(plan, start=1):
        head = (Text(f"{place:>2} {phase['phase']}"), str(phase["epochs"]))
        found: Sequence[Run | None] = runs(stages, phase, collapse) or [None]
        for run in found:
            table.add_row(*head, *_run_cells(run)[: 3 if one_decay else 4])
            head = (Text(""), "")
    return table


def _run_cells(run: Run | None) -> tuple[Text | str, ...]:
    """Stages, parameters, rates, weight decays."""
    if run is None:
        return Text("nothing", style="dim"), "0", "", ""
    rates = [numbers.rate(setting.rate) for setting in run.settings]
    decays = [numbers.decay(setting.weight_decay) for setting in run.settings]
    return Text(run.label), numbers.count(run.parameters), Text(_range(rates), style="green"), _range(decays)


def _range(texts: Sequence[str]) -> str:
    """From the input's end to the output's."""
    return texts[0] if len(set(texts)) == 1 else f"{texts[0]} … {texts[-1]}"


def _cell(setting: Setting | None, one_decay: bool) -> Text:
    if setting is None:
        return Text("frozen", style="dim")
    rate = Text(numbers.rate(setting.rate), style="green")
    return (
        rate
        if one_decay or setting.rate is None
        else rate.append(f"\ndecay {numbers.decay(setting.weight_decay)}", style="dim")
    )


def _epochs(phase: dict[str, Any]) -> str:
    return f"{phase['epochs']} epoch" + ("" if phase["epochs"] == 1 else "s")


def _footer(stages: Stages, plan: Plan, detail: str) -> Text:
    decays = weight_decays(plan)
    words = [
        f"{numbers.count(sum(stage['parameters'] for stage in stages))} parameters in {len(stages)} {detail}",
        f"{numbers.plural(sum(phase['epochs'] for phase in plan), 'epoch')} in {numbers.plural(len(plan), 'phase')}",
    ]
    if decays:
        words.append(f"weight decay {_range([numbers.decay(decay) for decay in decays])}")
    return Text("; ".join(words))


def _print_metrics(
    report: dict[str, Any], metrics: dict[str, dict[str, float | None]], console: Console, each: bool = False
) -> None:
    """The table of figures by split, with their intervals. each: figures of single targets too; else the report has
    them."""
    there = {split: found for split, found in metrics.items() if found}
    ends = report.get("intervals", {})
    level = {split: [intervals.LEVEL] if ends.get(split) else [] for split in there}
    columns = [name for split in there for name in (judged(report, split), *level[split])]
    table = table_of("metric", *columns, left=("metric",))
    single = {name for found in there.values() for name in found if "/" in name and not each}
    rows = numbers.rows_of(there, without=single)
    for name, cells in numbers.with_intervals(rows, list(there), ends):
        table.add_row(Text(name), *cells)
    console.print(table)
    if said := intervals.how(report):
        console.print(Text(said), style="dim")


def _phases(phases: Sequence[dict[str, Any]]) -> Table:
    columns = ("phase", "epochs", "trainable", "time", "a step", "memory", "frozen part", "ended by")
    table = table_of(*columns, left=("phase", "frozen part", "ended by"))
    cells = zip(
        (Text(numbers.readable(phase["name"])) for phase in phases),
        (numbers.epochs(phase["first_epoch"], phase["last_epoch"]) for phase in phases),
        (numbers.count(phase["trainable_parameters"]) for phase in phases),
        numbers.durations(phase["seconds"] for phase in phases),
        numbers.durations(phase["seconds_per_step"] for phase in phases),
        numbers.memories(phase["peak_memory_bytes"] for phase in phases),
        map(frozen.place, phases),
        (phase["ended_by"] for phase in phases),
        strict=True,
    )
    for row in cells:
        table.add_row(*row)
    return table
