"""Tiny networks of transformers, one of each family, and a tokenizer for them."""

from typing import Any

BERT = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48, "vocab_size": 100,
    "max_position_embeddings": 64,
}  # fmt: skip
ROBERTA = BERT | {"max_position_embeddings": 66, "pad_token_id": 1}
OWN_IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
LLAMA = BERT | OWN_IDS | {"num_key_value_heads": 2}
T5 = {"d_model": 32, "num_layers": 3, "num_heads": 4, "d_kv": 8, "d_ff": 48, "vocab_size": 100}
BART = {
    "d_model": 32, "encoder_layers": 3, "decoder_layers": 3, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "vocab_size": 100,
    "max_position_embeddings": 64, "decoder_start_token_id": 0, **OWN_IDS,
}  # fmt: skip
DEBERTA = BERT | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16}
MODERN = BERT | OWN_IDS | {"cls_token_id": 1, "sep_token_id": 2, "local_attention": 4}
FAMILIES: dict[str, dict[str, Any]] = {
    "bert": BERT,
    "distilbert": {"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48, "vocab_size": 100,
                   "max_position_embeddings": 64},
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
    "electra": BERT | {"embedding_size": 16},
    "mpnet": ROBERTA,
    "modernbert": MODERN,
    "deberta-v2": DEBERTA,
    "t5": T5,
    "bart": BART,
    "marian": BART,
    "gpt2": {"n_embd": 32, "n_layer": 3, "n_head": 4, "vocab_size": 100, "n_positions": 64, **OWN_IDS},
    "llama": LLAMA,
    "qwen2": LLAMA,
    "phi": BERT | OWN_IDS | {"embd_pdrop": 0.3},
    "opt": BERT | OWN_IDS | {"ffn_dim": 48, "word_embed_proj_dim": 16},
    "m2m_100": BART | {"encoder_layerdrop": 1.0},
}  # fmt: skip


def tokenizer(masks: bool = False) -> str:
    """Words of a to z and their pairs, and with `masks` a token that hides one; the whole of a tokenizer.json."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["<pad>", "<s>", "</s>", "<unk>", *"abcdefghijklmnopqrstuvwxyz"]
    made = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    if masks:
        made.add_special_tokens(["<mask>"])
    return str(made.to_str())
