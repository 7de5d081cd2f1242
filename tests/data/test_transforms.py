import math

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from ftlab.batch import Batch
from ftlab.errors import UserError
from ftlab.inputs.augment import Augment
from ftlab.inputs.images.geometry import resized
from ftlab.inputs.images.movement import affine, draw_window, inverse_matrix
from ftlab.inputs.images.preprocessing import Preprocessing
from ftlab.inputs.images.transforms import evaluation_transform, mix, training_transform

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def preprocessing(size=(16, 16), crop_pct=1.0, interpolation="bicubic") -> Preprocessing:
    return Preprocessing(size, MEAN, STD, interpolation, crop_pct)


def noise(h: int, w: int) -> torch.Tensor:
    return torch.randint(0, 256, (3, h, w), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("h", "w"), [(40, 60), (61, 40), (8, 8), (20, 20)])
def test_evaluation_equals_torchvisions_resize_crop_and_normalise(h, w, interpolation):
    steps = v2.Compose(
        [
            v2.Resize(20, interpolation=v2.InterpolationMode(interpolation), antialias=True),
            v2.CenterCrop(16),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    found = evaluation_transform(preprocessing(crop_pct=0.8, interpolation=interpolation))(noise(h, w))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, steps(noise(h, w)), atol=1e-5, rtol=0)


def test_an_image_and_its_tensor_give_the_same():
    pixels = noise(30, 22)
    transform = evaluation_transform(preprocessing())
    assert torch.equal(transform(Image.fromarray(pixels.permute(1, 2, 0).numpy())), transform(pixels))


def test_a_size_that_is_not_square_is_covered_without_distortion():
    assert resized(noise(40, 40), preprocessing((16, 32))).shape == (3, 32, 32)
    assert evaluation_transform(preprocessing((16, 32)))(noise(40, 40)).shape == (3, 16, 32)


def test_a_strip_is_not_resized_to_its_whole_length():
    assert resized(noise(2, 4000), preprocessing()).shape[2] <= 4 * 16 + 8
    assert evaluation_transform(preprocessing())(noise(2, 4000)).shape == (3, 16, 16)


def test_settings_out_of_range_are_errors():
    with pytest.raises(UserError, match="interpolation 'bicubik' is unknown; did you mean 'bicubic'"):
        evaluation_transform(preprocessing(interpolation="bicubik"))
    with pytest.raises(UserError, match=r"data.crop_pct=1.2"):
        evaluation_transform(preprocessing(crop_pct=1.2))


@pytest.mark.parametrize(
    ("name", "value"), [("rotation", 181), ("shift", -0.1), ("zoom", 1), ("horizontal_flip", 2), ("erasing", 1.1)]
)
def test_an_augmentation_out_of_range_is_an_error_that_names_the_key(name, value):
    with pytest.raises(UserError, match=f"augment.{name}={value}"):
        Augment(**{name: value})


def test_an_unknown_fill_is_an_error_with_the_nearest():
    with pytest.raises(UserError, match=r"augment.fill=edges.*did you mean 'edge'"):
        Augment(fill="edges")


@pytest.mark.parametrize(
    ("rotation", "shift", "shear", "scale"),
    [(25.0, (0, 0), 0.0, 1.0), (0.0, (3, -2), 0.0, 1.0), (0.0, (0, 0), 0.0, 1.2), (-20.0, (2, 1), 0.0, 0.9)],
)
def test_movements_are_those_of_torchvisions_affine(rotation, shift, shear, scale):
    pixels = noise(21, 33).float()
    expected = v2.functional.affine(
        pixels, rotation, list(shift), scale, [0.0, 0.0], v2.InterpolationMode.BILINEAR, fill=0
    )
    found = affine(pixels, inverse_matrix(rotation, shift, shear, scale, False), (21, 33), torch.zeros(3, 1, 1))
    inner = (slice(None), slice(6, -6), slice(6, -6))  # at the border the two blend differently with the fill
    torch.testing.assert_close(found[inner], expected[inner], atol=0.05, rtol=0)


def test_shear_moves_a_point_by_its_height_times_the_fraction():
    matrix = inverse_matrix(0.0, (0.0, 0.0), 0.2, 1.0, False)
    x, y = 5.0, 10.0
    source = [a * x + b * y + c for a, b, c in matrix]
    assert source == pytest.approx([5.0 - 0.2 * 10.0, 10.0])


def test_the_inverse_undoes_flip_shear_rotation_scale_and_shift_in_that_order():
    angle, shear, scale, shift = math.radians(30), 0.3, 1.1, np.array([4.0, -7.0])
    rotate = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    forward = scale * rotate @ np.array([[1, shear], [0, 1]]) @ np.diag([-1, 1])
    point = np.array([3.0, 8.0])
    x, y = forward @ point + shift
    matrix = inverse_matrix(30.0, tuple(shift), shear, scale, True)
    assert [a * x + b * y + c for a, b, c in matrix] == pytest.approx(point.tolist())


@pytest.mark.parametrize(
    ("fill", "expected"),
    [("mean", [v * 255 for v in MEAN]), ("black", [0] * 3), ("white", [255] * 3), ("edge", [90, 91, 92])],
)
def test_beyond_the_border_there_is_the_fill(fill, expected):
    pixels = torch.tensor([90, 91, 92], dtype=torch.uint8).view(3, 1, 1).expand(3, 16, 16)
    augment = Augment(shift=0.9, fill=fill)
    means, stds = torch.tensor(MEAN), torch.tensor(STD)
    torch.manual_seed(1)  # a shift of more than a pixel down and right or left
    result = training_transform(preprocessing(), augment)(pixels)
    colours = (result * stds.view(3, 1, 1) + means.view(3, 1, 1)) * 255
    corners = torch.stack([colours[:, y, x] for y in (0, -1) for x in (0, -1)])
    assert any(torch.allclose(corner, torch.tensor(expected).float(), atol=0.01) for corner in corners)
    kept = torch.tensor([90.0, 91.0, 92.0])
    assert any(torch.allclose(colours.flatten(1)[:, i], kept, atol=0.01) for i in range(256))
    if fill == "edge":
        assert torch.allclose(colours, kept.view(3, 1, 1).expand_as(colours), atol=0.01)


def test_a_flip_that_is_certain_is_the_mirror_image():
    plain = evaluation_transform(preprocessing())(noise(20, 20))
    flipped = training_transform(preprocessing(), Augment(horizontal_flip=1.0))(noise(20, 20))
    assert torch.equal(flipped, plain.flip(-1))
    with_rotation = Augment(horizontal_flip=1.0, rotation=1e-4)
    moved = training_transform(preprocessing(), with_rotation)(noise(20, 20))
    torch.testing.assert_close(moved, plain.flip(-1), atol=0.01, rtol=0)


def test_no_augmentation_is_the_evaluations_transform():
    transform = training_transform(preprocessing(crop_pct=0.9), Augment(mixup=0.2))
    assert not transform.random
    assert torch.equal(transform(noise(20, 30)), evaluation_transform(preprocessing(crop_pct=0.9))(noise(20, 30)))


@pytest.mark.parametrize(
    "augment",
    [
        Augment(randaugment=2),
        Augment(erasing=1.0),
        Augment(zoom=0.2),
        Augment(crop=0.5),
        Augment(brightness=0.5),
        Augment(contrast=0.5),
        Augment(saturation=0.5),
    ],
)
def test_each_random_part_changes_the_image_by_the_generator(augment):
    transform = training_transform(preprocessing(), augment)
    seeds = []
    for seed in (1, 1, 2, 3):
        torch.manual_seed(seed)
        seeds.append(transform(noise(20, 20)))
    assert transform.random
    assert torch.equal(seeds[0], seeds[1])
    assert not (torch.equal(seeds[0], seeds[2]) and torch.equal(seeds[0], seeds[3]))


def batch() -> Batch:
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 8, 8).clone()  # the image of class i has the value i
    return Batch(targets=torch.arange(4), index=torch.arange(4), inputs={"images": images})


