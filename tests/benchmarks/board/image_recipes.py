"""Recipes that people know, on the images that the untouched command splits.

All take the network's own weights, images scaled to the command's size and the epochs of `epochs`; what validates
keeps the best epoch by val. Shapes: n samples, c channels, h height, w width, k outputs.
"""

import copy
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import timm
import torch
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import v2

import ftlab
from ftlab.backbones.weights import PACKAGED, load_packaged
from ftlab.data.base import Samples
from tests.benchmarks.board.base import PLAINLY, Set, splits

BATCH = 32
Pairs = tuple[Tensor, Tensor]  # images (n, c, h, w), targets (n,) classes or (n, 1) numbers in deviations of train


@dataclass(frozen=True)
class Images:
    train: Pairs
    val: Pairs
    test: Pairs
    classes: int | None  # None: numbers

    @property
    def loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        return mse_loss if self.classes is None else cross_entropy

    def figure(self, outputs: Tensor, targets: Tensor) -> float:
        """Accuracy or R2 of outputs (n, k)."""
        if self.classes is None:
            return float(r2_score(targets.numpy(), outputs.numpy()))
        return float((outputs.argmax(1) == targets).float().mean())

    def loader(self, pairs: Pairs, shuffle: bool = True) -> DataLoader:
        return DataLoader(TensorDataset(*pairs), BATCH, shuffle=shuffle, drop_last=shuffle and len(pairs[0]) > BATCH)


def images(board: Set, seed: int) -> Images:
    found = splits(board, seed)
    side = ftlab.compose([*board.words])["data"]["image_size"]
    parts = [pairs(part, side) for part in (found.train, found.val, found.test) if part is not None]
    targets = parts[0][1]
    if not targets.is_floating_point():
        return Images(*parts, classes=int(targets.max()) + 1)
    mean, scale = targets.mean(0), targets.std(0)
    return Images(*((x, (y - mean) / scale) for x, y in parts), classes=None)


def pairs(samples: Samples, side: int) -> Pairs:
    look = v2.Compose([
        v2.RGB(), v2.Resize((side, side)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.5] * 3, [0.5] * 3),  # those of the network's weights
    ])  # fmt: skip
    return torch.stack([look(samples.inputs[i]) for i in range(len(samples))]), samples.targets


def network(outputs: int, pretrained: bool = True) -> nn.Module:
    net = timm.create_model(PACKAGED, num_classes=0)
    if pretrained:
        load_packaged(net)
    return nn.Sequential(net, nn.Linear(net.num_features, outputs))


def epochs(count: int) -> int:
    """Ten as is usual, and of few images so many that there are 300 steps, 30 at most."""
    return max(10, min(30, math.ceil(300 / math.ceil(count / BATCH))))


@torch.inference_mode()
def outputs(net: nn.Module, x: Tensor) -> Tensor:
    net.eval()
    return torch.cat([net(part) for part in x.split(128)])


def probe(board: Set, seed: int) -> float:
    """scikit-learn on frozen features, the strength of its penalty by cross-validation over train."""
    data = images(board, seed)
    net = network(1)[0]
    rows = [outputs(net, x).numpy() for x, _ in (data.train, data.test)]
    known = rows[0], data.train[1].numpy()
    if data.classes is None:
        model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 6, 17)))
        return float(r2_score(data.test[1].numpy(), model.fit(*known).predict(rows[1])))
    model = make_pipeline(
        StandardScaler(),
        LogisticRegressionCV(Cs=np.logspace(-5, 1, 7), cv=3, max_iter=200, **PLAINLY),
    )
    predicted = model.fit(*known).predict(rows[1])  # its own score is that which the folds choose by, the log loss
    return float((predicted == data.test[1].numpy()).mean())


def full(board: Set, seed: int) -> float:
    """All weights by AdamW and a cosine, as a loop that one writes by hand."""
    return loop(board, seed, 3e-4, pretrained=True)


def scratch(board: Set, seed: int) -> float:
    return loop(board, seed, 1e-3, pretrained=False)


def loop(board: Set, seed: int, rate: float, pretrained: bool) -> float:
    torch.manual_seed(seed)
    data = images(board, seed)
    net, loader, length = network(data.classes or 1, pretrained), data.loader(data.train), epochs(len(data.train[0]))
    optimizer = torch.optim.AdamW(net.parameters(), rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, length * len(loader))
    best, kept = -math.inf, net.state_dict()
    for _ in range(length):
        net.train()
        for x, y in loader:
            loss = data.loss(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        value = data.figure(outputs(net, data.val[0]), data.val[1])
        if value > best:
            best, kept = value, copy.deepcopy(net.state_dict())
    net.load_state_dict(kept)
    return data.figure(outputs(net, data.test[0]), data.test[1])


def fast_ai(board: Set, seed: int) -> float:
    """fastai's fine_tune with its own rates: an epoch of the head, then all."""
    from fastai.callback import schedule
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner, params

    assert schedule  # brings fine_tune
    torch.manual_seed(seed)
    data = images(board, seed)
    loaders = DataLoaders(data.loader(data.train), data.loader(data.val, shuffle=False), device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        net = network(data.classes or 1)
        parts = lambda net: [params(net[0]), params(net[1])]  # noqa: E731
        learner = Learner(loaders, net, loss_func=data.loss, splitter=parts, path=folder)
        with learner.no_logging(), learner.no_bar():
            learner.fine_tune(epochs(len(data.train[0])) - 1)
    return data.figure(outputs(net, data.test[0]), data.test[1])


def lightning(board: Set, seed: int) -> float:
    """Stock Lightning with BackboneFinetuning at its defaults, which thaws in the tenth epoch; here in the third."""
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import BackboneFinetuning, ModelCheckpoint

    data = images(board, seed)

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = network(data.classes or 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.backbone(x))

        def training_step(self, batch: Pairs, index: int) -> Tensor:
            return data.loss(self(batch[0]), batch[1])

        def validation_step(self, batch: Pairs, index: int) -> None:
            self.log("val", data.figure(self(batch[0]), batch[1]), batch_size=len(batch[0]))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW((p for p in self.parameters() if p.requires_grad), 1e-3)

    torch.manual_seed(seed)
    module = Module()
    with tempfile.TemporaryDirectory() as folder:
        best = ModelCheckpoint(folder, monitor="val", mode="max")
        trainer = Trainer(
            max_epochs=epochs(len(data.train[0])), accelerator="cpu", logger=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=[best, BackboneFinetuning(unfreeze_backbone_at_epoch=2)],
        )  # fmt: skip
        trainer.fit(module, data.loader(data.train), data.loader(data.val, shuffle=False))
        module.load_state_dict(torch.load(best.best_model_path, weights_only=True)["state_dict"])
    return data.figure(outputs(module, data.test[0]), data.test[1])
