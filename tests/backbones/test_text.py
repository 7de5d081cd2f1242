"""Networks that read text: stages, features as transformers itself gives them, and cuts that give the same bits."""

import pytest
import torch

from ftlab.backbones.pooling import pool
from ftlab.backbones.text import TextBackbone
from ftlab.batch import Batch
from ftlab.cache.probe import probe
from ftlab.errors import UserError
from ftlab.freezing import freeze
from ftlab.heads.linear import Linear
from ftlab.model import Model
from ftlab.strategies.base import Phase
from tests.backbones.texts import BERT, FAMILIES, tokenizer

TEXTS = ["a b c d e f g", "x", ("q r", "s t u v")]
WITHOUT_CHECKPOINTS = {"mpnet", "m2m_100"}  # the second leaves whole blocks out by chance
WITHOUT_SDPA = {"mpnet", "deberta-v2"}
NOT_CUT = {"t5"}  # each block hands the first one's table of positions on


def made(family: str) -> tuple[TextBackbone, Batch]:
    torch.manual_seed(0)
    settings = {"model_type": family, **FAMILIES[family]}
    backbone = TextBackbone(family, pretrained=False, config=settings, tokenizer=tokenizer())
    own = backbone.preprocessing
    transform = own.transform()
    return backbone.eval(), Batch(None, torch.arange(3), own.stack([transform(text) for text in TEXTS]))


@pytest.mark.parametrize("family", FAMILIES)
def test_stages_are_the_embeddings_and_each_block_and_hold_every_parameter_once(family):
    backbone, _ = made(family)
    names = [stage.name for stage in backbone.stages]
    assert names[0] == "embeddings"
    assert [name.rpartition(".")[2] for name in names[1:]] == ["0", "1", "2"]
    held = [name for stage in backbone.stages for name in stage.parameters]
    assert sorted(held) == sorted(name for name, _ in backbone.named_parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_serves_the_features_and_padding_changes_nothing(family):
    backbone, batch = made(family)
    features = backbone(batch)
    pooled = pool(features, "auto", backbone.default_pool)
    assert pooled.shape == (3, backbone.num_features)
    pooled.square().sum().backward()
    idle = [name for name, parameter in backbone.named_parameters() if parameter.grad is None]
    assert [name for name in idle if "rel" not in name] == []
    with torch.no_grad():
        alone = backbone(Batch(None, torch.arange(1), {n: v[1:2, :3] for n, v in batch.inputs.items()}))
    torch.testing.assert_close(pool(alone, "auto", backbone.default_pool)[0], pooled[1].detach(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("frozen", [1, 2, 3, 4])
@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in NOT_CUT])
def test_behind_the_freeze_border_it_goes_on_with_the_same_bits_and_the_same_gradients(family, frozen):
    backbone, batch = made(family)
    trainable = {name for stage in backbone.stages[frozen:] for name in stage.parameters}
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(name in trainable)
    prefix, suffix = backbone.cut(trainable)
    values = prefix(*backbone.inputs(batch))
    assert prefix.names[:3] == ("tokens", "mask", "segments")
    again, whole = suffix(*values), backbone(batch)
    assert torch.equal(again.tokens, whole.tokens)
    if not trainable:
        return
    weights = torch.randn(whole.tokens.shape)
    found = []
    for features in (again, whole):
        backbone.zero_grad()
        (features.tokens * weights).sum().backward()
        found.append({name: p.grad for name, p in backbone.named_parameters() if name in trainable})
    assert all(torch.equal(found[0][n], found[1][n]) for n in trainable if found[1][n] is not None)


@pytest.mark.parametrize("frozen", [0, 1, 2, 3, 4])
def test_layers_below_are_those_of_the_library_and_the_same_behind_each_freeze_border(frozen):
    backbone, batch = made("bert")
    assert backbone.hand_layers() == 4  # of 3 blocks: before the first, behind the first and the second, and the last
    trainable = {name for stage in backbone.stages[frozen:] for name in stage.parameters}
    prefix, suffix = backbone.cut(trainable)
    values = prefix(*backbone.inputs(batch))
    own = {"input_ids": batch.inputs["tokens"], "attention_mask": batch.inputs["mask"].long()}
    states = backbone.model(**own, token_type_ids=batch.inputs["segments"], output_hidden_states=True).hidden_states
    for features in (suffix(*values), backbone(batch)):
        for found, expected in zip((*features.below, features.tokens), states, strict=True):
            assert torch.equal(found, expected)
    pooled = pool(features, "layers")
    length = int(batch.inputs["mask"][1].sum())  # of a text that is filled up
    torch.testing.assert_close(pooled[1].view(4, -1)[3], states[2][1, :length].mean(0))


def test_gradients_come_back_through_each_layer_that_is_pooled():
    backbone, batch = made("bert")
    backbone.hand_layers()
    trainable = {name for stage in backbone.stages[2:] for name in stage.parameters}
    prefix, suffix = backbone.cut(trainable)
    values = prefix(*backbone.inputs(batch))
    weights = torch.randn(3, 4 * backbone.num_features)
    found = []
    for features in (suffix(*values), backbone(batch)):
        backbone.zero_grad()
        (pool(features, "layers") * weights).sum().backward()
        found.append({name: p.grad for name, p in backbone.named_parameters() if name in trainable})
    assert all(torch.equal(found[0][name], found[1][name]) for name in trainable)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in NOT_CUT])
