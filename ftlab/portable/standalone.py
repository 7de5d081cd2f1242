"""Predict with the network of this folder. Needs Python, numpy, pillow and onnxruntime, nothing else.

    python predict.py photo.png another.jpg
    python predict.py example.npz

One JSON line a sample. Images are read here as they were in training: turned as their EXIF data say, resized and cut.
Anything else comes as an .npz file with an array for each input that model.json names, as example.npz has them.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

HERE = Path(__file__).parent
WAYS = {"nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
LONGEST = 4  # of a strip no more than 4 times what is needed is resized


def centre(image, height, width, fill=None):
    """The middle of an image; where it is smaller, with `fill` around it."""
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    if fill is None:
        return image.crop((left, top, left + width, top + height))
    whole = Image.new("RGB", (width, height), fill)
    whole.paste(image, (-left, -top))
    return whole


def pixels(path, how):
    """An image file as float32 (3, height, width), 0 to 255."""
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    (height, width), way = how["size"], WAYS[how["interpolation"]]
    if how["resize"] == "stretch":
        image = image.resize((width, height), way)
    elif how["resize"] == "letterbox":
        scale = min(height / image.height, width / image.width)
        fill = tuple(round(255 * one) for one in how["mean"])
        image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), way)
        image = centre(image, height, width, fill)
    else:
        tall, wide = (math.floor(side / how["crop_pct"]) for side in (height, width))
        scale = max(tall / image.height, wide / image.width)
        if max(image.height * scale / tall, image.width * scale / wide) > LONGEST:
            cut = (
                min(image.height, math.ceil(LONGEST * tall / scale)),
                min(image.width, math.ceil(LONGEST * wide / scale)),
            )
            image = centre(image, *cut)
        image = image.resize((max(wide, int(image.width * scale)), max(tall, int(image.height * scale))), way)
        image = centre(image, height, width)
    return np.asarray(image, dtype=np.float32).transpose(2, 0, 1)


def said(answers, told):
    """One sample's answers in words."""
    if told["task"] == "regression":  # a number, or several: value and deviation, or the quantiles
        rows = zip(told["targets"], answers.tolist(), strict=True)
        return {name: row[0] if len(row) == 1 else row for name, row in rows}
    by_class = dict(zip(told["classes"], np.ravel(answers).tolist(), strict=True))
    if told["task"] == "multilabel":
        labels = [name for name, one in by_class.items() if one > told["threshold"]]
        return {"labels": labels, "probabilities": by_class}
    best = max(by_class, key=by_class.__getitem__)
    return {"class": best, "probability": by_class[best], "probabilities": by_class}


def main(files):
    told = json.loads((HERE / "model.json").read_text(encoding="utf8"))
    session = onnxruntime.InferenceSession(str(HERE / "model.onnx"), providers=["CPUExecutionProvider"])
    wanted = [one.name for one in session.get_inputs()]
    for file in files:
        if file.endswith(".npz"):
            with np.load(file) as arrays:
                given = {name: arrays[name] for name in wanted}
        else:
            given = {"pixels": pixels(file, told["preprocessing"])[None]}
        for row, answers in enumerate(session.run(None, given)[0]):
            print(json.dumps({"file": file, "row": row, **said(answers, told)}, ensure_ascii=False))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
