import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from ftlab.tasks.confusion import per_class, worst_pairs


def test_figures_of_each_class_equal_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 6, 400)
    truth[truth == 4] = 0  # class 4 has no sample
    prediction = np.where(random.random(400) < 0.7, truth, random.integers(0, 5, 400))
    prediction[prediction == 5] = 1  # class 5 is never predicted
    matrix = confusion_matrix(truth, prediction, labels=range(7)).tolist()  # class 6 is in neither
    expected = precision_recall_fscore_support(truth, prediction, labels=range(7), zero_division=np.nan)
    assert np.isnan(expected[0][5])
    expected[0][5] = 0  # it has samples: as in the mean, missing all of them is a fault
    found = per_class(matrix, list("abcdefg"))
    for place, name in enumerate(("precision", "recall", "f1", "support")):
        values = [np.nan if (value := getattr(row, name)) is None else value for row in found]
        np.testing.assert_allclose(values, expected[place], err_msg=name)


def test_the_worst_pairs_come_first_and_the_diagonal_never() -> None:
    matrix = [[90, 10, 0], [5, 4, 1], [0, 10, 10]]
    pairs = worst_pairs(matrix, ["a", "b", "c"], limit=3)
    # 10 of 20 before 10 of 100: the same count is a larger share of its class
    assert [(p.truth, p.prediction, p.samples) for p in pairs] == [("c", "b", 10), ("a", "b", 10), ("b", "a", 5)]
    assert [p.share for p in pairs] == [0.5, 0.1, 0.5]


def test_a_matrix_of_another_size_than_the_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="2 rows for 3 classes"):
        per_class([[1, 0], [0, 1]], ["a", "b", "c"])
