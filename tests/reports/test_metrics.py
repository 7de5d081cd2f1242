import csv

from ftlab.reports.metrics import write_metrics


def test_every_epoch_of_the_history_is_a_row_whatever_it_measured(tmp_path):
    history = [
        {"epoch": 0, "phase": "head", "seconds": 1.5, "steps": 4, "train": {"loss": 2.0}, "val": {}},
        {"epoch": 1, "phase": "a, b", "seconds": 1.0, "steps": 4, "train": {"loss": 1.0}, "val": {"loss": 0.5}},
    ]
    path = tmp_path / "metrics.csv"
    write_metrics(path, history[:1])
    write_metrics(path, history)
    first, second = csv.DictReader(path.read_text().splitlines())
    assert first == {"epoch": "0", "phase": "head", "seconds": "1.5", "steps": "4", "train/loss": "2.0", "val/loss": ""}
    assert (second["phase"], second["val/loss"]) == ("a, b", "0.5")
