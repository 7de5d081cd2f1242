"""The types of what settings may be that a default in conf/ cannot say: the table that settings.py reads."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

# The text at the end of an Annotated type is what a message calls it.
Number = Annotated[float, Field(allow_inf_nan=False), "a number"]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False), "a number above 0"]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False), "a number of at least 0"]
Fraction = Annotated[float, Field(ge=0, lt=1), "a number from 0 to below 1"]
PositiveInt = Annotated[int, Field(gt=0), "a whole number above 0"]
NonNegativeInt = Annotated[int, Field(ge=0), "a whole number of at least 0"]
Seed = Annotated[int, Field(ge=0, lt=2**32), "a whole number from 0 to 4294967295"]
PerClass = Annotated[str, StringConstraints(pattern=r"^[1-9]\d*/class$"), "a text like 20/class"]
Share = Annotated[float, Field(gt=0, lt=1), "a fraction between 0 and 1"]
Probability = Annotated[float, Field(ge=0, le=1), "a number from 0 to 1"]
Decay = Annotated[float, Field(gt=0, le=1), "a number above 0, at most 1"]
Name = Annotated[str, StringConstraints(), "a text"]  # of a column, or a label
DELIMITER = (
    Literal["comma", "semicolon", "tab", "bar"]
    | Annotated[str, StringConstraints(min_length=1, max_length=1), "one character"]
)
DECIMAL = Literal["point", "comma", ".", ","]
Path = Annotated[str, StringConstraints(min_length=1), "a path"]

Precision = Literal[
    "transformer-engine", "transformer-engine-float16",
    "16-true", "16-mixed", "bf16-true", "bf16-mixed", "32-true", "64-true",
    "64", "32", "16", "bf16", 64, 32, 16, "auto",
]  # fmt: skip

BOTH = Annotated[list[Path], Field(min_length=2, max_length=2), "two files, [SOURCE,TARGET]"]

# How texts are written, by a task and by whoever predicts.
GENERATION: dict[str, Any] = {
    "beams": Annotated[int, Field(ge=1, le=64), "a whole number from 1 to 64"] | None,  # a server takes it from anyone
    "length_penalty": Number | None,
    "no_repeat": NonNegativeInt | None,
    "max_tokens": Annotated[int, Field(ge=1, le=4096), "a whole number from 1 to 4096"] | None,
}

# By the dotted name of a key; where options of a group mean different things by it, by the name of their class.
TYPES: dict[str, Any] = {
    # the run
    "seed": Seed,
    "subset": Share | PositiveInt | PerClass | None,
    "on_nonfinite": Literal["stop", "skip", "rollback"],
    "compile": Literal["auto", "on", "off"],
    "resume": Path | None,
    "resume_allow": list[str],
    "trusted_modules": list[str],
    "early_stopping.patience": PositiveInt | None,
    "early_stopping.min_delta": NonNegativeFloat,
    "checkpoint.every_n_steps": PositiveInt | None,
    "checkpoint.every_minutes": PositiveFloat | None,
    "checkpoint.keep": Literal["all", "last", "best"],
    "plan.detail": Literal["stages", "layers"],
    "plan.output": Path | None,
    # a search
    **dict.fromkeys(("sweep.trials", "sweep.seeds", "compare.seeds", "auto.samples"), PositiveInt),
    "sweep.timeout": PositiveFloat | None,
    "sweep.sampler": Literal["tpe", "random", "grid", "cmaes", "qmc"],
    "sweep.pruner": Literal["none", "median", "halving", "hyperband"],
    "sweep.objectives": Annotated[list[str], Field(min_length=1), "a list of figures"],
    "sweep.storage": Path | None,
    # a comparison
    "runs": Annotated[list[Path], Field(), "a list of folders"],
    "compare.strategies": Annotated[list[str], Field(min_length=2), "a list of at least two strategies"],
    "compare.sizes": Annotated[
        list[Share | PositiveInt | PerClass | Literal["all"]], Field(min_length=1), "a list like [50,20/class,all]"
    ],
    "logger.wandb.mode": Literal["offline", "online"],
    # a choice
    "time": Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)?\s*(s|min|h)$"), "a time like 90s, 10min or 1.5h"],
    "auto.backbones": list[str],
    # the Trainer
    "trainer.max_epochs": PositiveInt | Literal["auto"],
    **dict.fromkeys(
        ("trainer.auto_epochs.steps", "trainer.auto_epochs.least", "trainer.auto_epochs.most"),
        PositiveInt,
    ),
    "trainer.precision": Precision,
    "trainer.accelerator": Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"],
    "trainer.devices": PositiveInt | Literal["auto", -1] | list[NonNegativeInt],
    "trainer.num_nodes": PositiveInt,
    "trainer.strategy": Literal["auto", "ddp"],
    "trainer.accumulate_grad_batches": PositiveInt,
    "trainer.gradient_clip_val": PositiveFloat | None,
    "trainer.deterministic": bool | Literal["warn"],
    # optimizers
    "optimizer.weight_decay": NonNegativeFloat,
    "optimizer.betas": Annotated[list[Fraction], Field(min_length=2, max_length=2), "two numbers from 0 to below 1"],
    "optimizer.eps": PositiveFloat,
    "optimizer.lr": PositiveFloat | Literal["auto"],
    **dict.fromkeys(("find.lowest", "find.highest", "adapters.alpha", "anchor.strength"), PositiveFloat),
    **dict.fromkeys(("find.steps", "adapters.rank"), PositiveInt),
    "find.phases": Literal["first", "all"],
    **dict.fromkeys(("adapters.dropout", "weight_average.decay", "weight_average.start"), Fraction),
    "adapters.layers": Literal["auto"] | Annotated[list[str], Field(min_length=1), "a list of patterns"],
    "parameters": Literal["auto", "all", "bias", "norm"],
    "blend": Literal["none", "wise_ft"],
    "optimizer.momentum": Fraction,
    "optimizer.alpha": Fraction,
    # the cache
    **dict.fromkeys(("cache.memory_budget", "cache.disk_budget"), PositiveFloat),
    "cache.image_budget": NonNegativeFloat,
    "cache.dtype": Literal["float32", "float16", "bfloat16", "uint8"],
    "cache.views": PositiveInt | None,
    # ftlab cache
    "action": Literal["list", "clear"],
    # modes on a bundle
    "bundle": Path,
    "input": Path | list[Path],
    "output": Path | None,
    "split": Literal["train", "val", "test", "all"] | None,
    "accelerator": Literal["auto", "cpu", "gpu", "cuda", "mps"],
    "batch_size": PositiveInt,
    "num_workers": NonNegativeInt,
    "top_k": PositiveInt,
    "score": Probability | None,
    "question": Name | None,
    **{f"{place}.{key}": kind for place in ("generation", "task.generation") for key, kind in GENERATION.items()},
    "format": Literal["coco", "yolo", "masks", "overlay", "onnx", "torch_export"] | None,  # each mode takes its own
    "settings": dict[str, Any],
    "method": Literal["grad_cam", "occlusion", "integrated_gradients", "shapley", "ablation"] | None,
    "target": Name | None,
    # a server
    "engine": Literal["torch", "onnx"],
    "port": Annotated[int, Field(ge=0, lt=2**16), "a whole number from 0 to 65535"],
    **dict.fromkeys(("allowed_hosts", "allowed_origins"), Annotated[list[str], Field(), "a list of names"]),
    "token_file": Path | None,
    "max_wait_ms": NonNegativeFloat,
    **dict.fromkeys(("max_batch", "limits.inputs", "limits.pixels"), PositiveInt),
    **dict.fromkeys(("limits.characters", "limits.requests"), PositiveInt),
    "end_seconds": PositiveFloat,
    **{f"limits.{key}": PositiveFloat for key in ("megabytes", "receive_seconds", "answer_seconds")},
    # data
    "data.root": Path | None,
    "data.file": Path | None,
    "data.batch_size": PositiveInt | Literal["auto"],
    "data.num_workers": NonNegativeInt | Literal["auto"],
    "data.check": Literal["off", "fast", "full"],
    "data.split_from": Path | None,
    "data.split_seed": Seed | None,
    "data.on_error": Literal["stop", "skip"],
    "data.image_size": PositiveInt | Literal["auto"] | list[PositiveInt] | None,
    "data.split": Annotated[list[Probability], Field(min_length=3, max_length=3), "three shares from 0 to 1"],
    "data.classes": str | list[str] | dict[str | int | float, NonNegativeInt | list[NonNegativeInt]] | None,
    "data.ignore": Literal["auto"] | NonNegativeInt | list[NonNegativeInt] | None,
    **dict.fromkeys(("data.split_column", "data.group_column", "data.start_column"), Name | None),
    "data.group_pattern": str | None,
    "data.target_columns": Annotated[list[Name], Field(min_length=1), "a list of columns"] | None,
    **dict.fromkeys(("data.series_column", "data.time_column", "data.token_column", "data.second_column"), Name | None),
    "data.stride": NonNegativeInt | None,
    "ftlab.data.sources.sequence.Sequences.stride": PositiveInt,
    "data.horizon": NonNegativeInt,
    **dict.fromkeys(("data.max_length", "data.max_tokens", "data.window"), PositiveInt | None),
    "data.whole": Literal["auto", False],
    "data.level": Literal["auto", "keep", "last"],
    "data.gaps": Literal["drop", "keep"],
    "data.order": Literal["random", "time"],
    "data.label_column": Name | None,
    "ftlab.data.sources.image_csv.ImageCsv.label_column": Name,
    **dict.fromkeys(("data.path_column", "data.caption_column"), Name),
    **dict.fromkeys(("data.question_column", "data.context_column", "data.answer_column"), Name),
    "data.questions": PositiveInt,
    **dict.fromkeys(("data.source_column", "data.language"), Name),
    "data.longest": PositiveInt | None,
    "ftlab.data.sources.messages.Messages.longest": PositiveInt,
    "data.pairs": PositiveInt | None,
    "ftlab.data.sources.messages.Messages.pairs": PositiveInt,
    "ftlab.data.sources.text_pairs.TextPairs.target_columns": Annotated[
        list[Name], Field(min_length=1), "a list of columns"
    ],
    **dict.fromkeys(("data.source_file", "data.target_file"), Path),
    **{f"ftlab.data.sources.text_pair_lines.TextPairLines.{split}": BOTH | None for split in ("val", "test")},
    "data.columns": Annotated[list[Name], Field(min_length=1), "a list of columns"] | None,
    "data.categorical_columns": Annotated[list[Name], Field(), "a list of columns"] | None,
    "data.drop": Annotated[list[Name], Field(), "a list of columns"] | None,
    "data.missing_labels": Annotated[list[Name], Field(), "a list of labels"] | None,
    **dict.fromkeys(("data.delimiter", "delimiter"), DELIMITER | None),
    **dict.fromkeys(("data.decimal", "decimal"), DECIMAL | None),
    "data.encoding": str | None,
    "encoding": str | None,
    "data.rare": PositiveInt,
    "data.dates": Literal["auto", "day_first", "month_first", "categories"],
    "data.index": Literal["auto", "keep"],
    "data.missing": Literal["error", "drop"],
    "data.crop_pct": Annotated[float, Field(gt=0, le=1), "a number above 0, at most 1"] | None,
    "data.train": Path | None,
    "ftlab.data.sources.squad.Squad.train": Path,
    "data.val": Path | None,
    "data.test": Path | None,
    "data.images": Path | None,
    "data.outside": Literal["cut", "drop", "error"],
    "data.first": Literal[0, 1],
    "data.resize": Literal["crop", "letterbox", "stretch"],
    "data.tile": PositiveInt | None,
    "data.tile_overlap": Annotated[float, Field(ge=0, le=0.9), "a number from 0 to 0.9"],
    **dict.fromkeys(("augment.rotation", "augment.shear"), NonNegativeFloat),
    **dict.fromkeys(("augment.shift", "augment.horizontal_flip", "augment.erasing", "augment.mosaic"), Probability),
    "augment.zoom": Fraction,
    "augment.randaugment": NonNegativeInt,
    **dict.fromkeys(("augment.mixup", "augment.cutmix"), NonNegativeFloat),
    # backbones, heads
    "backbone.weights": Path | None,
    "backbone.name": str,
    "backbone.until": str | None,
    "backbone.reinit": str | None,
    "backbone.stages": Literal["blocks", "layers"],
    "backbone.image_size": PositiveInt | Annotated[list[PositiveInt], Field(min_length=2, max_length=2)] | None,
    "backbone.width": PositiveInt,
    "backbone.depth": NonNegativeInt,
    **dict.fromkeys(("backbone.embedding", "backbone.members", "backbone.pieces", "backbone.heads"), PositiveInt),
    "backbone.dropout": Fraction | Literal["auto"],
    "ftlab.backbones.table.TableBackbone.dropout": Fraction,
    "ftlab.backbones.table_ensemble.TableEnsemble.dropout": Fraction,
    "backbone.norm": Literal["none", "layer"],
    "backbone.norms": Literal["auto", "frozen", "batch"],
    "backbone.drop_rate": Fraction | None,
    **dict.fromkeys(("backbone.config", "head.config"), dict[str, Any] | None),
    "backbone.tokenizer": str | None,
    "head.files": dict[str, str] | None,
    "head.max_tokens": PositiveInt | None,
    **dict.fromkeys(("head.vocabulary", "head.depth", "head.heads"), PositiveInt),
    "head.decoder": Literal["auto", "own", "small"],
    "ftlab.heads.decoder.Decoder.width": PositiveInt,
    "backbone.drop_path_rate": Fraction,
    "ftlab.heads.attention.Attention.width": PositiveInt | None,
    "head.own": Literal["masked_language", "sequence_classification"],
    "head.tied": bool | Literal["auto"],
    "head.hidden": list[PositiveInt],
    "head.width": PositiveInt | None,
    "ftlab.heads.dense.fcn.Fcn.width": PositiveInt | None,
    "head.dropout": Fraction | list[Fraction],
    "head.settings": dict[str, Any],
    "head.weight_decay": NonNegativeFloat | None,
    # tasks
    "task.score": Probability | Literal["auto"],
    **dict.fromkeys(("task.longest", "task.candidates"), PositiveInt),
    "task.generate": Literal["end", "each"],
    **{f"ftlab.tasks.writing.{task}.label_smoothing": Fraction for task in ("Translation", "Captioning")},
    "ftlab.tasks.classification.Classification.loss": Literal["cross_entropy", "focal"],
    "ftlab.tasks.multilabel.Multilabel.label_smoothing": Fraction,
    "ftlab.tasks.regression.Regression.loss": Literal[
        "mse", "mae", "huber", "smooth_l1", "log_cosh", "quantile", "gaussian_nll"
    ],
    "ftlab.tasks.segmentation.Segmentation.loss": str | list[str] | dict[str, PositiveFloat],
    "task.share": Share,
    "task.background": str | None,
    "task.delta": PositiveFloat,
    "task.interval": Share | None,
    "task.quantiles": Annotated[list[Share], Field(min_length=1), "a list of fractions between 0 and 1"],
    "task.label_smoothing": Fraction | Literal["auto"],
    "task.focal_gamma": NonNegativeFloat,
    "task.class_weights": Literal["none", "balanced"]
    | list[NonNegativeFloat]
    | dict[str | int | float, NonNegativeFloat],
    "task.pos_weight": Literal["none", "balanced"] | list[PositiveFloat],
    "task.threshold": Share,
    # strategies, rates, schedules
    "strategy.batchnorm": Literal["frozen", "train"],
    "strategy.average": bool | Literal["auto"],
    "strategy.groups": PositiveInt | Literal["auto"] | None,
    "strategy.head_share": Share | Literal["auto"],
    "strategy.each": PositiveInt | None,
    "strategy.head_rate": PositiveFloat | Literal["auto"],
    "strategy.patience": PositiveInt | None,
    "strategy.min_delta": NonNegativeFloat,
    "strategy.restore_best": bool | Literal["auto"],
    "strategy.last": NonNegativeInt,
    "strategy.head_init": Literal["auto", "random", "closed_form"],
    "strategy.C": PositiveFloat | None,
    "strategy.rate": PositiveFloat | Literal["auto"],
    "strategy.patterns": list[str],
    "strategy.file": Path | None,
    "strategy.inline": list[dict[str, Any]],
    "rates.patterns": dict[str, NonNegativeFloat],
    "rates.decay": Decay,
    "schedule.warmup": NonNegativeFloat,
    **dict.fromkeys(("schedule.every", "schedule.period"), PositiveFloat),
    "schedule.patience": PositiveInt,
    "schedule.min_delta": NonNegativeFloat,
    **dict.fromkeys(("schedule.gamma", "schedule.factor", "schedule.decay"), Decay),
    "schedule.rise": Share,
    "schedule.ratio": Annotated[float, Field(ge=1, allow_inf_nan=False), "a number of at least 1"],
    **dict.fromkeys(("schedule.floor", "schedule.start", "schedule.end"), Probability),
}
