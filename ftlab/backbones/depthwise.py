"""Depthwise convolutions whose weight gradient a CPU sums tap by tap, where that is faster.

Shapes: b batch, c channels, h height, w width of a map; k side of the kernel.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from timm.layers import Conv2dSame, get_same_padding, pad_same, register_notrace_module
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (its usual name)

Pair = tuple[int, int]

CHUNK = 2**19  # numbers of the gradient at a time: their products, 2 MB, stay in a processor's cache


def pays(kernel: int, side: int, kernels: int, channels_last: bool, threads: int) -> bool:
    """Whether taps are faster for maps whose smaller side has `side` pixels; `kernels`: images times channels.

    Source: `python -m tests.benchmarks.depthwise`. oneDNN's gradient is slow for kernels of 5 and 7 (with one thread
    1.2 to 20 times slower, with channels last on small maps only), and for those of 3 on maps smaller than themselves.
    With few kernels the k * k calls weigh more than the sums; with two threads on a busy machine, where the threads
    wait for each other in each call, only maps up to 4 pixels gained. Other kernels were not measured.
    """
    if kernel == 3:
        return side < kernel and kernels >= 512
    largest = 4 if threads > 1 else 8 if channels_last else math.inf
    return kernel in (5, 7) and kernels >= 2048 and side <= largest


class ByTaps(torch.autograd.Function):
    """F.conv2d of images (b, c, h, w) with a weight (c, 1, k, k): every channel has a kernel of its own."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(images, weight, bias, stride, padding, groups=len(weight))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        images, weight = ctx.saved_tensors
        needed = ctx.needs_input_grad
        of_images, _, of_bias = torch.ops.aten.convolution_backward(
            gradient, images, weight, [len(weight)], ctx.stride, ctx.padding, (1, 1), False, (0, 0), len(weight),
            (needed[0], False, needed[2]),
        )  # fmt: skip
        of_weight = weight_gradient(images, gradient, weight.shape[-1], ctx.stride, ctx.padding)
        return of_images, of_weight, of_bias, None, None


def weight_gradient(images: Tensor, gradient: Tensor, kernel: int, stride: Pair, padding: Pair) -> Tensor:
    """(c, 1, k, k): for each tap, the pixels that it meets times the gradient (b, c, h, w) there, summed.

    Channels come last meanwhile, so that the sum adds whole rows. A tap that meets only padding has the gradient 0.
    """
    sums = images.new_zeros(kernel, kernel, images.shape[1])
    few = max(1, CHUNK // gradient[0].numel())
    for some, theirs in zip(images.split(few), gradient.split(few), strict=True):
        pixels, wanted = (values.permute(0, 2, 3, 1).contiguous() for values in (some, theirs))
        for y in range(kernel):
            rows, from_rows = met(y - padding[0], stride[0], gradient.shape[2], images.shape[2])
            for x in range(kernel):
                columns, from_columns = met(x - padding[1], stride[1], gradient.shape[3], images.shape[3])
                sums[y, x] += (pixels[:, from_rows, from_columns] * wanted[:, rows, columns]).sum((0, 1, 2))
    return sums.permute(2, 0, 1).unsqueeze(1).contiguous()


def met(offset: int, stride: int, outputs: int, inputs: int) -> tuple[slice, slice]:
    """The outputs o for which stride * o + offset is one of the inputs, and these inputs."""
    first = max(0, -(offset // stride))
    last = min(outputs - 1, (inputs - 1 - offset) // stride)
    if last < first:
        return slice(0, 0), slice(0, 0)
    return slice(first, last + 1), slice(first * stride + offset, last * stride + offset + 1, stride)


def convolve(conv: nn.Conv2d, images: Tensor, padding: Pair) -> Tensor | None:
    """By taps where that is faster, else None."""
    weight = conv.weight
    known = images.device.type == "cpu" and images.dtype == weight.dtype == torch.float32 and images.ndim == 4
    if not (trains(conv) and known) or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
        return None
    channels_last = not images.is_contiguous() and images.is_contiguous(memory_format=torch.channels_last)
    kernels, side = len(images) * len(weight), min(images.shape[-2:])
    if not pays(weight.shape[-1], side, kernels, channels_last, torch.get_num_threads()):
        return None
    return ByTaps.apply(images, weight, conv.bias, conv.stride, padding)


def trains(conv: nn.Conv2d) -> bool:
    return torch.is_grad_enabled() and conv.weight.requires_grad


@register_notrace_module  # stays whole where a network is cut at its freeze border, as nn.Conv2d does
class DepthwiseConv2d(nn.Conv2d):
    def forward(self, images: Tensor) -> Tensor:
        found = convolve(self, images, self.padding)  # type: ignore[arg-type]  # is_depthwise lets no text in
        return super().forward(images) if found is None else found


@register_notrace_module
class DepthwiseConv2dSame(Conv2dSame):
    """timm's padding depends on the size of the images, and may differ by side."""

    def forward(self, images: Tensor) -> Tensor:
        if images.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(images)
        if not trains(self):  # to pad takes as long as to convolve
            return shifted(self, images)
        padded = pad_same(images, list(self.kernel_size), list(self.stride))
        found = convolve(self, padded, (0, 0))
        if found is None:
            return F.conv2d(padded, self.weight, self.bias, self.stride, groups=self.groups)
        return found


def shifted(conv: nn.Conv2d, images: Tensor) -> Tensor:
    """The convolution with timm's padding, in which no image is copied to be padded.

    Where the two sides differ by one, a step more on both gives the same outputs behind one that is dropped. For a
    depthwise convolution, whose images are as large as its work, 2.1 to 2.4 times as fast (64 images, one thread:
    `python -m tests.benchmarks.depthwise --padding`).
    """
    padding: list[int] = []
    kept: list[slice] = []
    for size, kernel, step in zip(images.shape[-2:], conv.kernel_size, conv.stride, strict=True):
        both, outputs = int(get_same_padding(size, kernel, step, 1)), -(-size // step)
        more = both % 2
        padding.append(both // 2 + more * step)
        kept.append(slice(more, more + outputs))
    found = F.conv2d(images, conv.weight, conv.bias, conv.stride, padding, groups=conv.groups)
    return found[..., kept[0], kept[1]]


KINDS: dict[type[nn.Module], type[nn.Module]] = {nn.Conv2d: DepthwiseConv2d, Conv2dSame: DepthwiseConv2dSame}


@contextmanager
def by_taps(model: nn.Module) -> Iterator[None]:
    """In here, depthwise convolutions of `model` are of classes that may sum their weight gradient tap by tap.

    They stay nn.Conv2d, with the same names, parameters and results; whether they do is decided call by call.
    """
    found = [(module, type(module)) for module in model.modules() if type(module) in KINDS and is_depthwise(module)]
    for module, kind in found:
        module.__class__ = KINDS[kind]
    try:
        yield
    finally:
        for module, kind in found:
            module.__class__ = kind


def is_depthwise(conv: Any) -> bool:
    """A square kernel a channel, one step in both directions, zeros as padding."""
    square = conv.kernel_size[0] == conv.kernel_size[1] and conv.stride[0] == conv.stride[1]
    plain = conv.padding_mode == "zeros" and not isinstance(conv.padding, str) and tuple(conv.dilation) == (1, 1)
    return square and plain and 1 < conv.groups == conv.in_channels == conv.out_channels
