"""What a set of texts is measured with: ftlab, and the usual words with weights under a linear model."""

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline

from tests.benchmarks.board.base import PLAINLY, Row, Set, ours, splits


def counted(board: Set, seed: int) -> float:
    """Words and pairs of words of the whole text, by TF-IDF; the penalty is chosen by cross-validation."""
    found = splits(board, seed)
    assert found.test is not None
    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
    model = make_pipeline(words, LogisticRegressionCV(Cs=(1, 10, 100), cv=3, max_iter=1000, **PLAINLY))
    train, test = ([part.inputs[place] for place in range(len(part))] for part in (found.train, found.test))
    model.fit(train, found.train.targets)
    return float(accuracy_score(found.test.targets, model.predict(test)))


ROWS: dict[str, Row] = {
    "default": ours(),
    "ours: full": ours("strategy=full"),
    "ours: closed_form": ours("strategy=closed_form"),
    "ours: ulmfit": ours("experiment=ulmfit"),
    "TF-IDF and logistic regression": counted,
}
