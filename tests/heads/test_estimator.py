"""Learners of scikit-learn as a last layer: what they say, how they are kept, and what is refused.

Shapes: n samples, d features.
"""

import os
import zipfile
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import skops.io
import torch
from sklearn.datasets import load_digits, load_linnerud
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from ftlab.convex.standardised import Standardised
from ftlab.errors import UserError
from ftlab.heads.estimator import ESTIMATORS, Estimator, _class
from ftlab.heads.sklearn import Sklearn

# Small, so that each is fitted in a blink.
FEW: dict[str, dict[str, Any]] = {"random_forest": {"n_estimators": 5}, "hist_gradient_boosting": {"max_iter": 3}}
FIXED = {"svc": {"break_ties": True}, "knn": {"algorithm": "brute"}}


def digits(count: int = 150) -> tuple[Tensor, Tensor]:
    data = load_digits(n_class=4)
    return torch.from_numpy(data.data[:count]).float(), torch.from_numpy(data.target[:count]).long()


def fitted(name: str, features: Tensor, targets: Tensor, outputs: int, weights: Tensor | None = None) -> Estimator:
    layer = Estimator(features.shape[1], outputs, name, FEW.get(name, {}))
    rows = Standardised(features)
    layer.fit(features, targets, rows.mean, rows.scale, weights)
    return layer


def standardised(features: Tensor) -> np.ndarray:
    rows = Standardised(features)
    return ((features - rows.mean.float()) * rows.scale.float()).numpy()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_largest_output_is_what_scikit_learn_predicts(name: str) -> None:
    features, targets = digits()
    outputs = fitted(name, features, targets, 4)(features)
    seeded = {"random_state": 0} if name in ("random_forest", "hist_gradient_boosting", "svc", "ridge") else {}
    expected = _class(ESTIMATORS[name][0])(**{**seeded, **(FIXED.get(name, {})), **FEW.get(name, {})})
    expected.fit(standardised(features), targets.numpy())
    assert outputs.argmax(1).tolist() == expected.predict(standardised(features)).tolist()
    if hasattr(expected, "predict_proba"):
        assert outputs.softmax(1).numpy() == pytest.approx(expected.predict_proba(standardised(features)), abs=1e-5)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_numbers_are_those_that_scikit_learn_predicts_target_by_target(name: str) -> None:
    data, numbers = load_linnerud(return_X_y=True)
    features, targets = torch.from_numpy(data).float(), torch.from_numpy(numbers)
    outputs = fitted(name, features, targets, 3)(features).numpy()
    seeded = {"random_state": 0} if name in ("random_forest", "hist_gradient_boosting", "ridge") else {}
    values = standardised(features)
    make = _class(ESTIMATORS[name][1])
    settings = {**seeded, **({"algorithm": "brute"} if name == "knn" else {}), **FEW.get(name, {})}
    several = name not in ("svc", "hist_gradient_boosting")
    if several:
        expected = make(**settings).fit(values, numbers).predict(values)
    else:
        columns = [make(**settings).fit(values, numbers[:, i]).predict(values) for i in range(3)]
        expected = np.stack(columns, axis=1)
    assert outputs == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_state_holds_all_that_the_outputs_need(name: str) -> None:
    features, targets = digits()
    first = fitted(name, features, targets, 4)
    second = Estimator(64, 4, name, {})
    assert second(features).abs().max() == 0  # before the fit
    second.load_state_dict({key: value.clone() for key, value in first.state_dict().items()})
    assert torch.equal(first(features), second(features))


@pytest.mark.parametrize("classes", [2, 4])
def test_a_class_without_samples_is_ruled_out(classes: int) -> None:
    features, targets = digits()
    kept = targets < classes
    for name in ESTIMATORS:
        outputs = fitted(name, features[kept], targets[kept], 6)(features)
        assert outputs.softmax(1)[:, classes:].max() < 1e-6
        assert (outputs[kept].argmax(1) == targets[kept]).double().mean() > 0.8


def test_weights_of_samples_count() -> None:
    features, targets = digits()
    heavy = torch.where(targets == 1, 1000.0, 1e-3).double()
    assert (fitted("svc", features, targets, 4, heavy)(features).argmax(1) == 1).double().mean() > 0.5
    with pytest.raises(UserError, match=r"head.estimator=knn: takes no class weights"):
        fitted("knn", features, targets, 4, heavy)


def test_what_does_not_exist_is_an_error_with_the_near_name() -> None:
    with pytest.raises(UserError, match=r"head.estimator=svm is unknown; did you mean 'svc'"):
        Sklearn(4, 2, "average", estimator="svm")
    with pytest.raises(UserError, match=r"head.settings: knn has no 'n_neighbor'; did you mean 'n_neighbors'"):
        Sklearn(4, 2, "average", estimator="knn", settings={"n_neighbor": 3})
    features, targets = digits()
    layer = Estimator(64, 4, "svc", {"C": -1.0})
    with pytest.raises(UserError, match=r"head.estimator=svc: .*C"):
        layer.fit(features, targets, torch.zeros(64), torch.ones(64), None)


