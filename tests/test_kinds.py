"""A kind of input from outside: trained on, kept in the bundle, and read back where its module is trusted.

Shapes: t numbers of a signal, c channels.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

import ftlab
from ftlab.backbones.module import ModuleBackbone
from ftlab.backbones.surgery import probe
from ftlab.batch import Fields
from ftlab.data.base import Samples, Splits
from ftlab.errors import UserError
from ftlab.inputs import kinds
from ftlab.inputs.augment import Augment
from ftlab.inputs.base import InputPreprocessing, Transform, Unread
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.inputs.sequences.preprocessing import Channel, SequencePreprocessing
from ftlab.inputs.sequences.steps import Layout
from ftlab.inputs.tables.preprocessing import CategoryColumn, NumberColumn, TablePreprocessing
from ftlab.survey import loading_keys
from ftlab.targets.classes import Classes

SILENT = -9.0  # what fills a batch up


class Scaled(Transform):
    def __init__(self, gain: float) -> None:
        self.gain = gain

    def then(self, first: Tensor) -> Fields:
        return {"signal": first * self.gain}


@dataclass(frozen=True)
class Signals(InputPreprocessing):
    """Signals of any length, filled up with what is no 0."""

    kind: ClassVar[str] = "signal"
    plural: ClassVar[str] = "signals"
    one_size: ClassVar[bool] = False
    loading: ClassVar[tuple[str, ...]] = ("gain",)

    gain: float = 1.0

    def transform(self, augment: Augment | None = None) -> Transform:
        return Scaled(self.gain)

    def each(self, given: Any) -> Iterator[Tensor]:
        yield from given

    def listed(self, inputs: str | Sequence[str]) -> tuple[list[Unread], tuple[str, ...]]:
        raise UserError("signals are no files")

    def shown(self, raw: Tensor) -> dict[str, Any]:
        return {"cells": {"numbers": str(len(raw))}}

    def builds(self) -> dict[str, Any]:
        return {}

    def blank(self) -> Fields:
        return {"signal": torch.zeros(1)}

    def stack(self, several: Sequence[Fields]) -> Fields:
        signals = [fields["signal"] for fields in several]
        return {"signal": pad_sequence(signals, batch_first=True, padding_value=SILENT)}

    def told(self, loading: Mapping[str, Any]) -> "Signals":
        return Signals(loading.get("gain", self.gain))


class Loudness(nn.Module):
    """Mean and mean square of what is no filling, and a layer over them."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 6)

    def forward(self, signal: Tensor) -> Tensor:
        there = (signal != SILENT).float()
        count = there.sum(1)
        parts = [(signal**power * there).sum(1) / count for power in (1, 2)]
        return self.layer(torch.stack(parts, dim=1))


def backbone() -> ModuleBackbone:
    torch.manual_seed(0)
    return ModuleBackbone(Loudness(), {"layer": ["layer"]}, 6)


def signals(count: int, seed: int) -> Samples:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % 2
    lengths = torch.randint(3, 9, (count,), generator=generator).tolist()
    made = [torch.randn(n, generator=generator) + 2 * c for n, c in zip(lengths, targets.tolist(), strict=True)]
    return Samples(made, targets)


def splits() -> Splits:
    return Splits(
        signals(40, 0), signals(16, 1), signals(16, 2), Classes(("low", "high")), kind="signal", fit=lambda _: Signals()
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signals") / "run"
    words = [
        "strategy=full",
        "trainer.max_epochs=8",
        "trainer.accelerator=cpu",
        "optimizer.lr=0.05",
        "data.batch_size=8",
    ]
    ftlab.train(ftlab.compose(words), run_dir=folder, data=splits(), backbone=backbone())
    return folder


def test_an_own_kind_trains_and_its_bundle_predicts_where_its_module_is_trusted(run: Path) -> None:
    stored = json.loads((run / "bundle" / "bundle.json").read_text())["preprocessing"]
    assert stored == {"kind": f"{__name__}.Signals", "gain": 1.0}
    predictor = ftlab.load(run / "bundle", backbone=backbone(), trusted_modules=[__name__])
    given, test = splits().test, json.loads((run / "report.json").read_text())["metrics"]["test"]
    assert given is not None
    found = predictor.predict([given.inputs[i] for i in range(16)], batch_size=5)
    right = [one["class"] == ("low", "high")[target] for one, target in zip(found, given.targets, strict=True)]
    assert sum(right) / 16 == pytest.approx(test["accuracy"])
    assert sum(right) > 12
    alone = [predictor.predict([given.inputs[i]])[0]["probability"] for i in range(16)]
    assert alone == pytest.approx([one["probability"] for one in found], abs=1e-5)  # what fills up is not heard


def test_the_report_shows_training_samples_of_an_own_kind_by_the_first_numbers_of_its_fields(run: Path) -> None:
    page = (run / "report.html").read_text(encoding="utf8")
    rows = page.partition("as the network sees them</h2>")[2].partition("</table>")[0]
    cells = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in re.findall("<tr>.*?</tr>", rows)[1:]]
    assert len(cells) == 12
    given = splits().train
    for name, target, signal in cells:
        place = int(name.removeprefix("sample "))
        assert target == ("low", "high")[int(given.targets[place])]
        assert signal == " ".join(f"{number:.3g}" for number in given.inputs[place].tolist())  # at most 8 numbers


