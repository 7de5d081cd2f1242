"""Public sets of sequences: series that statsmodels ships, cut into windows, and digits row by row.

Shapes: n sequences, t steps, c channels.
"""

import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from tests.benchmarks.board.base import Set

FIRST_YEAR, LAST_YEAR = 1960, 2011  # of the fertility of countries
AHEAD = 5  # years from the end of a part to the fertility that is to be told
BANDS = ((0.2, 0.05), (0.35, 0.08), (0.5, 0.04), (0.62, 0.1), (0.8, 0.06))  # place and width in a spectrum


def shipped(name: str):  # type: ignore[no-untyped-def]  # a pandas.DataFrame
    """A data set of statsmodels, as it comes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module(f"statsmodels.datasets.{name}").load_pandas().data


def table(folder: Path, columns: dict[str, np.ndarray]) -> None:
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    (folder / "series.csv").write_text("\n".join(lines) + "\n")


def sunspots(folder: Path) -> None:
    """309 years."""
    found = shipped("sunspots")
    table(folder, {"year": found["YEAR"].to_numpy().astype(int), "spots": found["SUNACTIVITY"].to_numpy()})


def sea(folder: Path) -> None:
    """Temperature of the sea in 732 months."""
    table(folder, {"month": np.arange(len(months())), "temperature": months()})


def months() -> np.ndarray:
    return shipped("elnino").iloc[:, 1:].to_numpy(float).ravel()


def co2(folder: Path) -> None:
    """2,284 weeks, which rise: test lies wholly above train. The 59 weeks without a figure lie on a line."""
    weeks = shipped("co2")["co2"].interpolate().to_numpy()
    table(folder, {"week": np.arange(len(weeks)), "ppm": weeks.round(2)})


def macro(folder: Path) -> None:
    """Twelve figures of the United States' economy in 203 quarters."""
    found = shipped("macrodata")
    columns = {name: found[name].to_numpy() for name in found.columns if name not in ("year", "quarter")}
    table(folder, {"number": np.arange(len(found)), **columns})


def fertility() -> np.ndarray:
    """(countries, years)."""
    found = shipped("fertility")
    return found[[str(year) for year in range(FIRST_YEAR, LAST_YEAR + 1)]].dropna().to_numpy(float)


def births(folder: Path) -> None:
    """Each country is a series of 52 years."""
    countries = fertility()
    number, years = countries.shape
    names, time = np.repeat(np.arange(number), years), np.tile(np.arange(FIRST_YEAR, LAST_YEAR + 1), number)
    table(folder, {"country": names, "year": time, "fertility": countries.ravel()})


def unequal(folder: Path) -> None:
    """A part of each country's years, 8 to 40 of them."""
    draw, rows = np.random.default_rng(0), []
    for number, country in enumerate(fertility()):
        for part in range(3):
            length = int(draw.integers(8, 41))
            first = int(draw.integers(0, len(country) - length - AHEAD + 1))
            target = country[first + length - 1 + AHEAD]
            rows += [(3 * number + part, step, country[first + step], target) for step in range(length)]
    table(
        folder, dict(zip(("part", "year", "fertility", "later"), map(np.array, zip(*rows, strict=True)), strict=True))
    )


def season(folder: Path) -> None:
    """Eight months of the sea's temperature; in which quarter they begin."""
    starts = np.arange(0, len(months()) - 8, 5)
    series = np.stack([months()[start : start + 8] for start in starts])[:, :, None]
    np.savez(
        folder / "arrays.npz", series=series, labels=np.array([f"quarter{start % 12 // 3 + 1}" for start in starts])
    )


def spectra(folder: Path) -> None:
    """Made here: 300 mixtures of five bands on a slope, scattered by a factor; how much there is of the third."""
    draw, places = np.random.default_rng(0), np.linspace(0, 1, 100)
    shapes = np.stack([np.exp(-0.5 * ((places - centre) / width) ** 2) for centre, width in BANDS])
    parts = draw.uniform(0, 1, (300, len(BANDS)))
    slope = draw.normal(0, 0.3, (300, 1)) + draw.normal(0, 0.5, (300, 1)) * places
    curves = (parts @ shapes + slope) * draw.uniform(0.8, 1.2, (300, 1)) + draw.normal(0, 0.01, (300, 100))
    np.savez(folder / "arrays.npz", series=curves[:, :, None], targets=parts[:, 2])


def digits(folder: Path) -> None:
    """Each row of eight pixels is a step."""
    data = load_digits()
    np.savez(folder / "arrays.npz", series=data.images, labels=np.array([f"digit{k}" for k in data.target]))


def forecast(
    name: str, write: Callable[[Path], None], time: str, target: str, window: int, horizon: int, stride: int = 1
) -> Set:
    cut = (f"data.window={window}", f"data.horizon={horizon}", f"data.stride={stride}")
    ordered = (f"data.time_column={time}", "data.order=time", f"data.target_columns=[{target}]")
    words = ("task=regression", "data=sequence", "data.file=series.csv", *ordered, *cut)
    return Set(name, "sequence", words, write, "r2")


ARRAYS = ("data=sequence", "data.file=arrays.npz")
COUNTRIES = ("task=regression", "data=sequence", "data.file=series.csv", "data.time_column=year")
SETS = (
    forecast("sunspots", sunspots, "year", "spots", window=22, horizon=1),
    forecast("sea", sea, "month", "temperature", window=24, horizon=6),
    forecast("co2", co2, "week", "ppm", window=52, horizon=13, stride=2),
    forecast("unemployment", macro, "number", "unemp", window=8, horizon=2),
    Set(
        "births",
        "sequence",
        (
            *COUNTRIES,
            "data.series_column=country",
            "data.target_columns=[fertility]",
            "data.window=15",
            "data.stride=4",
            f"data.horizon={AHEAD}",
        ),
        births,
        "r2",
    ),
    Set(
        "births unequal",
        "sequence",
        (*COUNTRIES, "data.series_column=part", "data.target_columns=[later]"),
        unequal,
        "r2",
    ),
    Set("spectra", "sequence", ("task=regression", *ARRAYS), spectra, "r2"),
    Set("season", "sequence", ARRAYS, season),
    Set("digits by rows", "sequence", ARRAYS, digits),
)
