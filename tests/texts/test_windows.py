"""Long texts in windows: what the network sees of them, and that each text still has one row and one prediction."""

from pathlib import Path

import pytest
import torch

import ftlab
from ftlab.backbones import text_windows
from ftlab.backbones.pooling import pool
from ftlab.backbones.text import TextBackbone
from ftlab.batch import Batch
from ftlab.inputs.texts.preprocessing import TextPreprocessing
from ftlab.inputs.texts.windows import Windows, are_several, begins, ends
from tests.backbones.texts import BERT, tokenizer

transformers = pytest.importorskip("transformers")
ALPHABET = "a b c d e f g h i j k l m n o p q r s t u v w x y z"


def preprocessing(max_tokens: int = 16, stride: int | None = 4) -> TextPreprocessing:
    return TextPreprocessing(tokenizer(), 0, 64, max_tokens, stride)


def words_of(own: TextPreprocessing, tokens: torch.Tensor) -> str:
    return " ".join(own.encoder.id_to_token(token) for token in tokens.tolist())


def test_windows_share_as_many_tokens_as_the_stride_and_hold_the_whole_text():
    own = preprocessing()
    fields = own.transform()(ALPHABET)
    windows = Windows(fields["mask"][None])
    rows = windows.apart(fields["tokens"][None])
    assert [words_of(own, row[row > 0]) for row in rows] == [  # 14 words each, of which 4 are of the window before
        "<s> a b c d e f g h i j k l m n </s>",
        "<s> k l m n o p q r s t u v w x </s>",
        "<s> u v w x y z </s>",
    ]
    assert torch.equal(windows.together(rows)[0], fields["tokens"])
    assert fields["mask"].tolist().count(False) == 2  # one position between two windows
    assert own.positions([ALPHABET, "a b"]) == [len(fields["tokens"]), 4]


def test_each_window_of_a_pair_begins_with_the_first_text_which_is_cut_where_it_would_leave_no_room():
    own = preprocessing(max_tokens=18)
    fields = own.transform()(("x y", "a b c d e f g h i j k l m"))
    rows = Windows(fields["mask"][None]).apart(fields["tokens"][None])
    assert [words_of(own, row[row > 0]) for row in rows] == [
        "<s> x y </s> a b c d e f g h i j k l m </s>",
    ]
    pairs = [(ALPHABET, "a b c d e f g h i j k l m"), ("x", "y")]
    fields = own.transform()(pairs[0])
    rows = Windows(fields["mask"][None]).apart(fields["tokens"][None])
    assert [words_of(own, row[row > 0]) for row in rows] == [  # 18 // 3 words of the first, 9 of the second
        "<s> a b c d e f </s> a b c d e f g h i </s>",
        "<s> a b c d e f </s> f g h i j k l m </s>",
    ]
    assert own.remarks({"train": pairs}) == (
        "1 of 2 texts of train are longer than data.max_tokens=18 tokens; they are 2 windows",
        "1 of 2 texts of train are the first of a pair longer than 6 tokens; the rest of it is cut off",
    )


@pytest.mark.parametrize(("max_tokens", "stride"), [(16, 9), (15, 0)], ids=["overlap", "short"])
def test_windows_that_hardly_go_on_are_refused(max_tokens, stride):
    with pytest.raises(ftlab.UserError, match=rf"data.stride={stride}: windows of data.max_tokens={max_tokens} tokens"):
        preprocessing(stride=None).told({"max_tokens": max_tokens, "stride": stride})


def test_begins_ends_and_their_number_are_read_from_the_mask():
    mask = torch.tensor([[1, 1, 0, 1, 0], [1, 0, 0, 0, 0]], dtype=torch.bool)
    assert begins(mask).tolist() == [[True, False, False, True, False], [True, False, False, False, False]]
    assert ends(mask).tolist() == [[False, True, False, True, False], [True, False, False, False, False]]
    assert are_several(mask)
    assert not are_several(mask[1:])


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("net")
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model("bert", **BERT)
    transformers.AutoModel.from_config(config).save_pretrained(place)
    (place / "tokenizer.json").write_text(tokenizer())
    return place


def batch_of(own: TextPreprocessing, texts: list[str]) -> Batch:
    return Batch(None, torch.arange(len(texts)), own.stack([own.transform()(text) for text in texts]))