def test_a_bundle_alone_cannot_make_code_of_others_run(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"{__name__}\.Signals: may not be named"):
        ftlab.load(run / "bundle", backbone=backbone())
    for address in ("os.system", "ftlab.heads.linear.Linear", "ftlab.inputs.images.preprocessing.Preprocessing"):
        with pytest.raises(UserError, match=r"may not be named|is no inputpreprocessing"):
            kinds.restored({"kind": address, "gain": 1.0}, [__name__])


def test_a_name_is_of_what_is_shipped_whatever_is_imported() -> None:
    with pytest.raises(ValueError, match="kind 'signal' is unknown; accepted: image, sequence, table"):
        kinds.restored({"kind": "signal", "gain": 1.0}, [__name__])
    assert kinds.of("signal") is Signals
    with pytest.raises(UserError, match="'signals', which is unknown; did you mean 'signal'"):
        kinds.of("signals")


def test_keys_of_a_data_option_that_a_kind_reads_are_no_sources() -> None:
    assert {"image_size", "crop_pct", "gain", "batch_size"} <= set(loading_keys())
    assert Signals().told({"gain": 3.0, "batch_size": 4}).gain == 3.0


SHIPPED = [
    Preprocessing((8, 6), (0.5,) * 3, (0.25,) * 3),
    TablePreprocessing(
        (NumberColumn("age", 3.0, 2.0, 1.0, True), NumberColumn("size", 3.0, 2.0, 1.0, False)),
        (CategoryColumn("city", ("Rome", "Oslo")),),
    ),
    SequencePreprocessing("word", ("a", "b"), (Channel("x", 0.0, 1.0),), 7, Layout(None, None, None)),
]


@pytest.mark.parametrize("own", SHIPPED, ids=lambda own: own.kind)
def test_every_shipped_kind_comes_back_by_its_name_and_has_an_input_in_which_there_is_nothing(
    own: InputPreprocessing,
) -> None:
    stored = json.loads(json.dumps(own.stored()))
    assert stored["kind"] == own.kind
    assert kinds.restored(stored) == own
    raw = {"image": torch.zeros(3, 9, 9, dtype=torch.uint8), "table": {"age": 1, "size": None, "city": "Rome"},
           "sequence": own.steps({"tokens": ["a"], "series": [0.5]}) if own.kind == "sequence" else None}[own.kind]  # type: ignore[attr-defined]  # fmt: skip
    real, blank = own.transform()(raw), own.blank()
    assert {name: (v.shape, v.dtype) for name, v in blank.items()} == {n: (v.shape, v.dtype) for n, v in real.items()}


def test_a_backbone_whose_preprocessing_is_of_another_kind_than_the_data_is_refused(tmp_path: Path) -> None:
    images = ModuleBackbone(Loudness(), {"layer": ["layer"]}, 6, SHIPPED[0])
    data = Splits(signals(8, 0), signals(8, 1), None, Classes(("low", "high")), kind="signal")
    with pytest.raises(UserError, match="takes inputs of the kind 'image', and those of the data are of 'signal'"):
        ftlab.plan(ftlab.compose(["strategy=full"], mode="plan"), data=data, backbone=images)


def test_what_is_no_image_is_not_mixed_in_silence() -> None:
    config = ftlab.compose(["strategy=full", "augment.mixup=0.2"], mode="plan")
    with pytest.raises(UserError, match="mixup and cutmix are of images, and the inputs are signals"):
        ftlab.plan(config, data=splits(), backbone=backbone())


def test_a_probe_is_one_blank_input_of_the_kind() -> None:
    vector = probe(backbone(), Signals()).vector
    assert vector is not None
    assert vector.shape == (1, 6)
