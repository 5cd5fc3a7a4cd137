"""What the checks of model files share: each raises `ValueError` that says what is wrong with the file."""


def require(holds: bool, otherwise: str) -> None:
    """Raise `ValueError` with that text unless a condition holds."""
    if not holds:
        raise ValueError(otherwise)


def whole_number(text: str) -> int:
    """Return the number in a text of digits.

    >>> whole_number("12")
    12
    """
    require(text.isascii() and text.isdigit(), f"{text[:20]!r} is no number")
    return int(text)
