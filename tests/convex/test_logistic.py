"""The convex fits against scikit-learn's on the same features, in float64.

Shapes: n samples, d features, k outputs.
"""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn import functional

from ftlab.convex import logistic as module
from ftlab.convex import standardised
from ftlab.convex.logistic import best, logistic, one_vs_rest, parts
from ftlab.convex.losses import Softmax
from ftlab.convex.ridge import ridge
from ftlab.convex.standardised import Layer, Standardised
from ftlab.errors import UserError

STRENGTHS = (0.001, 0.1, 10.0)


def digits(classes: int, count: int = 250) -> tuple[Tensor, Tensor]:
    """Pixels (n, 64), some of which are the same in all samples, and labels."""
    data = load_digits()
    places = np.flatnonzero(data.target < classes)[:count]
    return torch.from_numpy(data.data[places]), torch.from_numpy(data.target[places]).long()


def outputs(layer: Layer, features: Tensor) -> Tensor:
    return features.double() @ layer.weight.T + layer.bias


def reference(features: Tensor, targets: Tensor, strength: float, **settings: object) -> np.ndarray:
    """scikit-learn's decision function on standardised features."""
    values = StandardScaler().fit_transform(features.numpy())
    weights = settings.pop("sample_weight", None)
    model = LogisticRegression(C=strength, tol=1e-10, max_iter=100_000, **settings)
    return model.fit(values, targets.numpy(), sample_weight=weights).decision_function(values)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_logits_of_several_classes_are_those_of_scikit_learn(strength: float) -> None:
    features, targets = digits(10)
    found = outputs(logistic(features, targets, 10, strength=strength, tolerance=1e-10, floor=0.0), features)
    assert found.numpy() == pytest.approx(reference(features, targets, strength), abs=1e-4)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_the_difference_of_two_logits_is_the_one_of_scikit_learn(strength: float) -> None:
    features, targets = digits(2)
    found = outputs(logistic(features, targets, 2, strength=strength, tolerance=1e-10, floor=0.0), features)
    assert (found[:, 1] - found[:, 0]).numpy() == pytest.approx(reference(features, targets, strength), abs=1e-4)
    assert found.sum(1).abs().max() < 1e-9


@pytest.mark.parametrize("classes", [2, 4])
def test_class_and_sample_weights_count_as_in_scikit_learn(classes: int) -> None:
    features, targets = digits(classes)
    weights = torch.linspace(0.2, 3.0, classes)
    each = torch.rand(len(features), generator=torch.Generator().manual_seed(0)) + 0.1
    layer = logistic(
        features, targets, classes, class_weights=weights, sample_weights=each, strength=0.3, tolerance=1e-10, floor=0.0
    )
    found = outputs(layer, features)
    expected = reference(
        features, targets, 0.3, class_weight=dict(enumerate(weights.tolist())), sample_weight=each.double().numpy()
    )
    logits = found if classes > 2 else found[:, 1] - found[:, 0]
    assert logits.numpy() == pytest.approx(expected, abs=1e-4)


def test_labels_are_fitted_each_by_itself() -> None:
    features, targets = digits(4)
    labels = functional.one_hot(targets, 4).float()
    labels[:, 3] = (targets % 2).float()
    found = outputs(one_vs_rest(features, labels, strength=0.1, tolerance=1e-10, floor=0.0), features)
    for place in range(4):
        assert found[:, place].numpy() == pytest.approx(reference(features, labels[:, place], 0.1), abs=1e-4)


def test_pos_weight_counts_the_samples_that_have_a_label() -> None:
    features, targets = digits(3)
    labels = functional.one_hot(targets, 3).float()
    layer = one_vs_rest(
        features, labels, pos_weight=torch.tensor([1.0, 2.0, 5.0]), strength=0.1, tolerance=1e-10, floor=0.0
    )
    expected = reference(features, labels[:, 2], 0.1, class_weight={0: 1.0, 1: 5.0})
    assert outputs(layer, features)[:, 2].numpy() == pytest.approx(expected, abs=1e-4)


def test_label_smoothing_is_a_fit_to_smoothed_targets() -> None:
    """At the optimum of weak penalty and few features the mean probability of a class is its mean smoothed target."""
    features, targets = digits(4)
    layer = logistic(features, targets, 4, label_smoothing=0.2, strength=1e-3, tolerance=1e-10, floor=0.0)
    mean = outputs(layer, features).softmax(1).mean(0)
    expected = functional.one_hot(targets, 4).double().mean(0) * 0.8 + 0.05
    assert mean.numpy() == pytest.approx(expected.numpy(), abs=1e-6)  # the free bias makes it exact


