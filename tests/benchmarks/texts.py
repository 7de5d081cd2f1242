"""ftlab beside the Trainer of transformers on the same network, texts, steps and rates, in turns:
python -m tests.benchmarks.texts [--rounds 3] [--texts 192]

Both train a BertForSequenceClassification of all-MiniLM-L6-v2 (head=own) on descriptions of SciPy's functions, by AdamW
at a constant rate, in float32, and judge val after each epoch. CPU seconds of one thread, the least of the rounds; what
prepares a fit is left out. Needs pip install 'ftlab[text,bench]'.
"""

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from torch.utils.data import Dataset

from ftlab.assembly import Parts, assemble
from ftlab.backbones.packaged import PACKAGED, found
from ftlab.composition import compose
from ftlab.config import plainly
from ftlab.run import loaders
from ftlab.run_settings import typed
from ftlab.training.fit import prepare
from ftlab.training.trainer import only_news

WORDS = (
    "data=docstrings", "data.split=[0.9,0.05,0.05]", "head=own", "schedule=constant", "schedule.warmup=0",
    "task.label_smoothing=0", "trainer.accelerator=cpu", "trainer.precision=32-true", "compile=off",
    "data.max_tokens=32",
)  # fmt: skip
JOBS = {"full": ("strategy=full", 2, 1e-4), "head_only": ("strategy=head_only", 10, 1e-3)}


class Rows(Dataset[dict[str, Any]]):
    """The same tokens and classes, as the Trainer takes them."""

    def __init__(self, parts: Parts, split: str) -> None:
        transform, samples = parts.preprocessing.transform(), parts.splits.parts()[split]
        self.rows = [
            {"input_ids": fields["tokens"], "attention_mask": fields["mask"].long(), "labels": int(target)}
            for fields, target in zip(map(transform, samples.inputs), samples.targets, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> dict[str, Any]:
        return self.rows[place]


def stacked(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    padded = partial(torch.nn.utils.rnn.pad_sequence, batch_first=True)
    names = ("input_ids", "attention_mask")
    return {name: padded([row[name] for row in rows]) for name in names} | {
        "labels": torch.tensor([row["labels"] for row in rows])
    }


def settings(job: str, texts: int) -> dict[str, Any]:
    strategy, epochs, rate = JOBS[job]
    own = (strategy, f"trainer.max_epochs={epochs}", f"optimizer.lr={rate}", f"subset={texts}")
    return plainly(compose([*WORDS, *own]), resolve=True)


def by_ftlab(job: str, texts: int, folder: Path) -> tuple[float, float]:
    """(CPU seconds of the fit, accuracy on val)."""
    chosen = settings(job, texts)
    parts, given = assemble(chosen), typed(chosen)
    (folder / "checkpoints").mkdir(parents=True)
    with only_news():
        trainer, tuner = prepare(parts, given, partial(loaders, parts, given), folder, Console(quiet=True))
        start = time.process_time()
        trainer.fit(tuner)
    return time.process_time() - start, tuner.history[-1]["val"]["accuracy"]


def by_transformers(job: str, texts: int, folder: Path) -> tuple[float, float]:
    import transformers

    chosen = settings(job, texts)
    parts = assemble(chosen)
    torch.manual_seed(0)
    classes = len(parts.spec.target.classes)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(found(PACKAGED), num_labels=classes)
    frozen = parts.model.addresses if job == "head_only" else ()
    for name, parameter in model.bert.named_parameters():
        parameter.requires_grad_(not frozen or name.startswith("pooler."))
    model.load_state_dict(parts.model.head.in_library(parts.model.backbone.model).state_dict())
    _, epochs, rate = JOBS[job]
    arguments = transformers.TrainingArguments(
        str(folder), num_train_epochs=epochs, per_device_train_batch_size=32, per_device_eval_batch_size=32,
        learning_rate=rate, lr_scheduler_type="constant", weight_decay=0.01, max_grad_norm=0.0, eval_strategy="epoch",
        save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True, logging_strategy="no", seed=0,
    )  # fmt: skip
    right: Any = lambda both: {"accuracy": float((both.predictions.argmax(-1) == both.label_ids).mean())}  # noqa: E731
    trainer = transformers.Trainer(
        model, arguments, data_collator=stacked, train_dataset=Rows(parts, "train"), eval_dataset=Rows(parts, "val"),
        compute_metrics=right,
    )  # fmt: skip
    start = time.process_time()
    trainer.train()
    seconds = time.process_time() - start
    return seconds, trainer.evaluate()["eval_accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", type=int, default=192)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    ways = {"ftlab": by_ftlab, "transformers": by_transformers}
    print("| job | way | CPU seconds of the fit | accuracy on val |\n|---|---|--:|--:|")
    for job in JOBS:
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(asked.rounds):
            for name, way in ways.items():
                with tempfile.TemporaryDirectory() as folder:
                    spent, accuracy = way(job, asked.texts, Path(folder) / "run")
                seconds[name].append(spent)
                print(f"| {job} | {name} | {spent:.1f} | {accuracy:.3f} |", flush=True)
        least = {name: min(spent) for name, spent in seconds.items()}
        print(f"{job}: ftlab takes {least['ftlab'] / least['transformers']:.2f} of transformers' time", flush=True)


if __name__ == "__main__":
    main()
