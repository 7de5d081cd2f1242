from dataclasses import replace

import pytest

from ftlab.cache.decide import Amounts, Limits, Need, decide, groups
from ftlab.cache.settings import CacheSettings
from ftlab.errors import UserError

AUTO = CacheSettings("auto", memory_budget=1.0, disk_budget=10.0)
HEAD = Need("head", 1, frozenset({"head/fc"}), ("pooled",), frozenset({"backbone/a", "backbone/b"}))
TOP = Need("top", 4, frozenset({"head/fc", "backbone/b"}), ("a",), frozenset({"backbone/a"}))
ALL = Need("all", 3, frozenset({"head/fc", "backbone/b", "backbone/a"}))
SMALL = Amounts({"pooled": 100, "a": 1000}, train=10, plain_train=10, val=5)


def places(needs: list[Need], **changed: object) -> dict[str, tuple[str, str]]:
    given = {"settings": AUTO, **changed}
    amounts = given.pop("amounts", SMALL)
    return {c.phase: (c.train, c.val) for c in decide(needs, amounts, Limits(**given))}  # type: ignore[arg-type]


def test_one_pass_serves_every_later_phase_whose_frozen_part_is_the_same() -> None:
    assert groups([HEAD, TOP, ALL]) == [[HEAD, TOP]]
    assert places([HEAD, TOP, ALL]) == {"head": ("memory",) * 2, "top": ("memory",) * 2, "all": ("off",) * 2}


def test_a_phase_behind_one_that_trained_its_frozen_part_begins_a_pass_of_its_own() -> None:
    again = Need("again", 2, HEAD.trains, HEAD.names, HEAD.stages)
    assert groups([HEAD, TOP, again]) == [[HEAD, TOP], [again]]


def test_a_single_epoch_keeps_nothing() -> None:
    assert places([HEAD]) == {"head": ("live", "live")}


def test_what_reads_as_slowly_as_it_computes_is_not_kept() -> None:
    slow = Need("slow", 9, TOP.trains, TOP.names, TOP.stages, pays=False)
    assert places([slow]) == {"slow": ("live", "live")}


def test_an_augmentation_leaves_validation_and_convex_phases_to_the_cache() -> None:
    convex = Need("fit", 1, HEAD.trains, HEAD.names, HEAD.stages, plain=True)
    found = places([convex, TOP], varied="the augmentation varies the images")
    assert found == {"fit": ("memory", "memory"), "top": ("live", "memory")}


def test_memory_is_counted_for_all_values_that_are_held_at_once_and_disk_takes_what_is_too_much() -> None:
    gib = 2**30
    amounts = Amounts({"pooled": gib // 100, "a": gib // 20}, train=10, plain_train=10, val=5)  # 0.15 and 0.75 GiB
    assert places([HEAD, TOP], amounts=amounts)["top"] == ("memory", "memory")
    tight = CacheSettings("auto", memory_budget=0.8, disk_budget=10.0)
    assert places([HEAD, TOP], amounts=amounts, settings=tight) == {"head": ("memory",) * 2, "top": ("disk",) * 2}
    none = CacheSettings("auto", memory_budget=0.1, disk_budget=0.1)
    assert places([HEAD, TOP], amounts=amounts, settings=none) == {"head": ("live",) * 2, "top": ("live",) * 2}
    choices = decide([HEAD, TOP], amounts, Limits(none))
    assert choices[1].why == "768.0 MiB are more than cache.disk_budget=0.1 GiB"
    several = decide([HEAD, TOP], amounts, Limits(tight, disk_not="several machines share no disk"))
    assert several[1].train == "live"
    assert "several machines" in several[1].why
    full = decide([HEAD, TOP], amounts, Limits(tight, disk_free=gib // 2))
    assert full[1].train == "live"
    assert full[1].why == "768.0 MiB are more than the 512.0 MiB that are free on the disk"


def test_views_of_an_augmentation_count_once_each() -> None:
    amounts = Amounts({"a": 2**30 // 100}, train=40, plain_train=10, val=0)  # 4 views of 10 samples
    assert places([TOP], amounts=amounts, settings=CacheSettings("auto", 0.39, 0.0)) == {"top": ("live", "live")}
    assert places([TOP], amounts=amounts, settings=CacheSettings("auto", 0.41, 0.0)) == {"top": ("memory", "memory")}


@pytest.mark.parametrize(
    ("needs", "settings", "varied", "said"),
    [
        ([TOP], CacheSettings("memory", 1e-9), None, "phase 'top': .* are more than cache.memory_budget"),
        ([TOP], CacheSettings("disk", 0, 1e-9), None, "phase 'top': .* are more than cache.disk_budget"),
        ([TOP], CacheSettings("memory", 1.0), "mixup mixes", "cache=memory, phase 'top': mixup mixes"),
        ([Need("x", 2, TOP.trains, why_not="no trace")], CacheSettings("memory", 1.0), None, "phase 'x': no trace"),
    ],
)
def test_what_is_asked_for_and_cannot_be_is_refused(
    needs: list[Need], settings: CacheSettings, varied: str | None, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        decide(needs, SMALL, Limits(settings, varied))


def test_what_is_asked_for_is_kept_even_for_one_epoch() -> None:
    assert places([HEAD], settings=CacheSettings("memory", 1.0)) == {"head": ("memory", "memory")}
    assert places([HEAD], settings=CacheSettings("disk", 0.0, 1.0)) == {"head": ("disk", "disk")}
    assert places([HEAD, TOP], settings=CacheSettings("off")) == {"head": ("off", "off"), "top": ("off", "off")}


def test_jobs_of_a_multirun_share_what_is_kept_on_disk_where_it_can_be() -> None:
    shared = replace(AUTO, shared=True)
    assert places([TOP], settings=shared) == {"top": ("disk", "disk")}
    assert places([TOP], settings=shared, disk_not="read-only") == {"top": ("memory", "memory")}
    assert places([TOP], settings=shared, disk_free=10) == {"top": ("memory", "memory")}
    assert places([TOP], settings=replace(shared, mode="memory")) == {"top": ("memory", "memory")}
