"""What keys that are `auto` stand for by the size of the data: arithmetic, done before a network is built; and by the
network, before a head is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ftlab.backbones.base import Backbone
from ftlab.data.base import DataSpec
from ftlab.errors import UserError
from ftlab.inputs.base import Inputs
from ftlab.resume import AUTO, IMAGE_SIZE, LABEL_SMOOTHING, MAX_EPOCHS, POOL, value_of, with_value

CROSS_ENTROPY = "cross_entropy"
SKLEARN = "ftlab.heads.sklearn.Sklearn"
SMOOTHING = 0.1
STEP, LARGEST = (
    32,
    640,
)  # pixels: usual networks have a coarsest stride of 32; cost goes by the square
LOOKED = 1000  # images whose sides are looked at
BATCH = 32  # samples of a step where data.batch_size=auto is found later, with the network that is there then


@dataclass(frozen=True)
class Choice:
    """The value of a key that was `auto`, and why; the run's config.yaml holds it, so that a resumed run keeps it."""

    key: str
    value: Any
    why: str

    def __str__(self) -> str:
        return f"{self.key}=auto: {self.value}; {self.why}"


def by_size(config: Mapping[str, Any], spec: DataSpec, inputs: Inputs) -> tuple[Choice, ...]:
    """What each key of RULES that is `auto` stands for with these data, `inputs` those of train.

    Raises: UserError for limits that exclude, and for images whose sizes nobody knows.
    """
    found = [Choice(key, *rule(config, spec)) for key, rule in RULES.items() if value_of(config, key) == AUTO]
    if value_of(config, IMAGE_SIZE) == AUTO:
        found.append(Choice(IMAGE_SIZE, *image_size(inputs)))
    return tuple(found)


def by_network(config: Mapping[str, Any], backbone: Backbone) -> tuple[Choice, ...]:
    """What head.pool=auto stands for with this network; nothing where it stays what the network was trained with, as in
    a run of an earlier version that goes on.

    Sources: Peters et al. 2018, "Deep Contextualized Word Representations"; Evci et al. 2022, "Head2Toe: Utilizing
    Intermediate Representations for Better Transfer Learning".
    """
    how = None if config.get("resume") else backbone.usual_pool
    if how is None or value_of(config, POOL) != AUTO:
        return ()
    why = "layers below tell what the last one has left out; a closed form leaves them out where they do not help"
    return (Choice(POOL, how, why),)


def settled(config: Mapping[str, Any], choices: tuple[Choice, ...]) -> Mapping[str, Any]:
    for choice in choices:
        config = with_value(config, choice.key, choice.value)
    return config


def epochs(config: Mapping[str, Any], spec: DataSpec) -> tuple[int, str]:
    """trainer.max_epochs, and why: as many as make the steps of trainer.auto_epochs, within its limits.

    An epoch of little data is few steps, and what a network learns goes by steps.
    """
    wanted, batch = config["trainer"]["auto_epochs"], config["data"]["batch_size"]
    steps, least, most = wanted["steps"], wanted["least"], wanted["most"]
    if least > most:
        raise UserError(f"trainer.auto_epochs: least={least} is above most={most}")
    batches = -(-spec.sizes["train"] // (BATCH if batch == AUTO else batch))
    of_one = max(1, -(-batches // config["trainer"]["accumulate_grad_batches"]))
    exact = -(-steps // of_one)
    found = min(max(exact, least), most)
    limit = "" if found == exact else f"; {'least' if found == least else 'most'} is {found}"
    return found, f"{steps:,} steps at {of_one:,} an epoch are {exact:,}{limit}"


def label_smoothing(config: Mapping[str, Any], spec: DataSpec) -> tuple[float, str]:
    """task.label_smoothing, and why.

    Where the head begins with the best fit to pretrained features nothing is left to learn from labels, and steps of
    an adaptive optimizer that follow next to no gradient only do harm. (The part is that of Szegedy et al. 2016,
    "Rethinking the Inception Architecture for Computer Vision".)
    """
    network, task = config["backbone"], config["task"]
    if not (network.get("pretrained") or network.get("weights")):
        return 0.0, "nothing is pretrained"
    if task.get("loss", CROSS_ENTROPY) != CROSS_ENTROPY:
        return 0.0, f"task.loss={task['loss']} takes the labels as they are"
    if config["head"]["_target_"] == SKLEARN:
        return 0.0, "head=sklearn takes the labels as they are"
    return SMOOTHING, "a head that fits pretrained features leaves nothing else to learn from few samples"


def image_size(inputs: Inputs) -> tuple[int, str]:
    """data.image_size, and why: the longer side of an image of train, in the median, in steps of STEP.

    Raises: UserError for images of the user's own, which are no files.
    """
    from ftlab.inputs.images.files import extent_of  # Pillow, which a run of a table does not need

    places = range(0, len(inputs), -(-len(inputs) // LOOKED))
    sides = [max(found) for place in places if (found := extent_of(inputs, place))]
    if not sides:
        raise UserError(f"{IMAGE_SIZE}=auto: the sizes of these images are not known; give a number of pixels")
    middle = sorted(sides)[len(sides) // 2]
    exact = max(1, round(middle / STEP)) * STEP
    limit = f"; {LARGEST} at most" if exact > LARGEST else ""
    return min(exact, LARGEST), f"the longer side of an image of train has {middle:,} pixels in the median{limit}"


RULES = {MAX_EPOCHS: epochs, LABEL_SMOOTHING: label_smoothing}