class Hostile:
    """Restored as a call of os.system where nobody looks."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


def as_state(stored: bytes) -> Tensor:
    return torch.frombuffer(bytearray(stored), dtype=torch.uint8)


def test_what_is_no_learner_of_that_name_is_refused() -> None:
    features, targets = digits()
    values = features.numpy()
    forest = RandomForestClassifier(n_estimators=2).fit(values, targets)
    tree = KNeighborsClassifier(algorithm="kd_tree").fit(values, targets)
    hostile = KNeighborsClassifier(metric=os.system)
    hostile.n_features_in_ = 64
    for stored, said in [
        (skops.io.dumps(forest), "another learner"),
        (skops.io.dumps(tree), "names code of others"),
        (skops.io.dumps(hostile), "names code of others"),
        (b"not a zip file", "cannot be read safely"),
        (skops.io.dumps(forest)[:500], "cannot be read safely"),
    ]:
        with pytest.raises(UserError, match=said):
            Estimator(64, 4, "knn", {}).set_extra_state(as_state(stored))
    with pytest.raises(UserError, match="another learner, or of other features"):
        Estimator(63, 4, "random_forest", {}).set_extra_state(as_state(skops.io.dumps(forest)))


def test_trees_that_point_outside_of_themselves_are_refused() -> None:
    """Their compiled code would read what is behind them in memory."""
    features, targets = digits()
    forest = RandomForestClassifier(n_estimators=1, random_state=0).fit(features.numpy(), targets)
    state = forest.estimators_[0].tree_.__getstate__()
    state["nodes"]["left_child"][0] = 10**6
    forest.estimators_[0].tree_.__setstate__(state)
    with pytest.raises(UserError, match="a stored tree points outside of itself"):
        Estimator(64, 4, "random_forest", {}).set_extra_state(as_state(skops.io.dumps(forest)))
    boosting = HistGradientBoostingRegressor(max_iter=1).fit(features.numpy(), targets)
    boosting._predictors[0][0].nodes["feature_idx"][0] = 64
    with pytest.raises(UserError, match="a stored tree points outside of itself"):
        Estimator(64, 1, "hist_gradient_boosting", {}).set_extra_state(as_state(skops.io.dumps(boosting)))


def test_a_learner_that_needs_foreign_code_is_refused_when_it_is_fitted() -> None:
    features, targets = digits()
    layer = Estimator(64, 4, "knn", {"algorithm": "kd_tree"})
    with pytest.raises(UserError, match=r"cannot be kept without pickle \(.*KDTree"):
        layer.fit(features, targets, torch.zeros(64), torch.ones(64), None)


def test_the_stored_bytes_are_a_zip_file_without_pickle() -> None:
    features, targets = digits()
    stored = fitted("ridge", features, targets, 4).stored.numpy().tobytes()
    names = zipfile.ZipFile(BytesIO(stored)).namelist()
    assert "schema.json" in names
    assert not any(name.endswith((".pkl", ".pickle")) for name in names)


@pytest.mark.parametrize("numbers", [False, True])
def test_more_neighbours_than_samples_are_told_with_both_numbers(numbers: bool) -> None:
    features, targets = digits(12)
    rows, layer = Standardised(features), Estimator(features.shape[1], 4, "knn", {"n_neighbors": 13})
    given = torch.ones(12, 4) * targets[:, None] if numbers else targets
    said = r"^head.estimator=knn: .*head.settings.n_neighbors=13; 12 training samples\)$"
    with pytest.raises(UserError, match=said):
        layer.fit(features, given, rows.mean, rows.scale, None)
    enough = Estimator(features.shape[1], 4, "knn", {"n_neighbors": 12})
    enough.fit(features, given, rows.mean, rows.scale, None)
    assert enough(features).shape == (12, 4)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("knn", {}, "head.settings.n_neighbors=5; "),  # scikit-learn's own, which nobody typed
        ("svc", {"kernel": "line"}, "head.settings.kernel=line"),
        ("random_forest", {"max_features": 1000.5}, "head.settings.max_features=1000.5"),
        ("knn", {"metric": "minkowski", "n_neighbors": 2, "metric_params": {"w": [1.0]}}, "metric_params="),
    ],
)
def test_what_a_learner_raises_is_a_user_error_with_the_setting(name: str, settings: Any, said: str) -> None:
    features, targets = digits(4)
    rows, layer = Standardised(features), Estimator(features.shape[1], 4, name, settings)
    with pytest.raises(UserError) as caught:
        layer.fit(features, targets, rows.mean, rows.scale, None)
    assert said in str(caught.value)
    assert str(caught.value).endswith("; 4 training samples)")