@pytest.mark.parametrize("at_once", [128, 2], ids=["together", "in turns"])
def test_the_network_sees_each_window_by_itself_whole_and_cut_at_every_border(net, at_once, monkeypatch):
    monkeypatch.setattr(text_windows, "AT_ONCE", at_once)
    backbone, own = TextBackbone(str(net)).eval(), preprocessing()
    batch = batch_of(own, [ALPHABET, "a b c", ALPHABET[:30]])
    with torch.no_grad():
        whole = backbone(batch)
        for row, one in enumerate([ALPHABET, "a b c", ALPHABET[:30]]):
            windows = [torch.tensor(found.ids) for found in next(own.encoded([one]))]
            mask, place = batch.inputs["mask"][row], 0
            for ids in windows:
                alone = backbone.model(input_ids=ids[None]).last_hidden_state[0]
                assert torch.allclose(whole.tokens[row, place : place + len(ids)], alone, atol=1e-5)
                place += len(ids) + 1
            assert int(mask.sum()) == sum(map(len, windows))
        for trains in ([], ["2"], ["1", "2"], ["0", "1", "2"]):
            names = {
                name for name, _ in backbone.model.named_parameters() if any(f"layer.{n}." in name for n in trains)
            }
            before, after = backbone.traced().cut(names)
            assert torch.allclose(after(*before(*backbone.inputs(batch))).tokens, whole.tokens, atol=1e-5)


@pytest.mark.parametrize(
    ("how", "places"), [("token", [0, 17]), ("last", [15, 28]), ("average", [*range(16), *range(17, 29)])]
)
def test_pooling_takes_every_window_of_a_text(net, how, places):
    backbone, own = TextBackbone(str(net)).eval(), preprocessing()
    with torch.no_grad():
        features = backbone(batch_of(own, [ALPHABET[:40]]))  # a to n, k to t, and two special tokens each
    assert torch.allclose(pool(features, how)[0], features.tokens[0][places].mean(0), atol=1e-6)


@pytest.fixture(scope="module")
def runs(net, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """Reports of runs on texts of 24 words that end in a or z, their class, which the first window of 16 tokens does
    not hold."""
    place, draw = tmp_path_factory.mktemp("runs"), torch.Generator().manual_seed(1)
    lines = ["text,label,split"]
    for number in range(96):
        rest = [chr(98 + int(one)) for one in torch.randint(0, 23, (24,), generator=draw)]
        rest[18:] = "az"[number % 2] * 6
        lines.append(f"{' '.join(rest)},{'yz'[number % 2]},{'train' if number < 72 else 'val'}")
    (place / "texts.csv").write_text("\n".join(lines) + "\n")
    own = [
        f"data.root={place}",
        "data.file=texts.csv",
        "data.split_column=split",
        f"backbone.name={net}",
        "data=text_csv",
    ]
    own += [
        "trainer.accelerator=cpu",
        "data.batch_size=16",
        "data.max_tokens=16",
        "strategy=partial",
        "strategy.last=1",
    ]
    own += ["trainer.max_epochs=6", "optimizer.lr=0.01", "backbone.drop_rate=0"]
    several = {
        "cut": ["cache=off"],
        "windows": ["cache=off", "data.stride=4"],
        "kept": ["cache=memory", "data.stride=4"],
    }
    return {
        name: ftlab.train(ftlab.compose([*own, *more]), run_dir=place / name) | {"bundle": place / name / "bundle"}
        for name, more in several.items()
    }


def test_what_stands_behind_the_first_window_is_learned_and_each_text_is_one_sample(runs):
    assert runs["windows"]["metrics"]["val"]["accuracy"] >= 0.9 > runs["cut"]["metrics"]["val"]["accuracy"]
    assert runs["windows"]["data"]["sizes"] == {"train": 72, "val": 24}
    said = " ".join(runs["windows"]["data"]["warnings"])
    assert "72 of 72 texts of train are longer than data.max_tokens=16 tokens; they are 144 windows" in said


def test_kept_values_of_windows_train_the_same(runs):
    assert [phase["cache"]["train"] for phase in runs["kept"]["phases"]] == ["memory"]
    losses = [[epoch["train"]["loss"] for epoch in runs[name]["history"]] for name in ("windows", "kept")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_bundle_predicts_by_windows_as_it_was_trained(runs):
    predictor = ftlab.load(runs["windows"]["bundle"])
    assert predictor.preprocessing.stride == 4
    texts = [f"{'b c d e ' * 5}{f'{letter} ' * 4}" for letter in "az"]
    assert [one["class"] for one in predictor.predict(texts)] == ["y", "z"]
