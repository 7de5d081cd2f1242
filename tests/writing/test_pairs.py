"""Files of pairs of texts: what they may be, and what is wrong with them is counted or refused."""

import gettext
import json
import struct

import pytest

from ftlab.data.sources.gettext import Gettext
from ftlab.data.sources.messages import Messages
from ftlab.data.sources.pairs import Pair, bare, dealt, lacking
from ftlab.data.sources.questions import Sharing
from ftlab.data.sources.text_pair_lines import TextPairLines
from ftlab.data.sources.text_pairs import TextPairs
from ftlab.errors import UserError
from ftlab.files.gettext_file import messages

SETTINGS = {"source_column": "source", "target_columns": ["target"], "split_column": None, "group_column": None,
            "split": [1.0, 0.0, 0.0], "delimiter": None, "encoding": None}  # fmt: skip
PAIRS = [("one", "uno"), ("two", "dos"), ("three", "tres")]


def surveyed(folder, file, **settings):
    return TextPairs(root=str(folder), file=file, **{**SETTINGS, **settings}).survey(0)


def test_pairs_are_read_of_csv_tsv_and_json_lines(tmp_path):
    (tmp_path / "a.csv").write_text("source,target\n" + "".join(f"{a},{b}\n" for a, b in PAIRS))
    (tmp_path / "a.tsv").write_text("source\ttarget\n" + "".join(f"{a}\t{b}\n" for a, b in PAIRS))
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"source": a, "target": b}) + "\n" for a, b in PAIRS))
    for file in ("a.csv", "a.tsv", "a.jsonl"):
        train = surveyed(tmp_path, file).train
        assert [*train.inputs] == [a for a, _ in PAIRS]
        assert [*train.targets] == [(b,) for _, b in PAIRS]


def test_several_columns_are_several_right_texts_of_which_a_row_needs_one(tmp_path):
    (tmp_path / "a.csv").write_text("source,target,other\none,uno,un\ntwo,,dos\nthree,,\n")
    found = surveyed(tmp_path, "a.csv", target_columns=["target", "other"])
    assert [*found.train.targets] == [("uno", "un"), ("dos",)]
    assert [fault.kind for fault in found.faults] == ["texts to write are empty"]


def told(pairs):
    found = dealt([Pair(f"row {n}", a, (b,)) for n, (a, b) in enumerate(pairs)], Sharing((1.0, 0.0, 0.0)), 0)
    return [problem.text for problem in found.problems], [fault.kind for fault in found.faults]


def test_what_is_wrong_with_pairs_is_counted():
    long = [("these are five long words", "son cinco palabras bien largas")] * 5
    said, faults = told([*long, *PAIRS, ("", "x"), ("x", " "), ("half \ud800", "y"), ("same", "same"),
                         ("lost %s and {name}", "perdido {name}"),
                         ("a long text of very many words that goes on and on, and goes on further still, to the end "
                          "of the day and the night", "un texto bien corto.")])  # fmt: skip
    assert faults == ["texts are empty", "texts to write are empty", "texts hold halves of characters"]
    assert any("two equal ones" in text for text in said)
    assert any("placeholder" in text and "(%s)" in text for text in said)
    assert any("unlike lengths" in text for text in said)
    assert any("more than once" in text for text in said)
    assert lacking(Pair("", "100% of %d in {} and %1$s", ("de %d",))) == ["{}", "%1$s"]


def test_texts_that_differ_in_case_and_signs_alone_are_in_one_split():
    pairs = [Pair(f"{n}/{form}", text, ("x",)) for n in range(30)
             for form, text in enumerate((f"Open file {n}", f"open 'file' {n}..."))]  # fmt: skip
    whole = dealt(pairs, Sharing((0.5, 0.25, 0.25)), 0)
    homes = {}
    for split, samples in whole.parts().items():
        for name in samples.names:
            assert homes.setdefault(name.split("/")[0], split) == split
    assert {*homes.values()} == {"train", "val", "test"}
    assert bare("...") == "..."


def test_lines_of_two_files_belong_together(tmp_path):
    (tmp_path / "a.en").write_bytes("one\r\ntwo\u2028still\rtwo\n".encode())
    (tmp_path / "a.es").write_text("uno\ndos\n")
    (tmp_path / "b.es").write_text("uno\n")
    rest = {"val": None, "test": None, "split": [1.0, 0.0, 0.0], "encoding": None}
    found = TextPairLines(str(tmp_path), "a.en", "a.es", **rest).survey(0)
    assert [*found.train.targets] == [("uno",), ("dos",)]
    assert [*found.train.inputs] == ["one", "two\u2028still\rtwo"]
    assert found.train.names[1] == "a.en, line 2"
    both = TextPairLines(str(tmp_path), "a.en", "a.es", **{**rest, "val": ["a.en", "a.es"]}).survey(0)
    assert len(both.train) == len(both.val) == 2
    with pytest.raises(UserError, match=r"has 2 lines and .* 1; accepted are files in which line n"):
        TextPairLines(str(tmp_path), "a.en", "b.es", **rest).survey(0)
    with pytest.raises(UserError, match=r"c.en cannot be read"):
        TextPairLines(str(tmp_path), "c.en", "b.es", **rest).survey(0)


