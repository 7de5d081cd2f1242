"""What a run that writes texts is to be held against: for each text of test the answer to the nearest text of train.

    python -m tests.benchmarks.nearest_text RUN

prints the figures of the run's test split, and those of taking from train what belongs to the text whose mean of the
default network's hidden states has the highest cosine.
"""

import json
import sys
from pathlib import Path

import torch
import yaml
from torch import Tensor

from ftlab.backbones.pooling import mean
from ftlab.backbones.text import TextBackbone
from ftlab.batch import Batch
from ftlab.data.base import Samples
from ftlab.survey import source_of
from ftlab.tasks import text_scores


@torch.inference_mode()
def vectors(network: TextBackbone, samples: Samples) -> Tensor:
    """(n, c) of length 1."""
    made, found = network.preprocessing.transform(), []
    for start in range(0, len(samples), 64):
        places = range(start, min(start + 64, len(samples)))
        fields = network.preprocessing.stack([made(samples.inputs[place]) for place in places])
        features = network(Batch(None, torch.arange(len(places)), fields))
        found.append(mean(features.tokens, features.mask))
    return torch.nn.functional.normalize(torch.cat(found), dim=1)


def main(run: Path) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    splits = source_of(config["data"], []).survey(config["seed"])
    network = TextBackbone().eval()
    train, test = (vectors(network, part) for part in (splits.train, splits.test))
    nearest = (test @ train.T).argmax(1).tolist()
    texts = [splits.train.targets[place][0] for place in nearest]
    sums = text_scores.sums_of(texts, [*splits.test.targets]).sum(0)
    print("run    ", text_scores.told(json.loads((run / "report.json").read_text())["metrics"]["test"]))
    print("nearest", text_scores.told(text_scores.figures(sums.tolist())))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
