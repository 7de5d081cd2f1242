"""Whether the parts of a run fit each other: what one gives and another takes."""

from ftlab.config import named, options
from ftlab.errors import UserError
from ftlab.heads.base import Head
from ftlab.inputs.augment import Augment
from ftlab.inputs.base import InputPreprocessing, framed
from ftlab.targets.base import Target
from ftlab.tasks.base import Task


def check_kind(who: str, takes: str, kind: str, way: str = "") -> None:
    """Raises: UserError where `who` takes raw inputs of another kind than the data's; `way`: what to do."""
    if takes != kind:
        raise UserError(f"{who}: takes inputs of the kind '{takes}', and those of the data are of '{kind}'{way}")


def check_augment(augment: Augment, preprocessing: InputPreprocessing, target: Target) -> None:
    """Raises: UserError for an augmentation that inputs or targets do not follow: it would be left out in silence."""
    transform = preprocessing.transform(augment)  # which says what cannot be varied
    if target.follows:
        framed(transform, target.plural)
    if augment.mosaic and not target.mosaics:
        raise UserError(f"augment.mosaic={augment.mosaic}: {target.plural} cannot follow it; use augment.mosaic=0")
    if refused := target.refuses(augment):
        raise UserError(refused)
    if (augment.mixup or augment.cutmix) and not preprocessing.pixels:
        raise UserError(
            f"augment: mixup and cutmix are of images, and the inputs are {preprocessing.plural}; set both to 0"
        )


def check_head(task: Task, head: Head) -> None:
    """Raises: UserError where the task cannot read what the head gives, or asks for answers that it cannot give."""
    if head.gives == task.reads:
        head.check_answers(task.answering({}))
        return
    ways = [name for name, option in options("head").items() if getattr(named(option), "gives", None) == task.reads]
    own, said = type(head).__name__.lower(), ", ".join(f"head={name}" for name in ways)
    raise UserError(f"head={own}: gives {head.gives}, and task={task.name} reads {task.reads}; use one of {said}")
