"""A learner of scikit-learn in the place of a last layer, and how it is kept without pickle.

Shapes: b batch, n samples, d features, k outputs.
"""

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ftlab.errors import UserError, choices

# name: of classes, of numbers
ESTIMATORS = {
    "svc": ("sklearn.svm.SVC", "sklearn.svm.SVR"),
    "ridge": ("sklearn.linear_model.RidgeClassifier", "sklearn.linear_model.Ridge"),
    "knn": ("sklearn.neighbors.KNeighborsClassifier", "sklearn.neighbors.KNeighborsRegressor"),
    "random_forest": ("sklearn.ensemble.RandomForestClassifier", "sklearn.ensemble.RandomForestRegressor"),
    "hist_gradient_boosting": (
        "sklearn.ensemble.HistGradientBoostingClassifier",
        "sklearn.ensemble.HistGradientBoostingRegressor",
    ),
}
# Set unless the user does: the same run gives the same learner, and argmax of the scores is what predict says. A tree
# of neighbours does not pay with hundreds of features.
FIXED = {"random_state": 0, "break_ties": True, "algorithm": "brute"}
ONE_TARGET = ("svc", "hist_gradient_boosting")  # of numbers; several are learned one by one
# What a stored learner may hold beyond what skops trusts by itself.
TRUSTED = ["sklearn.tree._tree.Tree", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]
LEAST = 1e-7  # probability of a class that a learner rules out, whose logarithm would be infinite


class Estimator(nn.Module):
    """Takes standardised features; has no parameters, so nothing of it follows a gradient.

    Its state is the standardisation and, as bytes, the learner in the format of skops.
    """

    mean: Tensor  # (d,)
    scale: Tensor  # (d,)

    def __init__(self, num_features: int, num_outputs: int, name: str, settings: Mapping[str, Any]) -> None:
        """Raises: UserError for an unknown learner or a setting that it has not, or if skops is not installed."""
        super().__init__()
        _skops()  # said before anything is computed, not where the learner is to be kept
        if name not in ESTIMATORS:
            raise UserError(f"head.estimator={name} is unknown; {choices(name, ESTIMATORS)}")
        self.in_features, self.out_features = num_features, num_outputs
        self.name, self.settings = name, dict(settings)
        self.register_buffer("mean", torch.zeros(num_features))
        self.register_buffer("scale", torch.ones(num_features))
        self.stored = torch.zeros(0, dtype=torch.uint8)
        self.learner: Any = None
        self._make(of_numbers=False), self._make(of_numbers=True)

    def forward(self, features: Tensor) -> Tensor:
        """(b, d) to (b, k): logarithms of probabilities, scores (svc, ridge), or numbers; 0 before the fit."""
        if self.learner is None:
            return features.new_zeros(len(features), self.out_features)
        values = ((features.float() - self.mean) * self.scale).cpu().numpy()
        return torch.from_numpy(self._outputs(values)).to(features)

    def fit(self, features: Tensor, targets: Tensor, mean: Tensor, scale: Tensor, weights: Tensor | None) -> None:
        """features (n, d), targets (n,) classes or (n, k) numbers, weights (n,) of the samples.

        Raises: UserError for weights that the learner cannot take, or settings that it refuses, be it when it is used.
        """
        self.mean.copy_(mean), self.scale.copy_(scale)
        learner = self._make(of_numbers=targets.ndim == 2)
        values = ((features - self.mean.cpu()) * self.scale.cpu()).numpy()
        try:
            learner.fit(
                values, targets.squeeze(-1).numpy(), **({} if weights is None else {"sample_weight": weights.numpy()})
            )
            learner.predict(values[:1])  # too many neighbours are not found before
        except MemoryError:
            raise
        except Exception as error:  # whatever it is, the data and the settings are all that was given
            if "sample_weight" in str(error):
                said = "takes no class weights; task.class_weights=none"
                raise UserError(f"head.estimator={self.name}: {said}") from error
            raise UserError(_refusal(self.name, learner, self.settings, error, len(values))) from error
        self.set_extra_state(_bytes(learner, self.name))

    def get_extra_state(self) -> Tensor:
        return self.stored

    def set_extra_state(self, state: Tensor) -> None:
        """Raises: UserError for bytes that are no learner of this kind, or name code of others."""
        self.stored = state
        self.learner = _learner(state, self.name, self.in_features) if state.numel() else None

    def _make(self, of_numbers: bool) -> Any:
        kind = _class(ESTIMATORS[self.name][of_numbers])
        accepted = kind().get_params()
        given = dict(self.settings)
        for key in given:
            others = _class(ESTIMATORS[self.name][not of_numbers])().get_params()
            if key not in accepted and key not in others:
                raise UserError(f"head.settings: {self.name} has no '{key}'; {choices(key, accepted)}")
        fixed = {key: value for key, value in FIXED.items() if key != "algorithm" or self.name == "knn"}
        merged = {key: value for key, value in {**fixed, **given}.items() if key in accepted}
        one = kind(**merged)
        if of_numbers and self.name in ONE_TARGET and self.out_features > 1:
            from sklearn.multioutput import MultiOutputRegressor

            return MultiOutputRegressor(one)
        return one

    def _outputs(self, values: np.ndarray) -> np.ndarray:
        """(b, d) to (b, k) float32."""
        learner = self.learner
        if not hasattr(learner, "classes_"):
            return np.asarray(learner.predict(values), dtype=np.float32).reshape(len(values), -1)
        if hasattr(learner, "predict_proba"):
            scores = np.log(np.maximum(learner.predict_proba(values), LEAST))
        else:
            scores = np.asarray(learner.decision_function(values))
            scores = np.stack([-scores / 2, scores / 2], axis=1) if scores.ndim == 1 else scores
        found = np.full((len(values), self.out_features), scores.min() + np.log(LEAST), dtype=np.float32)
        found[:, np.asarray(learner.classes_, dtype=int)] = scores  # a class without training samples is ruled out
        return found


