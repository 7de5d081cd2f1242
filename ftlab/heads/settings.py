"""Checks that several heads share."""

from ftlab.errors import UserError


def check_dropout(probability: float) -> float:
    """Raises: UserError outside 0 <= probability < 1."""
    if not 0.0 <= probability < 1.0:
        raise UserError(f"head.dropout={probability}: a probability, at least 0 and below 1.")
    return probability
