"""Numbers of bytes as people read them."""


def byte_size(num_bytes: float) -> str:
    """Return a number of bytes in one unit, in powers of ten.

    >>> byte_size(0), byte_size(2_500), byte_size(34_200_000), byte_size(999_999)
    ('0 B', '2.5 kB', '34.2 MB', '1 MB')
    """
    unit = "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if num_bytes < 999.5:
            break
        num_bytes, unit = num_bytes / 1000, larger
    return f"{num_bytes:.3g} {unit}"
