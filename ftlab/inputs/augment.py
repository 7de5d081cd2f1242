"""The settings of augmentation. Imports no torch, so that a config is checked in milliseconds; transforms.py acts."""

from dataclasses import dataclass

from ftlab.errors import UserError, choices

FILLS = ("mean", "black", "white", "edge")


@dataclass(frozen=True)
class Augment:
    """How training images are varied; the defaults vary nothing.

    Raises: UserError, naming the key and its range.
    """

    rotation: float = 0.0  # degrees, drawn from -rotation to rotation
    shift: float = 0.0  # of the image's height and width, each way
    shear: float = 0.0  # horizontal displacement over height, the tangent of the angle
    zoom: float = 0.0  # scale is drawn from 1 - zoom to 1 + zoom
    horizontal_flip: float = 0.0  # probability
    fill: str = "mean"  # what shows beyond the border: mean | black | white | edge
    randaugment: int = 0  # operations an image, 0 is off
    randaugment_magnitude: int = 9  # 0 to 30
    erasing: float = 0.0  # probability of erasing a rectangle
    mixup: float = 0.0  # alpha of the Beta distribution, 0 is off
    cutmix: float = 0.0  # alpha of the Beta distribution, 0 is off
    crop: float = 0.0  # least share of the area that a random crop keeps, which then fills the input; 0 is off
    brightness: float = 0.0  # factor is drawn from 1 - brightness to 1 + brightness, so are the next two
    contrast: float = 0.0
    saturation: float = 0.0
    mosaic: float = 0.0  # probability that a training image is put together of four

    def __post_init__(self) -> None:
        for name, low, high in (
            ("rotation", 0, 180),
            ("shift", 0, 1),
            ("shear", 0, 1),
            ("zoom", 0, 0.95),
            ("horizontal_flip", 0, 1),
            ("randaugment", 0, 14),
            ("randaugment_magnitude", 0, 30),
            ("erasing", 0, 1),
            ("mixup", 0, 100),
            ("cutmix", 0, 100),
            ("crop", 0, 1),
            ("brightness", 0, 1),
            ("contrast", 0, 1),
            ("saturation", 0, 1),
            ("mosaic", 0, 1),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError(f"augment.{name}={value}: accepted is {low} to {high}.")
        if self.fill not in FILLS:
            raise UserError(f"augment.fill={self.fill} is unknown; {choices(self.fill, FILLS)}")

    @property
    def moves(self) -> bool:
        """True if pixels change their places by rotation, shift, shear, zoom or a random crop."""
        return any((self.rotation, self.shift, self.shear, self.zoom, self.crop))

    @property
    def colours(self) -> bool:
        """True if brightness, contrast or saturation vary."""
        return any((self.brightness, self.contrast, self.saturation))

    @property
    def random(self) -> bool:
        """True if single images are varied; mixing is of whole batches and not counted."""
        return self.moves or self.colours or any((self.horizontal_flip, self.randaugment, self.erasing, self.mosaic))
