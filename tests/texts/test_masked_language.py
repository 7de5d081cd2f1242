"""Learning from texts without labels: what is hidden, what the loss is, and a run whose encoder serves the next one.

Shapes: b batch, t tokens.
"""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import ftlab
from ftlab.backbones.text import TextBackbone
from ftlab.batch import Batch
from ftlab.cli import main
from ftlab.config import instantiate
from ftlab.data.base import DataSpec, Samples
from ftlab.data.sampling import KeyedDataset
from ftlab.evaluation import evaluate
from ftlab.heads.words import Words
from ftlab.inputs.base import SEEN
from ftlab.inputs.texts.masking import masked
from ftlab.model import Model, given
from ftlab.targets.masked_tokens import MaskedTokens, column
from ftlab.tasks.masked_language import MaskedLanguage
from tests.backbones.texts import BERT, FAMILIES, tokenizer

transformers = pytest.importorskip("transformers")
KEYS = ("_target_", "root", "file", "split", "encoding")  # of data=text_lines, without those of loading
HEAD = {"own": "masked_language", "tied": "auto"}
MASK = 30  # its id in tests.backbones.texts.tokenizer(masks=True)
FILLING = ["bert", "distilbert", "roberta", "xlm-roberta", "electra", "mpnet", "modernbert", "deberta-v2"]


def network(family: str = "bert"):
    torch.manual_seed(0)
    settings = {"model_type": family, **FAMILIES[family]}
    backbone = TextBackbone(family, pretrained=False, config=settings, tokenizer=tokenizer(masks=True))
    head = Words(num_outputs=1, **given(backbone, HEAD, backbone.preprocessing, MaskedTokens()), **HEAD)
    return Model(backbone, head).eval(), backbone.preprocessing


def batches(own, texts, sizes, target=None, seed=0):
    target = target or MaskedTokens()
    data = KeyedDataset(Samples(texts, column(len(texts))), own.transform(), seed, target=target, varied=False)
    start = 0
    for size in sizes:
        items = [data[0, place] for place in range(start, start + size)]
        fields, targets, index, _ = zip(*items, strict=True)
        yield Batch(target.collated(targets), torch.tensor(index), own.stack(fields))
        start += size


TEXTS = ["a b c d e f g h i j k l", "x", "q r s t", "m n o p q r s t u v", "z y x w v u"]


def test_of_the_tokens_asked_for_four_fifths_are_hidden_a_tenth_is_replaced_and_a_tenth_stays():
    torch.manual_seed(0)
    tokens = torch.arange(1000, 21000)
    free = torch.ones(len(tokens), dtype=torch.bool)
    free[:100] = False
    put, targets = masked(tokens, free, 7, 30_000, 0.15)
    asked = targets != SEEN
    assert int(asked.sum()) == round(0.15 * 19_900)
    assert not asked[:100].any()
    assert torch.equal(targets[asked], tokens[asked])
    assert torch.equal(put[~asked], tokens[~asked])
    hidden, stayed = (put[asked] == 7).double().mean(), (put[asked] == tokens[asked]).double().mean()
    assert hidden == pytest.approx(0.8, abs=0.02)  # 2.7 standard errors of 2,985 draws
    assert stayed == pytest.approx(0.1, abs=0.015)


def test_a_text_of_one_word_hides_it_and_one_of_special_tokens_alone_hides_nothing():
    one, nothing = torch.tensor([False, True, False]), torch.zeros(3, dtype=torch.bool)
    assert (masked(torch.tensor([1, 5, 2]), one, 7, 100, 0.15)[1] != SEEN).tolist() == one.tolist()
    assert (masked(torch.tensor([1, 5, 2]), nothing, 7, 100, 0.15)[1] != SEEN).tolist() == nothing.tolist()


def test_masks_are_drawn_anew_in_each_epoch_by_seed_and_sample_and_stay_in_evaluation():
    _, own = network()

    def drawn(seed, epoch, varied=True):
        data = KeyedDataset(
            Samples(TEXTS, column(len(TEXTS))), own.transform(), seed, target=MaskedTokens(0.4), varied=varied
        )
        return [item[1].tolist() for item in data.__getitems__([(epoch, place) for place in range(len(TEXTS))])]

    assert drawn(0, 1) == drawn(0, 1)
    assert drawn(0, 1) != drawn(0, 2)
    assert drawn(0, 1) != drawn(1, 1)
    assert drawn(0, 1, varied=False) == drawn(1, 2, varied=False) == drawn(5, None) != drawn(0, 1)


