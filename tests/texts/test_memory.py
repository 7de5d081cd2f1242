"""What an evaluation needs at most does not grow with the number of texts, though each has logits of a vocabulary."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

WORDS = """
import resource, sys, torch
from ftlab.backbones.text import TextBackbone
from ftlab.data.base import DataSpec, Samples, Splits
from ftlab.data.module import DataModule
from ftlab.evaluation import evaluate
from ftlab.inputs.augment import Augment
from ftlab.heads.words import Words
from ftlab.model import Model, given
from ftlab.targets.masked_tokens import MaskedTokens, column
from ftlab.tasks.masked_language import MaskedLanguage
from tests.backbones.texts import BERT, tokenizer

torch.manual_seed(0)
network = {"model_type": "bert", **BERT, "vocab_size": 30_000}
backbone = TextBackbone("bert", pretrained=False, config=network, tokenizer=tokenizer(masks=True))
head = {"own": "masked_language", "tied": "auto"}
model = Model(backbone, Words(num_outputs=1, **given(backbone, head, backbone.preprocessing, MaskedTokens()), **head))
size = int(sys.argv[1])
texts = Samples([" ".join("abcdefghijklmnopqrst"[: 1 + n % 20]) for n in range(size)], column(size))
spec = DataSpec("texts", MaskedTokens(0.5), {"train": size})
task = MaskedLanguage(spec, share=0.5)
splits = Splits(texts, None, None, task.spec.target, kind="text")
data = DataModule(splits, task.spec, backbone.preprocessing, Augment(), 32, 0, 0)
found = evaluate(model, task, data.loader("train", shuffle=False), size)
assert found.figures()[0]["perplexity"] > 1
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(texts: int) -> int:
    """KiB of a process that evaluates so many."""
    words = [sys.executable, "-W", "ignore", "-c", WORDS, str(texts)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_ten_times_the_texts_need_the_same_memory():
    few, many = peak(320), peak(3_200)
    logits = 3_200 * 6 * 30_000 * 4 / 1024  # KiB, if all were kept: about 6 tokens of each text are asked for
    assert logits > 2 * few
    assert many < 1.05 * few
