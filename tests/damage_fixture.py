"""Damage to a file at a random place: what a disk, a network or a person does to bytes."""

import random
from pathlib import Path

KINDS = ("flipped", "cut off", "zeroed", "longer", "empty", "swapped", "missing")


def damage(file: Path, other: Path, draw: random.Random) -> str:
    """Damages a file so that it has other bytes; returns the kind of damage and its place.

    Parameters
    ----------
    file
        The file, which is not empty.
    other
        A file with other content, which `swapped` exchanges it for.
    draw
        Draws kind and place.
    """
    kind, content = draw.choice(KINDS), file.read_bytes()
    place = draw.randrange(len(content))
    if kind == "swapped" and other.read_bytes() == content:
        kind = "empty"
    if kind == "missing":
        file.unlink()
    elif kind == "swapped":
        file.write_bytes(other.read_bytes())
        other.write_bytes(content)
    else:
        damaged = {
            "flipped": content[:place] + bytes([content[place] ^ 1 << draw.randrange(8)]) + content[place + 1 :],
            "cut off": content[:place],
            "zeroed": content[:place] + bytes(len(content) - place),
            "longer": content + draw.randbytes(1 + place % 50),
            "empty": b"",
        }[kind]
        file.write_bytes(damaged if damaged != content else content + b"\0")
    return f"{kind} at byte {place} of {len(content)}"
