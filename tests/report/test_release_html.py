"""A release in a notebook: the verdict, each gate, the metrics with their intervals, and a link to the report."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ray_pipeline.report.release import release_html

ANSWER: dict[str, Any] = {
    "run": "loans-01234567-1",
    "status": "refused",
    "model": None,
    "version": None,
    "family": "xgboost",
    "metrics": {"auc": {"value": 0.81234, "low": 0.7, "high": 0.9}, "ece": {"value": 0.02, "low": None, "high": None}},
    "gates": [
        {"gate": "auc >= 0.65", "passed": True, "value": 0.81234, "low": 0.7, "high": 0.9},
        {"gate": "auc worst by <sex> >= 0.9", "passed": False, "value": 0.5, "low": 0.4, "high": 0.6, "why": "of <f>"},
    ],
    "trials": 5,
    "rows": {"train": 10, "test": 1234},
    "seconds": {"read": 1.0, "search": 64.0},
    "report": "s3://bucket/runs/loans-01234567-1/report.html",
}


def text_of(html: str) -> str:
    """The text of a piece of HTML."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


class Tags(HTMLParser):
    """Collects the tags that are open at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_it_shows_the_verdict_each_gate_and_each_metric() -> None:
    text = text_of(release_html(ANSWER))
    assert text.startswith("loans-01234567-1: refused 1 of 2 gates not passed Gates, judged on the bound")
    assert "auc &gt;= 0.65 ✔ passed 0.8123 [0.7000, 0.9000]" in text
    assert "✘ not passed 0.5000 [0.4000, 0.6000] of &lt;f&gt;" in text
    assert "Metrics on the 1,234 rows of the test part" in text
    assert "auc 0.8123 [0.7000, 0.9000] ece 0.0200 –" in text
    assert "xgboost, the best of 5 trials, 1 min 05 s." in text


def test_foreign_text_is_escaped_and_every_tag_is_closed() -> None:
    html = release_html(ANSWER | {"run": "<script>alert(1)</script>"})
    tags = Tags()
    tags.feed(html)
    assert tags.open == [] and "<script" not in html and "<f>" not in html and "<sex>" not in html


def test_a_registered_model_is_named() -> None:
    registered = ANSWER | {"status": "registered", "model": "models:/loans/3", "gates": ANSWER["gates"][:1]}
    assert "loans-01234567-1: registered as models:/loans/3; all gates passed" in text_of(release_html(registered))
    without_gates = text_of(release_html(ANSWER | {"status": "unregistered", "gates": []}))
    assert without_gates.startswith("loans-01234567-1: unregistered Metrics on the")


def test_the_report_is_linked_where_a_notebook_can_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    beside = release_html(ANSWER | {"report": str(tmp_path / "runs/a/report.html")})
    assert 'href="runs/a/report.html"' in beside and str(tmp_path) not in beside
    assert 'href="file:///elsewhere/a/report.html"' in release_html(ANSWER | {"report": "/elsewhere/a/report.html"})
    assert "href" not in release_html(ANSWER) and ANSWER["report"] in release_html(ANSWER)
