"""What the counts of one class say of it. Without torch: a page is drawn of counts that were read from a file."""


def quality(hits: int, predicted: int, support: int) -> tuple[float | None, float | None, float | None]:
    """(precision, recall, f1) of a class that was predicted `predicted` times and has `support` samples.

    None where nothing defines it, as in the means of ftlab.tasks.macro: recall without samples; precision and f1
    without samples and predictions. A class that has samples and is never predicted has precision 0.
    """
    precision = hits / predicted if predicted else 0.0 if support else None
    recall = hits / support if support else None
    return precision, recall, 2 * hits / (predicted + support) if predicted + support else None
