"""How the terminal shows a measured number."""


def decimal_text(value: float | None) -> str:
    """Return the number with four decimals; a small one with four digits, since it never reads as 0.

    Examples
    --------
    >>> decimal_text(0.69161), decimal_text(-1234.5), decimal_text(0.0), decimal_text(2.18e-9), decimal_text(None)
    ('0.6916', '-1234.5000', '0.0000', '2.18e-09', '   -  ')
    """
    if value is None:
        return "   -  "
    return f"{value:.4g}" if 0 < abs(value) < 0.001 else f"{value:.4f}"