def _refusal(name: str, learner: Any, settings: Mapping[str, Any], error: Exception, samples: int) -> str:
    """What a learner said, with the setting of which it speaks, or all that were given where it names none."""
    said = (str(error).splitlines() or [type(error).__name__])[0]
    used = learner.get_params(deep=False)
    used = used["estimator"].get_params() if "estimator" in used else used  # one for each of several targets
    words = [key for key in used if key in settings or len(key) > 1]  # C and p are letters of other words
    spoken = [key for key in words if re.search(rf"\b{key}\b", said)]
    shown = "".join(f"head.settings.{key}={used[key]}; " for key in spoken or settings if key in used)
    return f"head.estimator={name}: {said} ({shown}{samples:,} training samples)"


def _class(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def _skops() -> Any:
    try:
        import skops.io
    except ImportError:
        raise UserError(
            "head=sklearn: needs skops, which keeps learners without pickle: pip install 'ftlab[sklearn]'"
        ) from None
    return skops.io


def _bytes(learner: Any, name: str) -> Tensor:
    found: bytes = _skops().dumps(learner)
    foreign = set(_skops().get_untrusted_types(data=found)) - set(TRUSTED)
    if foreign:
        raise UserError(
            f"head.settings: {name} with these cannot be kept without pickle ({', '.join(sorted(foreign))})"
        )
    return torch.frombuffer(bytearray(found), dtype=torch.uint8)


def _learner(state: Tensor, name: str, features: int) -> Any:
    from zipfile import BadZipFile

    skops_io = _skops()
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        learner = skops_io.loads(state.cpu().numpy().tobytes(), trusted=TRUSTED)
        kinds = tuple(_class(path) for path in ESTIMATORS[name])
        inside = list(getattr(learner, "estimators_", [learner]) if name in ONE_TARGET else [learner])
        if not all(isinstance(one, kinds) for one in inside) or learner.n_features_in_ != features:
            raise UserError(f"head.estimator={name}: what is stored is another learner, or of other features")
        for one in inside:
            _check_trees(one, features)
    except UntrustedTypesFoundException as error:
        raise UserError(f"head.estimator={name}: what is stored names code of others; refused: {error}") from error
    except (BadZipFile, ValueError, TypeError, KeyError, AttributeError, ImportError, OSError, IndexError) as error:
        raise UserError(f"head.estimator={name}: what is stored cannot be read safely: {error}") from error
    return learner


def _check_trees(learner: Any, features: int) -> None:
    """Raises: UserError for trees whose nodes point outside of them; their compiled code does not look."""
    for tree in getattr(learner, "estimators_", []):
        nodes = tree.tree_
        ends = np.concatenate([nodes.children_left, nodes.children_right])
        _within(ends, -1, nodes.node_count)
        _within(nodes.feature, -2, features)
    for stage in getattr(learner, "_predictors", []):
        for predictor in stage:
            nodes = predictor.nodes
            _within(nodes["left"], 0, len(nodes))
            _within(nodes["right"], 0, len(nodes))
            _within(nodes["feature_idx"], 0, features)


def _within(values: np.ndarray, low: int, high: int) -> None:
    if len(values) == 0 or values.min() < low or values.max() >= high:
        raise UserError("head=sklearn: a stored tree points outside of itself; refused")
