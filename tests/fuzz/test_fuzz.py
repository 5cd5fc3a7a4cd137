"""A short, seeded sample of the campaign, and every input that failed once."""

from pathlib import Path

import pytest
from campaign import CORPUS, KINDS, attempt, campaign, read_corpus

SAMPLE = {"spec": 150, "cluster": 100, "text": 400, "file": 25, "command": 5}


@pytest.mark.parametrize("kind", KINDS)
def test_no_mutation_crashes_or_hangs(kind: str) -> None:
    found = campaign(kind, SAMPLE[kind], seed=12345)
    assert found == {"tried": SAMPLE[kind]}


@pytest.mark.parametrize("file", sorted(CORPUS.iterdir()), ids=lambda file: file.name)
def test_what_failed_once_does_not_fail_again(file: Path) -> None:
    assert attempt(*read_corpus(file)) is None