def test_a_feature_that_hardly_varies_is_not_blown_up() -> None:
    """With the floor at 0.3 of the root mean square; scikit-learn gets the same scale by hand."""
    features, targets = digits(3)
    features[:, 0] = 1e-6 * torch.rand(len(features), generator=torch.Generator().manual_seed(0))
    deviation = features.numpy().std(0)
    scale = np.maximum(deviation, 0.3 * np.sqrt((deviation**2).mean()))
    values = (features.numpy() - features.numpy().mean(0)) / scale
    model = LogisticRegression(C=0.1, tol=1e-10, max_iter=100_000).fit(values, targets.numpy())
    layer = logistic(features, targets, 3, strength=0.1, tolerance=1e-10)
    assert outputs(layer, features).numpy() == pytest.approx(model.decision_function(values), abs=1e-4)
    assert layer.weight[:, 0].abs().max() < 0.1


def test_the_choice_of_c_is_that_of_the_held_out_loss_of_scikit_learns_fits() -> None:
    features, targets = digits(10, 200)
    generator = torch.Generator().manual_seed(0)
    targets[::4] = torch.randint(0, 10, (50,), generator=generator)  # else hardly any penalty is best
    candidates, folds = (1e-4, 0.01, 1e4), parts(targets, 3)
    values = StandardScaler().fit_transform(features.numpy())
    losses = []
    for strength in candidates:
        held_out = 0.0
        for fold in range(3):
            outside, inside = (folds != fold).numpy(), (folds == fold).numpy()
            model = LogisticRegression(C=strength, tol=1e-8, max_iter=10_000).fit(values[outside], targets[outside])
            held_out -= model.predict_log_proba(values[inside])[np.arange(inside.sum()), targets[inside]].sum()
        losses.append(held_out)
    expected = candidates[int(np.argmin(losses))]
    assert expected not in (candidates[0], candidates[-1])  # else the choice would say little
    assert logistic(features, targets, 10, candidates=candidates, folds=folds, floor=0.0).strength == expected
    terms = functional.one_hot(targets, 10).double().T[None].contiguous()
    missed, chosen, _ = best(Standardised(features, 0.0), Softmax(terms), candidates, folds, 1e-6)
    assert chosen == expected
    assert missed == pytest.approx(min(losses), rel=1e-3)


def test_the_parts_of_a_cross_validation_hold_the_strata_evenly() -> None:
    strata = torch.tensor([0] * 7 + [1] * 5 + [2])
    part = parts(strata, 3)
    for stratum, count in ((0, 7), (1, 5), (2, 1)):
        sizes = torch.bincount(part[strata == stratum], minlength=3).tolist()
        assert sum(sizes) == count
        assert max(sizes) - min(sizes) <= 1
    assert max(torch.bincount(part)) - min(torch.bincount(part)) <= 1


def test_in_chunks_the_layer_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    features, targets = digits(3)

    def fits() -> tuple[Layer, Layer]:
        return logistic(features, targets, 3, strength=0.1, tolerance=1e-9), ridge(features, targets)

    whole = fits()
    monkeypatch.setattr(standardised, "IN_MEMORY", 0)
    monkeypatch.setattr(standardised, "CHUNK", 64 * 30)
    assert len(Standardised(features).slices) > 5
    for layer, again in zip(whole, fits(), strict=True):
        assert again.strength == layer.strength
        assert outputs(again, features).numpy() == pytest.approx(outputs(layer, features).numpy(), abs=1e-5)


def test_a_class_without_samples_never_wins_and_stays_finite() -> None:
    features, targets = digits(3)
    layer = logistic(features, targets * 2, 5)  # classes 1 and 3 are absent
    assert layer.weight.isfinite().all()
    assert layer.bias.isfinite().all()
    assert set(outputs(layer, features).argmax(1).tolist()) == {0, 2, 4}


def test_values_that_are_not_finite_are_refused() -> None:
    features, targets = digits(3)
    features[3, 5] = float("nan")
    with pytest.raises(UserError, match="not finite"):
        logistic(features, targets, 3)
    with pytest.raises(UserError, match="not finite"):
        ridge(features, targets)


def test_a_fit_that_was_cut_short_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    features, targets = digits(3)
    assert logistic(features, targets, 3, strength=1.0).converged
    monkeypatch.setattr(module, "MOST_STEPS", 2)
    assert not logistic(features, targets, 3, strength=1.0).converged