def test_in_training_too_what_is_frozen_gives_the_bits_of_evaluation(family):
    backbone, batch = made(family)
    with torch.no_grad():
        kept = backbone.cut(set(backbone.stages[-1].parameters))[0](*backbone.inputs(batch))
        model = Model(backbone, Linear(backbone.num_features, 2, backbone.default_pool))
        freeze(model, (model.addresses[-2], model.addresses[-1]), "train")
        prefix, suffix = backbone.cut(set(backbone.stages[-1].parameters))
        assert torch.equal(prefix(*backbone.inputs(batch))[-1], kept[-1])
        torch.manual_seed(1)
        whole = backbone(batch)
        torch.manual_seed(1)
        assert torch.equal(suffix(*kept).tokens, whole.tokens)


def test_what_drops_out_before_the_blocks_rests_with_the_embeddings_though_blocks_train_that_it_holds():
    backbone, batch = made("t5")
    model = Model(backbone, Linear(backbone.num_features, 2, backbone.default_pool))
    given = []
    backbone.model.get_submodule(backbone.path)[-1].register_forward_pre_hook(lambda _, args: given.append(args[0]))
    freeze(model, (model.addresses[-2], model.addresses[-1]), "train")
    with torch.no_grad():
        backbone(batch), backbone(batch)
        freeze(model, model.addresses, "train")
        backbone(batch)
    assert torch.equal(given[0], given[1])
    assert not torch.equal(given[0], given[2])


@pytest.mark.parametrize("family", FAMILIES)
def test_on_meta_it_is_the_same_network(family):
    backbone, _ = made(family)
    settings = {"model_type": family, **FAMILIES[family]}
    planned = TextBackbone(family, pretrained=False, config=settings, tokenizer=tokenizer(), meta=True)
    assert planned.stages == backbone.stages
    assert (planned.after, planned.more) == (backbone.after, backbone.more)
    assert planned.num_features == backbone.num_features
    fields = {name: torch.zeros(1, 3, dtype=torch.long, device="meta") for name in ("tokens", "mask", "segments")}
    assert planned(Batch(None, torch.arange(1), fields)).tokens.shape == (1, 3, backbone.num_features)


@pytest.mark.parametrize("family", ["deberta-v2", "bart"])
def test_a_saved_network_is_read_with_the_attention_that_it_has(family, tmp_path):
    transformers = pytest.importorskip("transformers")
    backbone, batch = made(family)
    whole = transformers.AutoModel.from_config(backbone.model.config)
    whole.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text(tokenizer())
    network = whole.eval().get_encoder() if family == "bart" else whole.eval()
    tokens, mask, _ = backbone.inputs(batch)
    with torch.no_grad():
        theirs = network(input_ids=tokens, attention_mask=mask.long())[0]
        assert torch.equal(TextBackbone(str(tmp_path)).eval()(batch).tokens, theirs)


@pytest.mark.parametrize(("family", "kept"), [("bert", True), ("convbert", False), ("fnet", False)])
def test_a_network_that_looks_at_what_fills_a_batch_is_not_kept(family, kept):
    torch.manual_seed(0)
    settings = {"model_type": family, **BERT, "initializer_range": 0.5}  # weights as large as trained ones
    settings |= {"embedding_size": 32} if family == "convbert" else {}
    backbone = TextBackbone(family, pretrained=False, config=settings, tokenizer=tokenizer())
    transform = backbone.preprocessing.transform()
    fields = backbone.preprocessing.stack([transform(text) for text in (*TEXTS, "a b c")])
    model = Model(backbone, Linear(backbone.num_features, 2, backbone.default_pool))
    phase = Phase("last", 1, model.addresses[-2:])
    found, _ = probe(model, [phase], Batch(None, torch.arange(4), fields), 0.0, "float32", one_size=False)
    assert (found.needs[0].why_not is None) == kept, found.needs[0].why_not
    if not kept:
        assert "on the other samples of a batch" in found.needs[0].why_not


