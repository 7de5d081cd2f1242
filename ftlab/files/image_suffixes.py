"""Which files are images, by their suffixes: those that Pillow can read by itself."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ftlab.files.paths import printable

# Formats that Pillow knows and cannot read by itself: EPS is a program for Ghostscript, WMF is drawn by Windows, MPEG
# is a film none of whose pictures is read, BUFR, GRIB and HDF5 are measurements that wait for a handler of the user's.
# IM it will give up, and warns of that.
LEFT_OUT = frozenset(("EPS", "WMF", "MPEG", "BUFR", "GRIB", "HDF5", "IM"))
USUAL = ".jpg, .png, .webp, .tif, .bmp, .gif"  # as examples
SHOWN = 8  # suffixes


def image_suffixes() -> frozenset[str]:
    """In small letters, with their dots; those of formats that are only written, as PDF, are none."""
    suffixes = Image.registered_extensions()  # reads in all formats, and those that a plugin has added
    readable = (Image.OPEN.keys() | {"MPO"}) - LEFT_OUT  # a JPEG of several pictures, which JPEG's reader opens
    return frozenset(suffix for suffix, format in suffixes.items() if format in readable)


def by_suffix(files: Sequence[Path]) -> str:
    """How many there are of each suffix, the most frequent first: .heic 10, .txt 2."""
    counts = Counter(printable(file.suffix.lower()) or "without a suffix" for file in files)
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    more = f", {len(ordered) - SHOWN} more suffixes" if len(ordered) > SHOWN else ""
    return ", ".join(f"{suffix} {count}" for suffix, count in ordered[:SHOWN]) + more