@pytest.mark.parametrize("family", FILLING)
def test_the_loss_is_that_of_the_librarys_own_model_over_all_hidden_tokens(family):
    model, own = network(family)
    plain = transformers.AutoModelForMaskedLM.from_config(model.backbone.model.config).eval()
    state = {model.backbone.model: getattr(plain, plain.base_model_prefix), model.head.layers.whole: plain}
    for mine, theirs in state.items():
        missing = theirs.load_state_dict(mine.state_dict(), strict=False).missing_keys
        assert mine is model.head.layers.whole or missing == []
    (batch,) = batches(own, TEXTS, [5])
    fields = batch.inputs
    more = {"token_type_ids": fields["segments"]} if getattr(plain.config, "type_vocab_size", 0) > 1 else {}
    task = MaskedLanguage(DataSpec("texts", MaskedTokens(), {"train": 5}))
    with torch.no_grad():
        total, weight = task.loss(model(batch), batch)
        expected = plain(fields["tokens"], attention_mask=fields["mask"].long(), labels=batch.targets, **more).loss
    assert weight == (batch.targets != SEEN).sum()
    torch.testing.assert_close(total / weight, expected, atol=1e-5, rtol=1e-5)


def test_the_layer_over_the_vocabulary_is_the_table_of_what_goes_in_and_belongs_to_its_stage():
    model, _ = network()
    table = model.backbone.model.embeddings.word_embeddings.weight
    assert model.head.layers.whole.cls.predictions.decoder.weight is table
    assert model.tied["head/layers.whole.cls.predictions.decoder.weight"] == "backbone/embeddings"
    held = [name for stage in model.stages for name in stage.parameters]
    assert sorted(held) == sorted(name for name, _ in model.named_parameters())


