import os

import numpy as np
import pytest
from PIL import Image

from ftlab.errors import UserError
from ftlab.inputs.images.files import ArrayImages, ImageFiles, load_image
from tests.data.pictures import write_image


def pixels(path) -> np.ndarray:
    image = load_image(path)
    assert image.mode == "RGB"
    return np.asarray(image)


def test_16_bit_grey_is_scaled_and_not_clipped(tmp_path):
    values = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "x.png")
    assert pixels(tmp_path / "x.png")[0, :, 1].tolist() == [0, 1, 128, 255]  # v / 257


def test_transparent_pixels_are_shown_on_white(tmp_path):
    colours = np.array([[[200, 0, 0, 255], [200, 0, 0, 0], [200, 0, 0, 128]]], dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "x.png")
    found = pixels(tmp_path / "x.png")[0]
    assert found[0].tolist() == [200, 0, 0]
    assert found[1].tolist() == [255, 255, 255]
    half = [200 * 128 / 255 + 255 * 127 / 255, 127, 127]
    assert np.abs(found[2] - half).max() <= 1


def test_a_transparent_colour_of_a_palette_is_white_and_others_are_kept(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "x.png", transparency=1)
    assert pixels(tmp_path / "x.png")[0].tolist() == [[10, 20, 30], [255, 255, 255]]


def test_an_image_is_turned_as_its_exif_orientation_says(tmp_path):
    image = Image.new("RGB", (4, 2), "black")
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to see it upright
    image.save(tmp_path / "x.png", exif=exif)
    found = pixels(tmp_path / "x.png")
    assert found.shape == (4, 2, 3)
    assert found[0, 1].tolist() == [255, 255, 255]  # top left went to top right


def test_grey_cmyk_and_one_bit_images_have_the_right_colours(tmp_path):
    Image.new("L", (2, 2), 77).save(tmp_path / "grey.png")
    Image.new("1", (2, 2), 1).save(tmp_path / "bit.png")
    Image.new("CMYK", (2, 2), (0, 255, 255, 0)).save(tmp_path / "print.tif")
    assert pixels(tmp_path / "grey.png")[0, 0].tolist() == [77, 77, 77]
    assert pixels(tmp_path / "bit.png")[0, 0].tolist() == [255, 255, 255]
    assert pixels(tmp_path / "print.tif")[0, 0].tolist() == [255, 0, 0]


def test_a_truncated_an_empty_and_a_false_image_are_errors_with_the_file(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = tmp_path / "whole.jpg"
    Image.fromarray(noise).save(whole)
    for name, data in (("cut.jpg", whole.read_bytes()[:2000]), ("empty.png", b""), ("text.png", b"a cat")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=rf"{name}: not a readable image"):
            load_image(tmp_path / name)
    with pytest.raises(UserError, match=r"gone.png is not there"):
        load_image(tmp_path / "gone.png")


def test_a_decompression_bomb_is_an_error_with_the_file_and_the_limit(tmp_path, monkeypatch):
    write_image(tmp_path / "x.png", size=(12, 10))
    for limit in (100, 50):  # Pillow itself only warns at 100 and raises at 50: 120 pixels are more than twice as many
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(UserError, match=rf"x.png: the image is too large \(at most {limit} pixels"):
            load_image(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 120)
    load_image(tmp_path / "x.png")


def test_32_bit_pixels_of_unknown_range_are_refused(tmp_path):
    Image.fromarray(np.array([[0.5]], dtype=np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(np.array([[70000]], dtype=np.int32)).save(tmp_path / "int.tif")
    for name in ("float.tif", "int.tif"):
        with pytest.raises(UserError, match=rf"{name}: pixels are 32-bit"):
            load_image(tmp_path / name)


def test_an_error_about_a_name_that_is_not_utf8_can_be_printed(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    with open(path, "wb") as stream:
        stream.write(b"no image")
    with pytest.raises(UserError) as caught:
        load_image(path)
    assert "caf\\xe9.png" in str(caught.value)
    str(caught.value).encode("utf-8")


def test_image_files_are_decoded_on_access(tmp_path):
    write_image(tmp_path / "a.png", (1, 2, 3))
    images = ImageFiles([tmp_path / "a.png", tmp_path / "gone.png"])
    assert len(images) == 2
    assert images[0].getpixel((0, 0)) == (1, 2, 3)


def test_arrays_give_three_channels_grey_or_colour():
    grey = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    assert np.array_equal(ArrayImages(grey)[1].numpy(), np.stack([grey[1]] * 3))
    colour = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    assert np.array_equal(ArrayImages(colour)[0].numpy(), colour[0].transpose(2, 0, 1))
    with pytest.raises(UserError, match=r"float64 of shape \(1, 2, 2\)"):
        ArrayImages(np.zeros((1, 2, 2)))


def test_a_file_that_is_not_there_is_answered_with_what_is_called_much_like_it(tmp_path):
    (tmp_path / "later").mkdir()
    with pytest.raises(UserError, match=r"laterr is not there; nearest existing folder: .*Did you mean 'later'\?"):
        load_image(tmp_path / "laterr")
    with pytest.raises(UserError, match=r"elsewhere is not there; nearest existing folder: [^ ]*\.$"):
        load_image(tmp_path / "elsewhere")


def test_a_table_is_no_truncated_image(tmp_path):
    (tmp_path / "sizes.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"sizes.csv: not a readable image: .*\.csv is no suffix of images\.$"):
        load_image(tmp_path / "sizes.csv")