def test_mixup_mixes_images_and_targets_in_the_same_shares():
    torch.manual_seed(0)
    mixed = mix(batch(), Augment(mixup=1.0), num_classes=4)
    assert mixed.targets.shape == (4, 4)
    assert mixed.targets.dtype == torch.float32
    assert (mixed.targets.max(dim=1).values < 1).all()
    value = mixed.targets @ torch.arange(4.0)
    torch.testing.assert_close(mixed.inputs["images"], value.view(4, 1, 1, 1).expand(4, 3, 8, 8))


def test_cutmix_targets_are_the_shares_of_the_area():
    torch.manual_seed(0)
    mixed = mix(batch(), Augment(cutmix=1.0), num_classes=4)
    for image, target in zip(mixed.inputs["images"], mixed.targets, strict=True):
        shares = [(image[0] == label).float().mean().item() for label in range(4)]
        assert target.tolist() == pytest.approx(shares)
    assert 0 < mixed.targets.max() < 1


def test_with_both_on_each_is_drawn():
    ways = set()
    for seed in range(12):
        torch.manual_seed(seed)
        mixed = mix(batch(), Augment(mixup=1.0, cutmix=1.0), num_classes=4)
        ways.add(bool((mixed.inputs["images"] == mixed.inputs["images"].round()).all()))  # cut images keep whole values
    assert ways == {True, False}


