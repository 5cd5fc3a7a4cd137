"""The first screen in plain sentences, folded lists, and what screen readers and printers need of the page."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_fixture import build_run

from ray_pipeline.report.hyperparameters import MIN_TRIALS, importances
from ray_pipeline.report.run_files import RunFiles
from ray_pipeline.report.sections import overview
from ray_pipeline.report.sections.verdict import context as verdict
from ray_pipeline.report.write import render


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_run(tmp_path_factory.mktemp("overview") / "run", rows=2_000)


def change(folder: Path, file: str, **changes: Any) -> None:
    path = folder / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def said(folder: Path) -> dict[str, str]:
    """The sentences by their titles, and what to watch in one text."""
    shown = overview.context(RunFiles.read(folder))
    return {one.title: one.text for one in shown["sentences"]} | {"watch": "; ".join(w.text for w in shown["watched"])}


def test_the_first_screen_says_what_is_predicted_and_how_good_it_is(run: Path) -> None:
    text, row = said(run), RunFiles.read(run).overall["auc"]
    assert text["What is predicted"] == (
        "The chance that arr_delay > 15, as of sched_dep_ts. It has learned from 210,442 rows and is judged on 53,871"
        " others."
    )
    assert text["On new rows"] == (
        f"auc is {row['value']:.4f}, between {row['low']:.4f} and {row['high']:.4f} with 95% confidence (the chance"
        " that a random positive scores above a random negative, ties counting one half; higher is better)."
    )
    assert text["Against simple models"].startswith("Better than simple models: auc is 0.")
    assert text["Against simple models"].endswith("on the validation rows, against 0.5125 for a constant model.")


@pytest.mark.parametrize(
    ("share", "lead"),
    [(1.5, "Better than simple models"), (0.5, "Hardly better than a simple model"), (-0.1, "No better than a simple")],
)
def test_a_gain_within_the_interval_on_test_is_no_success(share: float, lead: str, tmp_path: Path) -> None:
    folder = build_run(tmp_path / "run", rows=2_000)
    files = RunFiles.read(folder)
    best = max(trial["metric"] for trial in files.trials if trial["status"] == "completed")
    noise = (files.overall["auc"]["high"] - files.overall["auc"]["low"]) / 2
    rows = [{"name": "linear", "metric": "auc", "value": best - share * noise, "about": "linear"}]
    (folder / "baselines.json").write_text(json.dumps(rows))
    text = said(folder)
    assert text["Against simple models"].startswith(lead)
    assert ("Not surely better than a linear model" in text["watch"]) is (share < 1)


@pytest.mark.parametrize(("task", "words"), [("regression", "The number "), ("multiclass", "The class of ")])
def test_every_task_has_its_words(task: str, words: str, tmp_path: Path) -> None:
    assert said(build_run(tmp_path / "run", task, rows=3_000))["What is predicted"].startswith(words)


@pytest.mark.parametrize(
    ("gate", "low", "high", "words"),
    [
        (
            "auc >= champion - 0.005",
            0.001,
            0.005,
            "Better than the champion, version 2: on the same rows auc differs by",
        ),
        ("auc >= champion - 0.005", -0.001, 0.005, "As good as the champion, version 2: on the same rows auc differs"),
        ("auc >= champion", -0.005, -0.001, "Worse than the champion, version 2: on the same rows auc differs by"),
        (
            "log_loss <= champion + 0.1",
            -0.005,
            -0.001,
            "Better than the champion, version 2: on the same rows log_loss",
        ),
        ("auc >= champion * 0.9", 0.1, 0.2, "See the gates."),
    ],
)
def test_the_champion_is_compared_on_the_interval_of_the_difference(
    gate: str, low: float, high: float, words: str, tmp_path: Path
) -> None:
    folder = build_run(tmp_path / "run", rows=1_000)
    row = {"gate": gate, "passed": True, "value": (low + high) / 2, "low": low, "high": high, "champion": 0.66}
    change(folder, "scorecard.json", gates=[row])
    assert said(folder)["Against the champion"].startswith(words)
    lines = verdict(RunFiles.read(folder))["compared"]
    assert [(line["theirs"], line["ours"]) for line in lines] == (
        [] if "*" in gate else [("0.6600", f"{0.66 + (low + high) / 2:.4f}")]
    )


def test_without_a_champion_the_first_screen_says_so(tmp_path: Path) -> None:
    folder = build_run(tmp_path / "run", rows=1_000)
    row = {"gate": "auc >= champion - 0.005", "passed": True, "value": 0.7, "low": 0.6, "high": 0.8, "champion": None}
    change(folder, "scorecard.json", gates=[row])
    assert said(folder)["Against the champion"] == "There is no champion to compare with yet."
    change(folder, "scorecard.json", gates=[])
    assert said(folder)["Against the champion"] == "Not compared: no gate names the champion."


def test_what_to_watch_begins_with_gates_and_is_short(tmp_path: Path) -> None:
    folder = build_run(tmp_path / "run", rows=1_000, passed=False)
    shown = overview.context(RunFiles.read(folder))
    assert shown["watched"][0].text.startswith("Gate not passed: auc >= ") and shown["watched"][0].section == "verdict"
    assert len(shown["watched"]) <= overview.MAX_WATCHED
    assert {section for _, section in shown["watched"]} <= {"verdict", "findings", "bias", "read", "slices"}
    checks = [{"check": "leakage", "severity": "high", "found": f"column {n}"} for n in range(9)]
    (folder / "checks.json").write_text(json.dumps(checks))
    assert "leakage: column 0, and 8 more" in said(folder)["watch"]


def test_drift_and_findings_show_five_and_fold_the_rest(tmp_path: Path) -> None:
    folder = build_run(tmp_path / "run", rows=1_000)
    checks = [{"check": f"check{n}", "severity": "low", "found": "x", "fix": "", "rows": 1} for n in range(12)]
    (folder / "checks.json").write_text(json.dumps(checks))
    page = render(RunFiles.read(folder))
    for section, row, more in (
        ("findings", "<li>", "7 more findings"),
        ("read", '<tr><th scope="row">', "15 more columns"),
    ):
        text = page.split(f'<section id="{section}">')[1].split("</section>")[0]
        text = text.split("<h3>Drift</h3>")[-1]
        shown, folded = text.split("<details>", 1)
        assert shown.count(row) == 5 and f"<summary>{more}</summary>" in folded
        assert folded.count(row) == int(more.split()[0])


def test_the_hyperparameter_that_decides_has_the_largest_share() -> None:
    random = np.random.default_rng(0)
    params = [
        {
            "learning_rate": float(np.exp(random.uniform(-5, -1))),
            "max_depth": int(random.integers(2, 9)),
            "booster": str(random.choice(["gbtree", "dart"])),
            "seed": 7,
        }
        for _ in range(40)
    ]
    metric = [0.7 - 0.02 * abs(np.log(one["learning_rate"]) + 3) + 0.001 * one["max_depth"] for one in params]
    shares = importances(params, metric)
    assert next(iter(shares)) == "learning_rate" and set(shares) == {"learning_rate", "max_depth", "booster"}
    assert shares["learning_rate"] > 0.7 > 0.2 > shares["booster"] and sum(shares.values()) <= 1.05
    assert importances(params, metric) == shares, "the same trials give the same shares"
    by_word = importances(params, [0.5 + 0.1 * (one["booster"] == "dart") for one in params])
    assert by_word["booster"] > 0.9
    assert importances(params[: MIN_TRIALS - 1], metric[: MIN_TRIALS - 1]) == {}
    assert importances(params, [0.5] * 40) == importances([{"seed": 7}] * 40, metric) == {}


# --- What screen readers need


@pytest.mark.parametrize("task", ["binary", "regression", "multiclass"])
def test_a_screen_reader_finds_a_language_landmarks_names_and_no_empty_head(task: str, tmp_path: Path) -> None:
    page = render(RunFiles.read(build_run(tmp_path / "run", task, rows=3_000)))
    assert '<html lang="en">' in page and page.count("<main>") == page.count("<h1>") == 1
    levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels)), "no level is skipped"
    heads = re.findall(r"<th\b[^>]*>(.*?)</th>", page, re.DOTALL)
    assert heads and all(re.sub(r"<[^>]+>", "", head).strip() for head in heads)
    assert all("scope=" in head for head in re.findall(r"<th\b[^>]*>", page))
    for drawn in re.findall(r"<svg\b[^>]*>", page):
        assert 'role="img" aria-label="' in drawn or 'aria-hidden="true"' in drawn, drawn
    assert page.count('<div class="scroll"') == page.count('<div class="scroll" tabindex="0">')
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize("name", ["ink", "soft", "accent", "good", "bad", "warn"])
def test_every_colour_of_text_stands_out_from_both_backgrounds(name: str, scheme: int, run: Path) -> None:
    page = render(RunFiles.read(run))
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})\b", page.split(":root {")[1 + scheme].split("}")[0]))
    for paper in ("paper", "raised"):
        light, dark = sorted((luminance(colours[name]), luminance(colours[paper])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{name} on {paper}: WCAG 2 asks for 4.5"
