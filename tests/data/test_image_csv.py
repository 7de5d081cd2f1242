import pytest

from ftlab.data.module import read
from ftlab.data.sources.image_csv import ImageCsv
from ftlab.errors import UserError
from tests.data.pictures import write_image

HEADER = "path,label,part\n"
SETTINGS = {
    "file": "labels.csv",
    "path_column": "path",
    "label_column": "label",
    "split_column": "part",
    "label_separator": ";",
    "multilabel": False,
    "split": (0.6, 0.2, 0.2),
}


def source(root, text: str, **changes) -> ImageCsv:
    (root / "labels.csv").write_text(text, encoding="utf-8")
    return ImageCsv(root=str(root), **(SETTINGS | changes))


@pytest.fixture
def root(tmp_path):
    for index in range(6):
        write_image(tmp_path / "images" / f"{index}.png", (index, 0, 0))
    return tmp_path


def test_a_split_column_decides_the_splits(root):
    rows = "images/0.png,dog,train\nimages/1.png,cat,train\nimages/2.png,dog,Valid\nimages/3.png,cat,test\n"
    splits, spec = read(source(root, "\ufeff" + HEADER + rows), seed=0)
    assert spec.target.classes == ("cat", "dog")
    assert splits.train.targets.tolist() == [1, 0]
    assert splits.val.targets.tolist() == [1]
    assert splits.test.targets.tolist() == [0]
    assert splits.val.inputs[0].getpixel((0, 0)) == (2, 0, 0)


def test_without_a_split_column_rows_are_split_by_seed(root):
    rows = "".join(f"images/{i}.png,{'cat' if i % 2 else 'dog'},\n" for i in range(6))
    _, spec = read(source(root, HEADER + rows, split_column=None), seed=0)
    assert spec.sizes == {"train": 2, "val": 2, "test": 2}
    assert spec.target.counts == (1, 1)


def test_several_labels_become_rows_of_zeros_and_ones(root):
    rows = "images/0.png,red; big,train\nimages/1.png,,train\nimages/2.png,red,val\n"
    splits, spec = read(source(root, HEADER + rows, multilabel=True), seed=0)
    assert spec.target.classes == ("big", "red")
    assert splits.train.targets.tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert splits.val.targets.tolist() == [[0.0, 1.0]]
    assert any("1 of 3 images have no label" in warning for warning in spec.warnings)


def test_several_labels_without_split_column_are_split_at_random_and_said_so(root):
    rows = "".join(f"images/{i}.png,{'red;big' if i % 2 else 'red'},\n" for i in range(6))
    _, spec = read(source(root, HEADER + rows, split_column=None, multilabel=True), seed=0)
    assert sum(spec.sizes.values()) == 6
    assert min(spec.sizes.values()) >= 1
    assert any("at random" in warning for warning in spec.warnings)


def test_images_listed_twice_are_counted(root):
    rows = "images/0.png,a,train\nimages/0.png,b,train\nimages/1.png,b,val\n"
    _, spec = read(source(root, HEADER + rows), seed=0)
    assert any("1 image is listed more than once" in warning for warning in spec.warnings)


GOOD = "images/0.png,cat,train\nimages/1.png,dog,train\n"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("images/9.png,cat,train", r"labels.csv, row 4, column path: .*9.png is not there \(1 of 3"),
        ("images/2.png, ,train", r"labels.csv, row 4, column label: the label is missing"),
        (",cat,train", r"labels.csv, row 4, column path: the path is blank"),
        ("images/2.png,dgo,val", r"row 4, column label: label 'dgo' of split val.*did you mean 'dog'"),
        ("images/2.png,cat,vall", r"row 4, column part: split 'vall' is unknown.*did you mean 'val'"),
        ("images/2.png", r"row 4: the row has 1 cells, and there are 3 columns"),
    ],
)
def test_a_bad_row_is_an_error_with_file_row_and_column(root, row, message):
    with pytest.raises(UserError, match=message):
        source(root, HEADER + GOOD + row + "\n").read(0)


def test_an_unknown_column_is_an_error_with_the_nearest(root):
    with pytest.raises(UserError, match=r"data.label_column=labels is no column.*did you mean 'label'"):
        source(root, HEADER + GOOD, label_column="labels").read(0)


def test_a_missing_or_unreadable_file_is_an_error(root):
    with pytest.raises(UserError, match=r"data.file=label.csv.*did you mean 'labels.csv'"):
        source(root, HEADER + GOOD, file="label.csv").read(0)
    (root / "zeros.csv").write_bytes(b"path,label,part\nimages/0.png,\0,train\n")
    with pytest.raises(UserError, match=r"zeros.csv: not a text file, it holds zero bytes"):
        source(root, HEADER + GOOD, file="zeros.csv").read(0)
    with pytest.raises(UserError, match="no row is of the train split"):
        source(root, HEADER).read(0)


@pytest.mark.parametrize("name", ["labels.tsv", "elsewhere/labels.csv"])
def test_a_missing_file_with_no_other_of_its_kind_beside_it_is_told_as_that(root, name):
    with pytest.raises(UserError) as caught:
        source(root, HEADER + GOOD, file=name).read(0)
    kind = name[-4:]
    assert str(caught.value) == f"data.file={name} is not a file in {root}; there is no {kind} file at all."


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "has no rows"), ("\n", "has no rows"), (",\nplain/r0.png,r\n", "first row is empty; that row names the col")],
)
def test_a_file_without_rows_or_a_first_one_is_told_as_that(root, text, told):
    with pytest.raises(UserError, match=f"labels.csv: the (file )?{told}"):
        source(root, text).read(0)


def test_the_file_may_be_relative_to_the_working_folder_and_the_roots_own_comes_first(root, monkeypatch):
    rows = "images/0.png,dog,train\nimages/1.png,cat,train\nimages/2.png,dog,val\n"
    monkeypatch.chdir(root)
    found = source(root / "images", "x")  # writes images/labels.csv, which has no such columns
    with pytest.raises(UserError, match=r"data\.path_column=path is no column"):
        found.read(0)
    (root / "images" / "labels.csv").unlink()
    (root / "labels.csv").write_text(HEADER + rows.replace("images/", ""))
    again = ImageCsv(**{**SETTINGS, "root": "images"})
    assert [len(part) for part in again.read(0).parts().values()] == [2, 1]
