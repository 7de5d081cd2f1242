"""Ridge against scikit-learn's on the same features, of every rank.

Shapes: n samples, d features, k outputs.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.linalg import LinAlgError
from sklearn.datasets import load_diabetes, load_linnerud
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from ftlab.convex import ridge as module
from ftlab.convex.logistic import logistic
from ftlab.convex.ridge import ridge, spectrum_of
from ftlab.data.base import DataSpec
from ftlab.targets.numbers import Numbers
from ftlab.tasks.regression import Regression
from tests.convex.test_logistic import digits, outputs


@pytest.mark.parametrize("load", [load_diabetes, load_linnerud])
@pytest.mark.parametrize("weighted", [False, True])
def test_ridge_and_its_alpha_are_those_of_scikit_learn(load, weighted: bool) -> None:
    data = load()
    features, targets = torch.from_numpy(data.data).double(), torch.from_numpy(data.target).double()
    weights = torch.linspace(0.5, 2.0, len(features)).double() if weighted else None
    alphas = np.logspace(-3, 5, 17)
    values = StandardScaler().fit_transform(features.numpy())
    model = RidgeCV(alphas=alphas).fit(values, targets.numpy(), None if weights is None else weights.numpy())
    layer = ridge(features, targets, sample_weights=weights, alphas=alphas.tolist(), floor=0.0)
    assert layer.strength == model.alpha_
    assert 1e-3 < layer.strength < 1e5
    expected = model.predict(values).reshape(len(values), -1)
    assert outputs(layer, features).numpy() == pytest.approx(expected, abs=1e-6)


def test_ridge_with_more_features_than_samples_is_that_of_scikit_learn() -> None:
    features, targets = digits(10, 40)
    values = StandardScaler().fit_transform(features.numpy())
    model = RidgeCV(alphas=[0.1, 10.0, 1000.0]).fit(values, targets.numpy())
    layer = ridge(features, targets, alphas=[0.1, 10.0, 1000.0], floor=0.0)
    assert layer.strength == model.alpha_
    assert outputs(layer, features)[:, 0].numpy() == pytest.approx(model.predict(values), abs=1e-6)


def test_the_last_layer_of_a_regression_is_ridge_on_standardised_targets_at_alpha_one_over_c() -> None:
    data, numbers = load_linnerud(return_X_y=True)
    features, targets = torch.from_numpy(data), torch.from_numpy(numbers).float()
    means, stds = targets.double().mean(0), targets.double().std(0, correction=0)
    spec = DataSpec("linnerud", Numbers(("a", "b", "c"), (*means.tolist(),), (*stds.tolist(),)), {"train": 20})
    layer = Regression(spec, loss="huber").last_layer(features, targets, 0.25)
    expected = Ridge(alpha=4.0).fit(features_of(features), ((targets - means) / stds).numpy())
    assert outputs(layer, features).numpy() == pytest.approx(expected.predict(features_of(features)), abs=1e-5)
    assert layer.strength == pytest.approx(0.25)


def features_of(features: Tensor) -> np.ndarray:
    """Standardised as the fit does, whose floor only lifts deviations below 0.3 of their root mean square."""
    deviation = features.std(0, correction=0)
    floor = 0.3 * deviation.square().mean().sqrt()
    return ((features - features.mean(0)) / deviation.clamp_min(floor)).numpy()


@pytest.mark.parametrize("loss", ["quantile", "gaussian_nll"])
def test_a_regression_that_predicts_more_than_a_value_has_no_convex_fit(loss: str) -> None:
    spec = DataSpec("x", Numbers(("a",), (0.0,), (1.0,)), {"train": 2})
    assert f"task.loss={loss}" in str(Regression(spec, loss=loss).refuses_convex())
    assert Regression(spec).refuses_convex() is None


def random(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)).double()


def of_rank(rank: int, n: int, d: int) -> Tensor:
    return random(n, rank) @ random(rank, d, seed=1)


def with_constant_columns(n: int, d: int) -> Tensor:
    features = random(n, d)
    features[:, ::3] = 0.0
    features[:, 1::3] = 1e6
    return features


def spread(n: int, d: int) -> Tensor:
    """float32 from 1e-20 to 1e20."""
    return (random(n, d) * torch.logspace(-20, 20, d).double()).float()


ODD: dict[str, Callable[[], Tensor]] = {
    **{f"{n} x {d} of rank {r}": (lambda r=r, n=n, d=d: of_rank(r, n, d))
       for n, d in ((20, 60), (60, 20)) for r in (1, 2, 10, 19)},
    **{f"{n} x {d} with columns of one value": (lambda n=n, d=d: with_constant_columns(n, d))
       for n, d in ((20, 60), (60, 20), (20, 21))},
    **{f"{n} x {d}, all columns twice": (lambda n=n, d=d: random(n, d // 2).repeat(1, 2))
       for n, d in ((20, 60), (60, 20))},
    **{f"{n} x {d}, 32 bits, 1e-20 to 1e20": (lambda n=n, d=d: spread(n, d)) for n, d in ((20, 60), (60, 20))},
    "rows of three kinds only": lambda: random(3, 40).repeat(10, 1),
    "three samples": lambda: random(3, 8),
}  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ODD)
def test_features_of_low_rank_give_the_layer_of_scikit_learn(kind: str, weighted: bool) -> None:
    features = ODD[kind]()
    targets = random(len(features), 2, seed=2)
    weights = torch.linspace(0.5, 2.0, len(features)).double() if weighted else None
    alphas = [0.1, 1.0, 10.0, 100.0]
    values = StandardScaler().fit_transform(features.double().numpy())
    model = RidgeCV(alphas=alphas).fit(values, targets.numpy(), None if weights is None else weights.numpy())
    layer = ridge(features, targets, sample_weights=weights, alphas=alphas, floor=0.0)
    assert layer.weight.isfinite().all()
    assert layer.converged
    assert layer.strength == model.alpha_
    assert outputs(layer, features).numpy() == pytest.approx(model.predict(values), abs=1e-6)


@pytest.mark.parametrize("kind", ODD)
def test_every_alpha_of_a_run_gives_finite_weights(kind: str) -> None:
    features = ODD[kind]()
    layer = ridge(features, random(len(features), 1, seed=2))
    assert layer.weight.isfinite().all()
    assert layer.bias.isfinite().all()


def test_features_that_never_vary_have_no_weight_and_the_bias_is_the_mean() -> None:
    targets = random(7, 1)
    layer = ridge(torch.full((7, 3), 5.0), targets)
    assert layer.weight.tolist() == [[0.0, 0.0, 0.0]]
    assert layer.bias.item() == pytest.approx(targets.mean().item(), abs=1e-12)


@pytest.mark.parametrize("n", [11, 12, 13])
def test_both_spaces_give_one_layer_where_they_meet(n: int) -> None:
    """n - 1 is the rank of n centred samples: around d the two ways must agree, though one of them is chosen."""
    features, targets = random(n, 12), random(n, 1, seed=2)
    values = StandardScaler().fit_transform(features.numpy())
    expected = Ridge(alpha=0.01, tol=1e-12).fit(values, targets.numpy())
    layer = ridge(features, targets, alphas=[0.01], floor=0.0)
    assert outputs(layer, features).numpy() == pytest.approx(expected.predict(values).reshape(-1, 1), abs=1e-9)


@pytest.fixture
def gives_up(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[str]]:
    """Makes the first `count` of the four ways to eigenvectors fail; the list says which were asked."""

    def fail(count: int) -> list[str]:
        asked: list[str] = []
        torchs, scipys = torch.linalg.eigh, module.eigh

        def first(matrix: Tensor) -> object:
            asked.append("torch")
            if len(asked) <= count:
                raise torch.linalg.LinAlgError("the algorithm failed to converge")
            return torchs(matrix)

        def second(matrix: np.ndarray, driver: str) -> object:
            asked.append(driver)
            if len(asked) <= count:
                raise LinAlgError("the algorithm failed to converge")
            return scipys(matrix, driver=driver)

        monkeypatch.setattr(torch.linalg, "eigh", first)
        monkeypatch.setattr(module, "eigh", second)
        return asked

    return fail


@pytest.mark.parametrize("failing", [0, 1, 2, 3])
def test_where_one_way_to_eigenvectors_fails_the_next_is_gone(failing: int, gives_up) -> None:
    products = of_rank(2, 6, 6) @ of_rank(2, 6, 6).T
    asked = gives_up(failing)
    spectrum, axes, own = spectrum_of(products)
    assert asked == ["torch", "evd", "evr", "ev"][: failing + 1]
    assert own
    assert (axes @ (spectrum[:, None] * axes.T)).numpy() == pytest.approx(products.numpy(), abs=1e-9)


@pytest.mark.parametrize("shape", [(30, 5), (5, 30)])
def test_a_matrix_that_none_can_take_apart_is_solved_nearly_and_that_is_told(shape: tuple[int, int], gives_up) -> None:
    features, targets = random(*shape), random(shape[0], 1, seed=2)
    right = ridge(features, targets)
    gives_up(4)
    layer = ridge(features, targets)
    assert (right.converged, layer.converged) == (True, False)
    assert outputs(layer, features).numpy() == pytest.approx(outputs(right, features).numpy(), abs=1e-5)


@pytest.mark.parametrize("kind", ODD)
def test_logistic_regression_ends_on_such_features_too(kind: str) -> None:
    features = ODD[kind]()
    layer = logistic(features, torch.arange(len(features)) % 3, 3)
    assert layer.weight.isfinite().all()
    assert layer.bias.isfinite().all()