def test_figures_are_of_all_tokens_of_a_split_whatever_its_batches_and_keep_nothing_of_the_vocabularys_size():
    model, own = network()
    task = MaskedLanguage(DataSpec("texts", MaskedTokens(), {"train": 5}))
    found = [evaluate(model, task, batches(own, TEXTS, sizes), 5, keep=3) for sizes in ([5], [1, 3, 1])]
    together, apart = (one.figures()[0] for one in found)
    assert together == pytest.approx(apart, rel=1e-5)
    assert together["perplexity"] == pytest.approx(torch.tensor(together["loss"]).exp().item(), rel=1e-5)
    kept = [tensor for one in found[0].worst for tensor in one["answer"]]
    assert len(found[0].worst) == 3
    assert max(tensor.numel() for tensor in kept) <= 20 * 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network as transformers saves it, and lines that say one letter again and again."""
    place = tmp_path_factory.mktemp("masks")
    torch.manual_seed(0)
    transformers.AutoModel.from_config(transformers.AutoConfig.for_model("bert", **BERT)).save_pretrained(place / "net")
    (place / "net" / "tokenizer.json").write_text(tokenizer(masks=True))
    lines = [" ".join(chr(97 + n % 8) * (4 + n % 7)) for n in range(400)]
    (place / "texts.csv").write_text("text\n" + "\n".join(lines) + "\n")
    (place / "labels.csv").write_text("text,label\n" + "".join(f"{t},{'ab'[n % 2]}\n" for n, t in enumerate(lines)))
    return place


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("run") / "lm"
    more = (
        "task=masked_language",
        "strategy=full",
        "trainer.max_epochs=8",
        "optimizer.lr=0.01",
        "backbone.drop_rate=0",
    )
    ftlab.train(ftlab.compose(words(folder, "texts.csv", *more)), run_dir=run)
    return run


def words(folder: Path, file: str, *more: str) -> list[str]:
    own = [f"data.root={folder}", f"data.file={file}", f"backbone.name={folder / 'net'}", "trainer.accelerator=cpu"]
    return ["data=text_csv", *own, *more]


def test_a_run_learns_to_fill_masks_from_a_column_of_texts_alone_and_its_bundle_fills_them(run, capsys):
    report = json.loads((run / "report.json").read_text())
    assert report["metrics"]["val"]["perplexity"] < 4 < report["history"][0]["val"]["perplexity"]
    assert report["metrics"]["test"]["accuracy"] > 0.6  # one of eight letters
    assert report["data"]["targets"] == []
    capsys.readouterr()
    assert main(["predict", f"bundle={run / 'bundle'}", "input=f f <mask> f f f", "top_k=3"]) == 0
    (mask,) = json.loads(capsys.readouterr().out)["masks"]
    assert mask["token"] == "f"
    assert len(mask["top"]) == 3
    assert mask["top"][0] == {"token": "f", "probability": mask["probability"]}


def test_its_bundle_gives_the_same_figures_again(run, capsys):
    told = json.loads((run / "report.json").read_text())["metrics"]["test"]
    found = ftlab.evaluate(ftlab.compose([f"bundle={run / 'bundle'}", "split=test"], mode="evaluate"))
    assert found["metrics"]["perplexity"] == pytest.approx(told["perplexity"], rel=1e-4)


def test_the_next_run_begins_with_its_encoder(folder, run, tmp_path):
    more = (f"backbone.weights={run}", "strategy=closed_form")
    ftlab.train(ftlab.compose(words(folder, "labels.csv", *more)), run_dir=tmp_path / "task")
    before, after = (load_file(place / "bundle" / "model.safetensors") for place in (run, tmp_path / "task"))
    encoder = [name for name in after if not name.startswith("ftlab_head.")]
    assert len(encoder) > 40
    assert all(torch.equal(before[name], after[name]) for name in encoder)
    loaded = TextBackbone(str(folder / "net"), weights=str(run)).loaded
    assert (loaded.dropped, loaded.new, loaded.head_of) == ((), (), " of masked_language, 1 outputs,")
    assert all(name.startswith("cls.") for name in loaded.head)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("data.text_column=txt",), "data.text_column=txt is no column"),
        (("head=linear",), "head=linear: gives numbers, and task=masked_language reads words; use one of head=words"),
        (("cache=memory", "strategy=head_only"), "other masked tokens are drawn in every epoch"),
        (("task.share=1.5",), "task.share=1.5"),
    ],
    ids=["column", "head", "cache", "share"],
)
def test_what_cannot_be_is_refused_in_one_message(folder, tmp_path, more, said):
    with pytest.raises(ftlab.UserError, match=said):
        ftlab.train(ftlab.compose(words(folder, "texts.csv", "task=masked_language", *more)), run_dir=tmp_path / "run")


def test_lines_of_a_file_are_texts_and_blank_ones_only_part_others(folder, tmp_path):
    lines = [f"{chr(97 + n % 20)} b c" for n in range(40)]
    (tmp_path / "texts.txt").write_text("\n\n".join(lines) + "\n  \n")
    words = [f"data.root={tmp_path}", "data.file=texts.txt", f"backbone.name={folder / 'net'}"]
    source = instantiate({k: v for k, v in ftlab.compose(["data=text_lines", *words]).data.items() if k in KEYS})
    found = source.read(0)
    inputs = [part.inputs[place] for part in found.parts().values() for place in range(len(part))]
    assert sorted(inputs) == sorted(lines)
    assert found.train.names[0].startswith("texts.txt, row ")
    assert {len(part.targets) for part in found.parts().values()} == {28, 6}
    with pytest.raises(ftlab.UserError, match="data=text_lines: its texts have no labels; accepted is task=masked_"):
        ftlab.train(ftlab.compose(["data=text_lines", *words]), run_dir=tmp_path / "run")
    (tmp_path / "texts.txt").write_text("\n \n")
    with pytest.raises(ftlab.UserError, match=r"texts.txt: the file has no line of text"):
        source.read(0)


def test_a_check_needs_no_weights_and_finds_nothing_wrong(folder, capsys):
    assert main(["check", *words(folder, "texts.csv", "task=masked_language")]) == 0
    told = capsys.readouterr().out
    assert "0 errors" in told
    assert "not known" not in told


def test_a_tokenizer_without_a_mask_token_is_refused(folder, tmp_path):
    (tmp_path / "net").mkdir()
    for file in (folder / "net").iterdir():
        (tmp_path / "net" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "net" / "tokenizer.json").write_text(tokenizer())
    more = ("task=masked_language", f"backbone.name={tmp_path / 'net'}")
    with pytest.raises(ftlab.UserError, match="has no mask token; it was not trained to fill masks"):
        ftlab.train(ftlab.compose(words(folder, "texts.csv", *more)), run_dir=tmp_path / "run")