PO = r"""
msgid ""
msgstr "Content-Type: text/plain; charset=UTF-8\n"

#: a.c:1
msgid "Open %s"
msgstr "Abrir %s"

#, fuzzy
msgid "Close"
msgstr "Cerrar?"

msgctxt "menu"
msgid ""
"Two "
"parts"
msgstr ""
"Dos "
"partes"

msgid "one file"
msgid_plural "%d files"
msgstr[0] "un archivo"
msgstr[1] "%d archivos"

msgid "Not yet"
msgstr ""

#~| msgid "Older"
#~| "still"
#~ msgid "Old"
#~ msgstr "Viejo"
"""
WANTED = {"Open %s": ("Abrir %s",), "Two parts": ("Dos partes",), "one file": ("un archivo",),
          "%d files": ("%d archivos",)}  # fmt: skip


def test_messages_of_gettext_are_pairs_and_what_nobody_has_translated_is_counted(tmp_path):
    (tmp_path / "a.po").write_text(PO)
    found = Gettext(str(tmp_path), None, None, None, [1.0, 0.0, 0.0]).survey(0)
    assert dict(zip(found.train.inputs, found.train.targets, strict=True)) == WANTED
    said = [problem.text for problem in found.problems]
    assert any("lack" in text and text.startswith("2") for text in said)  # one empty, one old
    assert any("fuzzy" in text for text in said)


def test_a_message_that_is_there_twice_is_one_with_two_translations(tmp_path):
    (tmp_path / "a.po").write_text('msgid "Open"\nmsgstr "Abrir"\n')
    (tmp_path / "b.po").write_text('msgid "Open"\nmsgstr "Abre"\n\nmsgid "X"\nmsgstr "Y"\n')
    found = Gettext(str(tmp_path), None, None, None, [1.0, 0.0, 0.0]).survey(0)
    assert [*found.train.targets] == [("Abrir", "Abre"), ("Y",)]


def test_messages_are_read_in_the_letters_that_their_head_names(tmp_path):
    text = PO.replace("UTF-8", "ISO-8859-1").replace("Abrir", "Abrir\u00e9")
    (tmp_path / "a.po").write_text(text, encoding="latin-1")
    found = {one.text: one.translations[0] for one in messages(tmp_path / "a.po")}
    assert found["Open %s"] == "Abrir\u00e9 %s"


def mo(several):
    """The bytes of a .mo: two tables of lengths and places, then texts that end in 0."""
    ids, texts = b"", b""
    table, start = [], 28 + 16 * len(several)
    for key, _ in several:
        table.append((len(key.encode()), start + len(ids)))
        ids += key.encode() + b"\0"
    second = []
    for _, text in several:
        second.append((len(text.encode()), start + len(ids) + len(texts)))
        texts += text.encode() + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(several), 28, 28 + 8 * len(several), 0, 0)
    return head + b"".join(struct.pack("<2I", *one) for one in (*table, *second)) + ids + texts


def test_machine_readable_messages_are_read_as_well(tmp_path):
    head = ("", "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=(n != 1);\n")
    several = [head, ("Open", "Abrir"), ("menu\x04Save", "Guardar"), ("one\0many", "uno\0muchos")]
    folder = tmp_path / "es" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "a.mo").write_bytes(mo(several))
    with (folder / "a.mo").open("rb") as file:
        assert gettext.GNUTranslations(file).gettext("Open") == "Abrir"  # the file is one
    assert {one.text: one.translations[0] for one in messages(folder / "a.mo")} == {
        "Open": "Abrir", "Save": "Guardar", "one": "uno"
    }  # fmt: skip
    found = Messages(str(tmp_path), "es", 60, 100, [1.0, 0.0, 0.0]).survey(0)
    assert sorted(found.train.inputs) == ["Open", "Save", "one"]
    with pytest.raises(UserError, match=r"data.language=ez: no messages of programs in .*; accepted: es"):
        Messages(str(tmp_path), "ez", 60, 100, [1.0, 0.0, 0.0]).survey(0)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.po", 'msgid "x\nmsgstr "y"\n', "a.po: cannot be read as gettext's .po"),
        ("a.mo", "", "a.mo: cannot be read as gettext's .mo"),
        ("a.po", 'msgid ""\nmsgstr "charset=None-1"\n', "a.po: cannot be read as gettext's .po"),
        ("a.mo", "nothing", "a.mo: cannot be read as gettext's .mo"),
        ("a.po", 'msgid "x"\nmsgstr ""\n', "no message there has a translation"),
        ("a.txt", "x", "no file ends in .po or .mo"),
    ],
)
def test_files_that_are_no_messages_are_refused(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=said):
        Gettext(str(tmp_path), None, None, None, [1.0, 0.0, 0.0]).survey(0)


def test_a_table_without_the_columns_or_without_train_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("source,target,split\none,uno,val\n")
    with pytest.raises(UserError, match=r"group_column=doc is no column"):
        surveyed(tmp_path, "a.csv", group_column="doc")
    with pytest.raises(UserError, match=r"no pair of texts is of the train split"):
        surveyed(tmp_path, "a.csv", split_column="split")
