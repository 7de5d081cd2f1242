"""What is worth trying on some data, and why: arithmetic, each rule with the source it follows.

A rule proposes words of `ftlab train` that change what stands now. It never touches a key that the user has typed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SMALL = 20_000  # training samples up to which Kolesnikov et al. 2020 call data small
FEW = 500  # training samples up to which smaller batches are tried: an epoch has few steps
TRIED = 2  # other networks, at most
SIDE = 1.5  # how much larger images are tried
TIMES = 3.0  # from one rate to the next
EPOCHS = "trainer.max_epochs"
RATE = "optimizer.lr"  # not among the settings that stand where no phase descends


@dataclass(frozen=True)
class Seen:
    """What the rules go by."""

    train: int  # samples
    pixels: bool  # whether inputs are images
    pretrained: bool
    convex: bool  # whether the last layer can be fitted in closed form
    learners: bool  # whether a learner of scikit-learn can be the head
    columns: bool  # whether the inputs themselves are among the features, as those of tables are
    batch_size: int
    side: int | None  # the longer side of an image of train, in the median; None: unknown, or no image
    ranked: Sequence[
        tuple[str, float]
    ] = ()  # other networks, the most promising first, and what each costs beside this


@dataclass(frozen=True)
class Proposal:
    """One thing to try."""

    name: str
    words: tuple[str, ...]
    why: str
    source: str
    cost: float = 1.0  # of a run, beside that of what it changes
    one_epoch: bool = False  # whether it has no epochs that could be fewer

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(word.partition("=")[0] for word in self.words)


Now = Mapping[str, Any]  # the settings that stand, by their dotted names
Rule = Callable[[Seen, Now], list[Proposal]]


def networks(seen: Seen, now: Now) -> list[Proposal]:
    source = "You et al. 2021, LogME"
    why = "its frozen features rank next"
    return [
        Proposal(f"network {name}", (f"backbone.name={name}",), why, source, cost) for name, cost in seen.ranked[:2]
    ]


def closed_form(seen: Seen, now: Now) -> list[Proposal]:
    if not seen.convex or not (seen.pretrained or seen.columns) or "closed_form" in str(now.get("strategy._target_")):
        return []
    what = "pretrained features" if seen.pretrained else "the columns"
    why = f"a linear model of {what} may be all that {seen.train:,} samples can bear"
    source = "Kornblith et al. 2019, Do Better ImageNet Models Transfer Better?"
    return [Proposal("head in closed form", ("strategy=closed_form",), why, source, one_epoch=True)]


def learner(seen: Seen, now: Now) -> list[Proposal]:
    if not seen.learners:
        return []
    words = ("strategy=closed_form", "head=sklearn")
    if seen.columns and not seen.pretrained:
        why = "trees are hard to beat on columns of unlike meaning"
        source = "Grinsztajn et al. 2022, Why do tree-based models still outperform deep learning on tabular data?"
        return [Proposal("trees", (*words, "head.estimator=hist_gradient_boosting"), why, source, one_epoch=True)]
    if seen.pretrained and seen.train <= SMALL:
        why = "a kernel bends where a linear head cannot"
        source = "Sharif Razavian et al. 2014, CNN Features off-the-shelf"
        return [Proposal("support vectors", words, why, source, one_epoch=True)]
    return []


def rates(seen: Seen, now: Now) -> list[Proposal]:
    rate = now.get(RATE)
    if not isinstance(rate, int | float):
        return []
    source = "Bengio 2012, Practical Recommendations for Gradient-Based Training"
    why = "the rate is the one setting that is always worth a try"
    return [
        Proposal(f"{how} rate", (f"{RATE}={value:.3g}",), why, source)
        for how, value in (("higher", rate * TIMES), ("lower", rate / TIMES))
    ]


def smaller_batches(seen: Seen, now: Now) -> list[Proposal]:
    size = seen.batch_size // 2
    if size < 4 or RATE not in now:
        return []
    why = f"{seen.train:,} samples make {-(-seen.train // seen.batch_size)} steps an epoch"
    source = "Masters and Luschi 2018, Revisiting Small Batch Training"
    larger = seen.train > FEW
    words = (f"data.batch_size={seen.batch_size * 2}",) if larger else (f"data.batch_size={size}",)
    return [Proposal(f"{'larger' if larger else 'smaller'} batches", words, why, source, cost=1.0 if larger else 1.5)]


def variations(seen: Seen, now: Now) -> list[Proposal]:
    """Without the mirror image, which is another thing for digits, text and arrows."""
    if not seen.pixels or RATE not in now:
        return []
    source = "Steiner et al. 2022, How to train your ViT?; mixup as Kolesnikov et al. 2020, BiT-HyperRule"
    words = ("augment=light", "augment.horizontal_flip=0", *(("augment.mixup=0.1",) if seen.train >= SMALL else ()))
    why = f"{seen.train:,} images are few for a network with more weights than that"
    return [Proposal("variations of images", words, why, source, cost=1.5)]


def larger_images(seen: Seen, now: Now) -> list[Proposal]:
    size = now.get("data.image_size")
    if not seen.pixels or not isinstance(size, int):
        return []
    wanted = round(size * SIDE / 8) * 8
    why = f"the network sees {size} pixels" + (f", the images have {seen.side}" if seen.side else "")
    source = "Kolesnikov et al. 2020, BiT-HyperRule: small images are enlarged, large ones seen at 384"
    return [Proposal("larger images", (f"data.image_size={wanted}",), why, source, cost=(wanted / size) ** 2)]


def all_at_once(seen: Seen, now: Now) -> list[Proposal]:
    if not seen.pretrained or "lp_ft" not in str(now.get("strategy._target_")):
        return []
    source = "Kumar et al. 2022, Fine-Tuning can Distort Pretrained Features: better in the data's own distribution"
    words = ("strategy=full", "rates=layer_decay")
    return [Proposal("all stages from the start", words, "features may have to change much", source)]


def regularised(seen: Seen, now: Now) -> list[Proposal]:
    """For networks that begin at random weights, which learn small data by heart."""
    decay, drop = now.get("optimizer.weight_decay"), now.get("backbone.dropout")
    source = "Kadra et al. 2021, Well-tuned Simple Nets Excel on Tabular Datasets"
    why = f"{seen.train:,} samples are soon learned by heart"
    found = []
    if not seen.pretrained and isinstance(decay, int | float):
        words = (f"optimizer.weight_decay={max(decay, 0.001) * 10:.3g}",)
        found.append(Proposal("more weight decay", words, why, source))
    if not seen.pretrained and isinstance(drop, int | float) and drop < 0.3:
        found.append(Proposal("more dropout", ("backbone.dropout=0.3",), why, source))
    return found


def wider(seen: Seen, now: Now) -> list[Proposal]:
    width = now.get("backbone.width")
    if seen.pretrained or not isinstance(width, int):
        return []
    source = "Gorishniy et al. 2021, Revisiting Deep Learning Models for Tabular Data: width is among what matters most"
    return [Proposal("a wider network", (f"backbone.width={width * 2}",), "it may be too narrow", source, cost=2.0)]


def longer(seen: Seen, now: Now) -> list[Proposal]:
    epochs = now.get(EPOCHS)
    if not isinstance(epochs, int):
        return []
    source = "Kolesnikov et al. 2020, BiT-HyperRule: the schedule goes by steps, and more data need more of them"
    return [Proposal("twice the epochs", (f"{EPOCHS}={epochs * 2}",), "it may not be done", source, cost=2.0)]


# The cheapest and most telling first: what comes late may find no time.
RULES: tuple[Rule, ...] = (
    closed_form, learner, networks, rates, variations, regularised, all_at_once, smaller_batches, larger_images,
    wider, longer,
)  # fmt: skip


def proposals(seen: Seen, now: Now, typed: frozenset[str]) -> list[Proposal]:
    """What the rules propose, in the order of worth, without what stands already or would touch a `typed` key."""
    found = [one for rule in RULES for one in rule(seen, now)]
    return [one for one in found if not one.keys & typed and not stands(one, now)]


def stands(one: Proposal, now: Now) -> bool:
    """Whether a proposal changes nothing."""
    return all(str(now.get(key)) == value for key, _, value in (word.partition("=") for word in one.words))


def together(several: Sequence[Proposal]) -> Proposal | None:
    """All that helped by itself, at once; of two that set the same key the first. None where that is nothing new."""
    words: dict[str, str] = {}
    taken: list[Proposal] = []
    for one in several:
        if one.one_epoch or one.keys & words.keys():
            continue
        words |= {key: value for key, _, value in (word.partition("=") for word in one.words)}
        taken.append(one)
    if len(taken) < 2:
        return None
    cost = 1.0
    for one in taken:
        cost *= one.cost
    line = tuple(f"{key}={value}" for key, value in words.items())
    name = " and ".join(one.name for one in taken)
    return Proposal(name, line, "each of them helped by itself", "combined", cost)
