"""The sweeper of `ftlab auto`: runs the jobs of a course with whatever launcher there is."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ftlab.assembly import Parts, assemble
from ftlab.choosing.command import SWEEPER
from ftlab.choosing.course import Course
from ftlab.choosing.journal import FILE
from ftlab.choosing.probe import Probe, probe, ranking
from ftlab.choosing.rules import EPOCHS, Seen
from ftlab.config import named, plainly, problems, stop_if
from ftlab.disk import locked
from ftlab.errors import UserError
from ftlab.inputs.images.files import extent_of
from ftlab.overrides import parse
from ftlab.reports.jobs import has_ended
from ftlab.resume import flat, read_yaml
from ftlab.search.own_sweeper import OwnSweeper
from ftlab.sized import BATCH, settled
from ftlab.starting import SWEEP, move_aside
from ftlab.tasks.base import Task

LOOKED = 200  # images whose sides are looked at
OF_DESCENT = ("optimizer", "trainer", "rates", "schedule", "augment")  # what a fit in closed form does not read


class Choose(OwnSweeper):
    """Of conf/hydra/sweeper/auto.yaml; see Course for what it does. It is the Jobs of it."""

    def __init__(self, seconds: float, samples: int, backbones: Sequence[str]) -> None:
        """samples: of train that networks are ranked by; backbones: that are, [] for those at hand."""
        self.seconds, self.samples, self.backbones = seconds, samples, list(backbones)

    def run(self, arguments: list[str]) -> int:
        self.typed, self.folder = arguments, Path(self.config.hydra.sweep.dir)
        keys, _ = parse(arguments, True, frozenset())
        if several := [one.text for one in keys if one.sweep]:
            raise UserError(f"{several[0]}: ftlab auto takes one value of each key; leave out what it is to choose")
        with locked(self.folder):
            self._check_same()
            OmegaConf.save(self.config, self.folder / SWEEP)
            Course(self.folder, self.seconds, frozenset(one.key for one in keys), self, time.monotonic).go()
        return 0

    def _check_same(self) -> None:
        """Raises: UserError where a choice goes on with other words than those of the runs that are there."""
        if not (self.folder / FILE).is_file():
            return
        before, now = read_yaml(self.folder / SWEEP)["hydra"], OmegaConf.to_container(self.config.hydra)
        old, new = told_of(before), told_of(now)
        if changed := sorted(old ^ new):
            was = ", ".join(sorted(old - new)) or "without it"
            raise UserError(
                f"{', '.join(sorted(new - old)) or changed[0]}: the runs in {self.folder} are of another "
                f"line ({was}); resume=auto goes on with the same one, of which time= alone may change"
            )

    def launch(self, job: int, words: Sequence[str]) -> None:
        folder = self.folder / str(job)
        if has_ended(folder):
            return
        if (folder / "config.yaml").is_file():
            move_aside(folder)  # it was interrupted
        self.launcher.launch([[*self.typed, *words]], initial_job_idx=job)

    def settings(self, words: Sequence[str]) -> Mapping[str, Any]:
        config = self._config(words)
        parts = assemble(config, describe_only=True)
        found = flat(settled(config, parts.choices))
        epochs = sum(phase.epochs for phase in parts.phases)
        if not any(phase.descending for phase in parts.phases):
            found = {key: value for key, value in found.items() if key.split(".")[0] not in OF_DESCENT}
        return found if epochs == found.get(EPOCHS) else {key: found[key] for key in found if key != EPOCHS}

    def look(self) -> tuple[Seen, dict[str, Any]]:
        config = self._config(())
        parts = assemble(config)
        if parts.splits.val is None:
            raise UserError("ftlab auto: needs a val split, by which it chooses; data.split=[0.7,0.15,0.15] makes one")
        large = config["subset"] is None and parts.spec.sizes["train"] > self.samples
        probes = [self._probe(name, large) for name in self._networks(config, parts)]
        for one in probes:
            print(said(one, parts.task.objective), flush=True)
        seen = replace(seen_of(parts, config), ranked=ranking(probes, parts.model.backbone.name))
        told = {"probes": [one.told() for one in probes], "objective": parts.task.objective, "data": parts.spec.name}
        return seen, {**told, "sizes": dict(parts.spec.sizes)}

    def _networks(self, config: Mapping[str, Any], parts: Parts) -> list[str]:
        """The config's own first; none where nothing is pretrained. Raises: UserError for names that nothing reads."""
        node = config["backbone"]
        own = node.get("name")
        if own is None or parts.model.backbone.loaded.source == "random" or node.get("weights"):
            if self.backbones:
                raise UserError(f"auto.backbones={self.backbones}: these data are learned by no pretrained network")
            return [parts.model.backbone.name] if parts.model.backbone.loaded.source != "random" else []
        at_hand = getattr(named(node, config["trusted_modules"]), "at_hand", list)
        is_typed = any(word.startswith("backbone.name=") for word in self.typed)
        others = self.backbones or ([] if is_typed else at_hand())
        return list(dict.fromkeys([own, *others]))

    def _probe(self, name: str, large: bool) -> Probe:
        """large: whether the data are more than what networks are ranked by."""
        words = (f"backbone.name={name}",) if "name" in self.config.backbone else ()
        try:
            parts = assemble(self._config((*words, *([f"subset={self.samples}"] if large else []))))
        except UserError as error:
            return Probe(name, why_not=str(error))
        return probe(parts, self.folder, self.config.seed)

    def _config(self, words: Sequence[str]) -> dict[str, Any]:
        """The settings of a job. Raises: UserError."""
        node = self.context.config_loader.load_sweep_config(self.config, [*self.typed, *words])
        found = OmegaConf.masked_copy(node, [str(key) for key in node if key != "hydra"])
        stop_if(problems(found, "train"))
        return dict(plainly(found, resolve=True))


Choose.__module__ = SWEEPER.rpartition(".")[0]


def told_of(hydra: Any) -> set[str]:
    """What decides the steps of a choice, but for its time: words of train, and what networks are ranked by."""
    own = {f"auto.{key}={hydra['sweeper'][key]}" for key in ("samples", "backbones")}
    return {*hydra["overrides"]["task"], *own}


def seen_of(parts: Parts, config: Mapping[str, Any]) -> Seen:
    """What the rules go by."""
    task, model = parts.task, parts.model
    has_learners = type(task).refuses_estimator is not Task.refuses_estimator and find_spec("skops") is not None
    batch = config["data"]["batch_size"]
    return Seen(
        train=parts.spec.sizes["train"],
        pixels=parts.preprocessing.pixels,
        pretrained=model.backbone.loaded.source != "random",
        convex=model.head.last_layer is not None and task.refuses_convex() is None,
        learners=has_learners and model.head.last_layer is not None,
        columns=model.backbone.passes_inputs,
        batch_size=batch if isinstance(batch, int) else BATCH,
        side=side_of(parts),
    )


def side_of(parts: Parts) -> int | None:
    """The longer side of an image of train, in the median."""
    inputs = parts.splits.train.inputs
    if not parts.preprocessing.pixels:
        return None
    places = range(0, len(inputs), -(-len(inputs) // LOOKED))
    sides = sorted(max(found) for place in places if (found := extent_of(inputs, place)))
    return sides[len(sides) // 2] if sides else None


def said(one: Probe, objective: str) -> str:
    """A line a network."""
    if one.log_evidence is None:
        return f"{one.network}: not ranked: {one.why_not}"
    figure = "" if one.figure is None else f", {objective} {one.figure:.4f} of a head in closed form (cross-validated)"
    return f"{one.network}: LogME {one.log_evidence:.4f}{figure}"
