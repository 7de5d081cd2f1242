"""The tokens that a decoder writes: made of texts, or those of a network's own tokenizer.

In the format of the library tokenizers.
"""

from collections.abc import Sequence
from typing import Any

from ftlab.errors import UserError

PADDING, END, BEGIN = "<pad>", "</s>", "<s>"  # with the numbers 0, 1 and 2


class Vocabulary:
    """Texts to numbers of tokens and back, each text with an end."""

    def __init__(self, tokenizer: str, end: int, verbatim: bool = False) -> None:
        """tokenizer: the whole of a tokenizer.json; end: the number of the token behind a text. verbatim: `</s>` and
        the like within a text, as HTML has it, are letters, and no end of it."""
        from tokenizers import Tokenizer

        self.tokenizer, self.end = tokenizer, end
        self.made: Any = Tokenizer.from_str(tokenizer)
        self.made.no_padding()
        self.made.no_truncation()
        self.made.encode_special_tokens = verbatim

    def __len__(self) -> int:
        return int(self.made.get_vocab_size())

    def numbers(self, texts: Sequence[str], longest: int) -> list[list[int]]:
        """Of each text at most `longest`, the end among them; what is cut off has its end all the same."""
        return [[*ids[: longest - 1], self.end] for ids in self._whole(texts)]

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, its end among them."""
        return [len(ids) + 1 for ids in self._whole(texts)]

    def _whole(self, texts: Sequence[str]) -> list[list[int]]:
        """Without the end, which a network's own tokenizer adds, or not."""
        found = [one.ids for one in self.made.encode_batch(list(texts))]
        return [ids[:-1] if ids[-1:] == [self.end] else ids for ids in found]

    def text(self, numbers: Sequence[int]) -> str:
        return str(self.made.decode(list(numbers), skip_special_tokens=True)).strip()


def made_of(texts: Sequence[str], size: int) -> str:
    """A tokenizer.json of at most `size` tokens: pieces of words that come often in `texts`, and every byte, so that no
    text is without tokens and each comes back as it was.

    Source: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units", over bytes.
    Raises: UserError for a size that does not hold the bytes.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = [PADDING, END, BEGIN]
    if size < len(alphabet) + len(special):
        raise UserError(f"head.vocabulary={size}: accepted is {len(alphabet) + len(special)} (each byte) or more")
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=special, initial_alphabet=alphabet, min_frequency=2, show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    return str(made.to_str())