def test_a_network_that_hands_more_than_hidden_states_from_block_to_block_is_not_cut_there():
    backbone, batch = made("t5")
    trainable = set(backbone.stages[-1].parameters)
    prefix, suffix = backbone.cut(trainable)
    with torch.no_grad():
        again = suffix(*prefix(*backbone.inputs(batch)))
    assert not torch.equal(again.tokens, backbone(batch).tokens)  # which the probe of a cache finds before a run


def test_the_packaged_network_gives_what_transformers_gives():
    transformers = pytest.importorskip("transformers")
    from ftlab.backbones.text import PACKAGED, found

    backbone = TextBackbone().eval()
    transform = backbone.preprocessing.transform()
    batch = Batch(None, torch.arange(3), backbone.preprocessing.stack([transform(text) for text in TEXTS]))
    plain = transformers.AutoModel.from_pretrained(found(PACKAGED)).eval()
    tokens, mask, segments = backbone.inputs(batch)
    with torch.no_grad():
        theirs = plain(input_ids=tokens, attention_mask=mask.long(), token_type_ids=segments)[0]
        assert torch.equal(backbone(batch).tokens, theirs)


def watched(backbone: TextBackbone, number: int) -> list[int]:
    """Grows each time that the first layer with weights in a block runs."""
    block = list(backbone.model.get_submodule(backbone.path).children())[number]
    layer, times = next(part for part in block.modules() if list(part.parameters(recurse=False))), []
    layer.register_forward_pre_hook(lambda *_: times.append(1))
    return times


@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in WITHOUT_CHECKPOINTS])
def test_checkpointing_runs_what_trains_again_and_gives_the_same_gradients(family):
    settings, found, ran = {"model_type": family, **FAMILIES[family]}, [], []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        backbone = TextBackbone(
            family, pretrained=False, config=settings, tokenizer=tokenizer(), checkpointing=checkpointing, drop_rate=0.0
        ).train()
        trains = {name for stage in backbone.stages[2:] for name in stage.parameters}
        for name, parameter in backbone.named_parameters():
            parameter.requires_grad_(name in trains)
        own, times = backbone.preprocessing, [watched(backbone, number) for number in (0, 1)]
        batch = Batch(None, torch.arange(2), own.stack([own.transform()(text) for text in ("a b c", "x y")]))
        backbone(batch).tokens.square().sum().backward()
        found.append({name: p.grad for name, p in backbone.named_parameters() if p.grad is not None})
        ran.append([len(one) for one in times])
    assert ran == [[1, 1], [1, 2]]
    assert found[0].keys() == found[1].keys() > set()
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_a_family_that_cannot_checkpoint_says_so():
    settings = {"model_type": "mpnet", **FAMILIES["mpnet"]}
    with pytest.raises(UserError, match=r"backbone.checkpointing=true: mpnet: .*does not support.* Set it to false"):
        TextBackbone("mpnet", pretrained=False, config=settings, tokenizer=tokenizer(), checkpointing=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_of_every_family_loads_with_its_weights_and_attends_by_sdpa_where_it_has_that(family, tmp_path):
    transformers = pytest.importorskip("transformers")
    made = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(family, **FAMILIES[family]))
    made.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text(tokenizer())
    backbone = TextBackbone(str(tmp_path))
    theirs = made.get_encoder().state_dict() if made.config.is_encoder_decoder else made.state_dict()
    mine = backbone.model.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert backbone.model.config._attn_implementation == ("eager" if family in WITHOUT_SDPA else "sdpa")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_without_numbers_has_the_same_stages_for_a_plan(family):
    settings = {"model_type": family, **FAMILIES[family]}
    plain, meta = (
        TextBackbone(family, pretrained=False, config=settings, tokenizer=tokenizer(), meta=bare)
        for bare in (False, True)
    )
    assert meta.stages == plain.stages
    assert next(meta.parameters()).is_meta
    fields = {name: field.to("meta") for name, field in made(family)[1].inputs.items()}
    assert meta(Batch(None, torch.arange(3), fields)).tokens.shape[::2] == (3, meta.num_features)