def test_label_vectors_are_mixed_too_and_without_mixing_a_batch_is_left_as_it_is():
    labels = Batch(targets=torch.eye(4), index=torch.arange(4), inputs=batch().inputs)
    mixed = mix(labels, Augment(mixup=1.0), num_classes=None)
    assert mixed.targets.sum(dim=1).tolist() == pytest.approx([1.0] * 4)
    plain = batch()
    assert mix(plain, Augment(), num_classes=4) is plain


@pytest.mark.parametrize(("h", "w", "size"), [(16, 16, (16, 16)), (16, 64, (16, 32)), (40, 20, (20, 20))])
def test_a_random_crop_keeps_from_its_share_to_all_of_the_area_and_stays_inside(h, w, size):
    torch.manual_seed(0)
    identity = inverse_matrix(0.0, (0.0, 0.0), 0.0, 1.0, False)
    shares, ratios = [], []
    for _ in range(400):
        (across, _, x), (_, along, y) = draw_window(0.25, (h, w), size, identity)
        width, height = across * size[1], along * size[0]
        assert abs(x) + width / 2 <= w / 2 + 1e-6
        assert abs(y) + height / 2 <= h / 2 + 1e-6
        shares.append(width * height / (size[0] * size[1]))
        ratios.append(across / along)
    assert 0.25 - 1e-6 <= min(shares) < 0.3
    assert 0.9 < max(shares) <= 1
    assert 0.75 - 1e-6 <= min(ratios) < 0.8
    assert 1.25 < max(ratios) <= 4 / 3 + 1e-6


def test_a_random_crop_shows_a_part_as_large_as_the_whole():
    pixels = torch.arange(32, dtype=torch.uint8).expand(3, 32, 32).contiguous()
    torch.manual_seed(2)
    seen = training_transform(preprocessing((32, 32)), Augment(crop=0.25))(pixels)
    columns = (seen[0, 16] * STD[0] + MEAN[0]) * 255
    step = (columns[25] - columns[5]) / 20
    assert 0.43 < step < 1
    assert columns.diff()[3:-3].sub(step).abs().max() < 0.01


def test_colours_vary_by_their_factor_and_where_they_are_stays():
    grey = torch.full((3, 16, 16), 100, dtype=torch.uint8)
    factors = []
    for seed in range(60):
        torch.manual_seed(seed)
        seen = training_transform(preprocessing(), Augment(brightness=0.4, saturation=1.0))(grey)
        values = (seen * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)) * 255
        assert (values - values[0, 0, 0]).abs().max() < 1e-3  # grey has no colour to vary
        factors.append(float(values[0, 0, 0]) / 100)
    assert 0.59 < min(factors) < 0.7
    assert 1.3 < max(factors) < 1.41
