"""The methods, each of one prepared input, by the library captum.

Shapes: b batch, c channels, h and w height and width, t tokens or steps, n parts that are there (1) or not (0).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ftlab.errors import UserError
from ftlab.explaining.scores import Scores

AT_ONCE = 32  # passes
STEPS = 50  # of the line from nothing to the input; Sundararajan et al. 2017 take 20 to 300
DRAWS = 25  # of orders in which parts come
PATCHES = 7  # in a side of an image, of the patches that are covered; they move by half of themselves


def grad_cam(scores: Scores, inputs: tuple[Tensor, ...], output: int) -> np.ndarray:
    """(h, w) of an image. Selvaraju et al. 2017, "Grad-CAM".

    Raises: UserError for a network whose answer does not hang on its last maps.
    """
    from captum.attr import LayerAttribution, LayerGradCam

    try:
        with torch.enable_grad():
            found = LayerGradCam(scores, scores.maps).attribute(_fresh(inputs), target=output, relu_attributions=True)
    except (AssertionError, KeyError, RuntimeError, IndexError) as error:
        raise UserError(f"method=grad_cam: this network has no maps to look at ({_first(error)}); {OTHER}") from error
    assert isinstance(found, Tensor)
    if not found.any():
        raise UserError(f"method=grad_cam: nothing of the last maps speaks for this answer; {OTHER}")
    wide = LayerAttribution.interpolate(found, tuple(inputs[0].shape[-2:]), "bilinear")
    return _array(wide[0, 0])


OTHER = "method=occlusion goes with every network"


def occlusion(scores: Scores, inputs: tuple[Tensor, ...], output: int) -> np.ndarray:
    """(h, w): how much lower the score is where a patch of the mean colour lies. Zeiler and Fergus 2014,
    "Visualizing and Understanding Convolutional Networks"."""
    from captum.attr import Occlusion

    (images,) = inputs
    sides = [max(1, side // PATCHES) for side in images.shape[-2:]]
    steps = tuple(max(1, side // 2) for side in sides)
    with torch.inference_mode():
        found = Occlusion(scores).attribute(
            images,
            sliding_window_shapes=(images.shape[1], *sides),
            strides=(images.shape[1], *steps),
            target=output,
            baselines=0,
            perturbations_per_eval=AT_ONCE,
        )
    return _array(found[0].mean(dim=0))


def integrated_gradients(
    scores: Scores, inputs: tuple[Tensor, ...], output: int, layer: torch.nn.Module, nothing: Tensor
) -> np.ndarray:
    """(t,) of tokens: along the line from the embeddings of `nothing` (1, t) to those of the input. Sundararajan et al.
    2017, "Axiomatic Attribution for Deep Networks"."""
    from captum.attr import LayerIntegratedGradients

    tokens, *rest = inputs
    with torch.enable_grad():
        found = LayerIntegratedGradients(scores, layer).attribute(
            tokens, baselines=nothing, target=output, additional_forward_args=tuple(rest), n_steps=STEPS,
            internal_batch_size=AT_ONCE,
        )  # fmt: skip
    return _array(found[0].sum(dim=-1))


Scored = Callable[[Tensor], Tensor]  # which parts are there (b, n) to the score (b,)


def shapley(scored: Scored, count: int) -> np.ndarray:
    """(n,): what each part adds, in the mean over orders in which they come; together they are the score above that of
    none of them. Strumbelj and Kononenko 2010, "An Efficient Explanation of Individual Classifications"."""
    from captum.attr import ShapleyValueSampling

    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        found = ShapleyValueSampling(scored).attribute(
            torch.ones(1, count), baselines=0, n_samples=DRAWS, perturbations_per_eval=AT_ONCE
        )
    return _array(found[0])


def ablation(scored: Scored, count: int) -> np.ndarray:
    """(n,): how much lower the score is without each part."""
    from captum.attr import FeatureAblation

    with torch.inference_mode():
        found = FeatureAblation(scored).attribute(torch.ones(1, count), baselines=0, perturbations_per_eval=AT_ONCE)
    return _array(found[0])


def _fresh(inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Copies that autograd may follow, be it that they were made where it does not."""
    return tuple(one.clone() for one in inputs)


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def _array(found: Any) -> np.ndarray:
    return np.asarray(found.detach().float().cpu())
