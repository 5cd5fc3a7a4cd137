"""The report from plain files: it shows what they say, survives absent and hostile files, and gives the same bytes."""

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from report_fixture import build_run
from sklearn import metrics as oracle
from sklearn.calibration import calibration_curve
from typer.testing import CliRunner

from ray_pipeline.cli import build
from ray_pipeline.hashing import mix
from ray_pipeline.report import curves, pictures, predictions, svg, write_report
from ray_pipeline.report.format import format_number, shorten
from ray_pipeline.report.run_files import RunFiles
from ray_pipeline.report.sections.data import drift
from ray_pipeline.report.sections.verdict import bound_of
from ray_pipeline.report.sections.verdict import context as verdict
from ray_pipeline.report.write import render

SECTIONS = (
    "verdict",
    "read",
    "findings",
    "search",
    "metrics",
    "curves",
    "slices",
    "bias",
    "importance",
    "reproducibility",
)
PLAIN_FILES = (
    "spec.yaml",
    "manifest.json",
    "checks.json",
    "joins.json",
    "drift.json",
    "trials.jsonl",
    "evaluation.json",
    "bias.json",
    "weak_slices.json",
    "explain.json",
    "scorecard.json",
    "model/model.json",
    "model/calibration.json",
    "model/schema.json",
    "model/SHA256SUMS",
    "predictions/part-0.parquet",
)
PAYLOADS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</style><script>alert(1)</script>",
    "</title><b>x",
    "{{ 7*7 }}{% raw %}",
    "javascript:alert(1)",
    "=cmd|' /C calc'!A0",
    "a\u202egnp.exe\u2066b\u200f",
    "nul\x00 bell\x07 esc\x1b[2J",
    "<!-- --><!--",
    "&lt;already&gt;",
    "]]>",
    "&#x3C;b>",
    "x" * 5000,
)


class Page(HTMLParser):
    """The elements of a page with their attributes, the text by section, and the style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.style, self.script, self._section, self._in_style, self._in_script = "", "", "", False, False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in_style, self._in_script = tag == "style", tag == "script"
        if tag == "section":
            self._section = dict(attrs)["id"] or ""
        if tag == "footer":
            self._section = ""

    def handle_endtag(self, tag: str) -> None:
        self._in_style, self._in_script = self._in_style and tag != "style", self._in_script and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.style += data
        elif self._in_script:
            self.script += data
        else:
            self.text[self._section] = self.text.get(self._section, "") + data


def copied(run: Path, to: Path) -> Path:
    return Path(shutil.copytree(run, to))


def page_of(folder: Path) -> Page:
    return Page(write_report(folder).read_text("utf-8"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_run(tmp_path_factory.mktemp("runs") / "flight_delay-1c9a77e2-1", rows=6_000)


@pytest.mark.parametrize("task", ["binary", "regression", "multiclass"])
def test_every_section_is_there_and_says_nothing_is_missing(task: str, tmp_path: Path) -> None:
    page = page_of(build_run(tmp_path / "flight_delay-1c9a77e2-1", task, rows=3_000))
    assert tuple(attrs["id"] for tag, attrs in page.elements if tag == "section") == SECTIONS
    assert not [attrs for tag, attrs in page.elements if attrs.get("class") == "missing"]
    assert "Registered" in page.text[""]
    assert "registered as flight_delay version 3, alias challenger" in page.text[""]


def test_the_verdict_comes_first_and_a_refused_run_names_its_gate(tmp_path: Path) -> None:
    page = page_of(build_run(tmp_path / "r", rows=3_000, passed=False))
    assert "Refused" in page.text[""]
    assert "1 of 5 gates not passed" in page.text[""]
    assert page.text["verdict"].count("✗ not passed") == 1
    assert page.text["verdict"].count("✓ passed") == 4


def test_the_numbers_are_those_of_the_files(run: Path) -> None:
    page = page_of(run)
    auc = next(
        row for row in json.loads((run / "evaluation.json").read_text()) if row["metric"] == "auc" and not row["slice"]
    )
    shown = f"[{auc['low']:.4f}, {auc['high']:.4f}]"
    assert f"{auc['value']:.4f}" in page.text["metrics"]
    assert shown in page.text["metrics"]
    assert shown in page.text["verdict"]
    for words in (
        "210,442",
        "54,603",
        "53,871",
        "11,274",
        "9,430 null label, 1,844 gap",
        "325,819 of 327,346",
        "1,371 too old, 88 not yet known, 68 never seen",
        "42 min 00 s / 1 h 55 min",
    ):
        assert words in page.text["read"], words
    assert "37 values occur in test and never in train" in page.text["findings"]
    states = [json.loads(line)["status"] for line in (run / "trials.jsonl").read_text().splitlines()]
    assert (
        f"32 trials, {states.count('completed')} completed, {states.count('stopped')} stopped, 1 failed"
        in page.text["search"]
    )
    assert "true_positive_rate gap" in page.text["bias"]
    assert "1c9a77e2" * 8 in page.text["reproducibility"]
    assert "Calibrated by sigmoid on validation, where it moved ece from 0.0310 to 0.0110" in page.text["curves"]
    assert "carrier UA and origin LGA" in page.text["slices"] and "of 132 slices" in page.text["slices"]
    assert page.text["importance"].index("hour") < page.text["importance"].index("weather.precip")
    assert "known_at: available_ts" in page.text["reproducibility"]


def test_the_leaderboard_is_best_first_and_hides_what_was_not_searched(run: Path) -> None:
    text = page_of(run).text["search"]
    values = [float(value) for value in re.findall(r"xgboost(0\.\d{4})\d+\.\d scompleted", text)]
    assert len(values) >= 15
    assert values == sorted(values, reverse=True)
    assert "Not searched: num_boost_round 400." in text
    assert re.search(r"constant\s*0\.5125", text) and "what train says on average, for every row" in text


@pytest.mark.parametrize(("task", "first_is"), [("binary", min), ("regression", max)])
def test_slices_stand_worst_first_and_small_ones_last(
    task: str, first_is: Callable[[list[float]], float], tmp_path: Path
) -> None:
    folder = build_run(tmp_path / "r", task, rows=6_000)
    rows = [
        row
        for row in json.loads((folder / "evaluation.json").read_text())
        if row["metric"] in ("auc", "rmse") and set(row["slice"]) == {"carrier"}
    ]
    judged = [row for row in rows if row["rows"] >= 200]
    worst = next(row for row in judged if row["value"] == first_is([row["value"] for row in judged]))
    small = {row["slice"]["carrier"] for row in rows if row["rows"] < 200}
    table = page_of(folder).text["slices"].split("origin")[0]
    order = [
        name
        for name in re.findall(r"[A-Z0-9]{2}(?=[\d,]+(?:–|[−\d]))", table)
        if name in {row["slice"]["carrier"] for row in rows}
    ]
    assert order[0] == worst["slice"]["carrier"]
    assert small
    assert set(order[-len(small) :]) == small


def test_the_same_files_give_the_same_bytes(run: Path, tmp_path: Path) -> None:
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first
    twin = build_run(tmp_path / run.name, rows=6_000)
    assert write_report(twin).read_bytes() == first


def test_the_page_stays_small_with_many_columns_slices_and_trials(run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path / "r")
    wide = [
        {"metric": m, "slice": {f"column_{c}": f"value {v}"}, "value": 0.5, "low": 0.4, "high": 0.6, "rows": 500}
        for c in range(50)
        for v in range(100)
        for m in ("auc", "brier", "log_loss")
    ]
    (folder / "evaluation.json").write_text(json.dumps(wide))
    (folder / "checks.json").write_text(
        json.dumps(
            [
                {"check": "c", "severity": "low", "column": f"column_{c}", "rows": 1, "found": "x" * 200, "fix": ""}
                for c in range(5_000)
            ]
        )
    )
    trial = json.loads((folder / "trials.jsonl").read_text().splitlines()[0])
    (folder / "trials.jsonl").write_text("".join(json.dumps({**trial, "trial": i}) + "\n" for i in range(1_000)))
    assert write_report(folder).stat().st_size < 3_000_000


def test_until_the_manifest_is_written_the_rows_come_from_the_journal(run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path / "r")
    (folder / "journal").mkdir()
    (folder / "journal" / "manifest.json").write_text(
        json.dumps({"step": "manifest", "found": json.loads((folder / "manifest.json").read_text())})
    )
    (folder / "manifest.json").unlink()
    page = page_of(folder)
    assert "210,442" in page.text["read"]
    assert not [attrs for tag, attrs in page.elements if attrs.get("class") == "missing"]


def test_an_empty_folder_gives_a_page_that_says_what_is_missing(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    assert tuple(attrs["id"] for tag, attrs in page.elements if tag == "section") == SECTIONS
    assert "No verdict" in page.text[""]
    for section, file in (
        ("verdict", "scorecard.json"),
        ("findings", "checks.json"),
        ("search", "trials.jsonl"),
        ("slices", "evaluation.json"),
        ("bias", "bias.json"),
    ):
        assert f"{file} is not in the run folder" in page.text[section]


@pytest.mark.parametrize("name", PLAIN_FILES)
@pytest.mark.parametrize("harm", ["absent", "torn", "another shape", "not utf-8"])
def test_one_absent_or_broken_file_costs_one_section_never_the_page(
    name: str, harm: str, run: Path, tmp_path: Path
) -> None:
    folder = copied(run, tmp_path / "r")
    path = folder / name
    whole = path.read_bytes()
    broken = {
        "absent": None,
        "torn": whole[: len(whole) // 2],
        "another shape": b'[[1, "two"], {"x": {}}]',
        "not utf-8": b"\xff\xfe\x00{",
    }[harm]
    path.unlink()
    if broken is not None:
        path.write_bytes(broken)
    page = page_of(folder)
    assert tuple(attrs["id"] for tag, attrs in page.elements if tag == "section") == SECTIONS


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10, 10),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@settings(max_examples=60, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(data=st.data())
def test_values_of_any_type_in_the_right_places_never_break_the_page(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("odd")

    def rows(*keys: str) -> str:
        return json.dumps(data.draw(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(keys, ODD)), max_size=3)))

    (folder / "checks.json").write_text(rows("check", "severity", "column", "rows", "found", "fix"))
    (folder / "evaluation.json").write_text(rows("metric", "slice", "value", "low", "high", "rows"))
    (folder / "bias.json").write_text(rows("measure", "group", "value", "low", "high", "rows", "reduction"))
    (folder / "trials.jsonl").write_text(
        "\n".join(
            json.dumps(row)
            for row in json.loads(rows("trial", "family", "params", "rungs", "metric", "seconds", "status"))
        )
    )
    (folder / "scorecard.json").write_text(
        f'{{"passed": {json.dumps(data.draw(ODD))}, "gates":'
        f' {rows("gate", "passed", "value", "low", "high", "why", "champion")}, "notes": {json.dumps(data.draw(ODD))}}}'
    )
    (folder / "manifest.json").write_text(
        json.dumps(
            data.draw(
                st.fixed_dictionaries({}, optional=dict.fromkeys(("rows", "seconds", "version", "versions"), ODD))
            )
        )
    )
    (folder / "spec.yaml").write_text(
        json.dumps(
            data.draw(
                st.fixed_dictionaries(
                    {},
                    optional=dict.fromkeys(
                        ("name", "task", "register", "features", "select", "split", "evaluate"), ODD
                    ),
                )
            )
        )
    )
    assert len([tag for tag, _ in Page(render(RunFiles.read(folder))).elements if tag == "section"]) == len(SECTIONS)


def test_the_columns_that_drift_most_stand_first_with_a_bar_for_each_part(run: Path) -> None:
    seen = drift(RunFiles.read(run))
    assert seen["parts"] == ["validation", "test"]
    assert [name for name, _ in seen["rows"][:3]] == ["hour", "weather.month", "steady_29"] and (
        len(seen["rows"]),
        seen["left"],
    ) == (20, 12)
    assert [value for value, _ in seen["rows"][0][1]] == ["0.0200", "0.7400"]
    widths = [float(re.search(r"M0 0H([\d.]+)", bar)[1]) for _, bar in seen["rows"][0][1]]  # type: ignore[index]
    assert widths == pytest.approx([220 * 0.04, 220], abs=0.1)


def poisoned(folder: Path, payload: str) -> Path:
    """The run with the payload in every name and text that comes from data, spec or environment."""
    for name in (
        "checks.json",
        "joins.json",
        "drift.json",
        "evaluation.json",
        "bias.json",
        "weak_slices.json",
        "explain.json",
        "scorecard.json",
        "manifest.json",
        "model/model.json",
        "model/schema.json",
    ):
        path = folder / name
        path.write_text(json.dumps(_poison(json.loads(path.read_text()), payload)))
    trials = [_poison(json.loads(line), payload) for line in (folder / "trials.jsonl").read_text().splitlines()]
    (folder / "trials.jsonl").write_text("".join(json.dumps(trial) + "\n" for trial in trials))
    (folder / "spec.yaml").write_text(
        json.dumps(
            {
                "name": payload,
                "task": "binary",
                "features": {"labels": {"label": payload}},
                "select": {"where": payload},
                "search": {"metric": "auc" + payload},
            }
        )
    )
    return folder


KEPT = {"status", "severity", "task", "passed", "reduction"}


def _poison(value: object, payload: str, key: str = "") -> object:
    if isinstance(value, dict):
        return {
            (
                f"{k}{payload}"
                if key in ("slice", "group", "params", "versions", "dropped", "") and k[0].isalpha() and "x" in k
                else k
            ): _poison(v, payload, k)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [_poison(item, payload, key) for item in value]
    return value + payload if isinstance(value, str) and key not in KEPT else value


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_text_is_shown_as_text_and_adds_no_element_and_no_attribute(
    payload: str, run: Path, tmp_path: Path
) -> None:
    harmless = page_of(poisoned(copied(run, tmp_path / "a" / "run"), "zz"))
    hostile = page_of(poisoned(copied(run, tmp_path / "b" / "run"), payload))
    assert [(tag, sorted(attrs)) for tag, attrs in hostile.elements] == [
        (tag, sorted(attrs)) for tag, attrs in harmless.elements
    ]
    assert str(shorten(payload, 60))[:40] in hostile.text["findings"]
    raw = (tmp_path / "b" / "run" / "report.html").read_text("utf-8")
    assert not set(raw) & set("\u202e\u2066\u200f\x00\x07\x1b")


def test_the_policy_allows_the_pages_own_style_and_nothing_else(run: Path) -> None:
    page = page_of(run)
    (policy,) = [
        attrs["content"]
        for tag, attrs in page.elements
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    digest, of_script = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (page.style, page.script)
    )
    assert policy is not None
    assert policy.startswith(
        f"default-src 'none'; style-src 'sha256-{digest}'; script-src 'sha256-{of_script}'; img-src data:"
    )
    assert "unsafe" not in policy
    assert [tag for tag, _ in page.elements].count("script") == 1 and not {
        "iframe",
        "object",
        "embed",
        "form",
        "base",
        "img",
    } & {tag for tag, _ in page.elements}
    for tag, attrs in page.elements:
        assert "style" not in attrs, tag
        assert not [name for name in attrs if name.startswith("on")]
        links = [
            value or "" for name, value in attrs.items() if name in ("href", "src", "action", "data", "xlink:href")
        ]
        assert all(link.startswith(("#", "data:,")) for link in links)
    assert "url(" not in page.style
    assert "@import" not in page.style


def test_links_lead_to_sections_that_exist(run: Path) -> None:
    elements = page_of(run).elements
    ids = {attrs["id"] for _, attrs in elements if "id" in attrs}
    assert {(attrs["href"] or "")[1:] for tag, attrs in elements if tag == "a"} == ids


def test_a_password_in_an_address_is_not_on_the_page(run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path / "r")
    (folder / "spec.yaml").write_text(
        (folder / "spec.yaml").read_text().replace("data/flights", "s3://reader:hunter2@store/flights")
    )
    raw = write_report(folder).read_text()
    assert "hunter2" not in raw
    assert "s3://reader:•••@store/flights" in raw


def test_a_write_that_fails_leaves_the_old_page_and_no_litter(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = write_report(run).read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(run)
    assert (run / "report.html").read_bytes() == before
    assert [path.name for path in run.glob("*report*")] == ["report.html"]


def test_one_class_in_the_test_part_is_said_and_not_drawn(run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path / "r")
    pq.write_table(
        pa.table({"label": [0.0] * 50, "score": np.linspace(0, 1, 50), "decision": pa.array([0] * 50, pa.int8())}),
        folder / "predictions" / "part-0.parquet",
    )
    text = page_of(folder).text["curves"]
    assert "ROC: not to be drawn from these rows (one class only, or nothing varies)" in text


def test_a_large_part_is_drawn_from_a_share_of_its_rows_and_the_page_says_so(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(run, tmp_path / "r")
    (file,) = (folder / "predictions").glob("*.parquet")
    rows = pq.read_table(file)
    pq.write_table(rows, file, row_group_size=7)
    monkeypatch.setattr(predictions, "MAX_ROWS", len(rows) // 3)
    every = -(-len(rows) // (len(rows) // 3))
    stored = predictions.StoredPredictions.read(RunFiles.read(folder))
    drawn = np.flatnonzero(mix(np.arange(len(rows), dtype=np.uint64)) % np.uint64(every) == 0)
    assert stored.score.tolist() == rows["score"].take(drawn).to_pylist()
    assert f"Curves and counts are of one in {every} rows of the test part." in page_of(folder).text["curves"]


def test_predictions_that_are_infinite_are_said_and_not_drawn(tmp_path: Path) -> None:
    folder = build_run(tmp_path / "r", "regression", rows=3_000)
    endless = pa.array([np.inf] * 5, pa.float64())
    pq.write_table(pa.table({"label": endless, "score": endless}), folder / "predictions" / "part-0.parquet")
    text = page_of(folder).text["curves"]
    assert "Predicted and actual: not to be drawn from these rows" in text
    assert "Residuals: not to be drawn from these rows" in text


@pytest.mark.parametrize(
    ("gate", "champion", "expected"),
    [
        ("auc >= 0.65", None, (0.65, True)),
        ("brier <= 1e-1", None, (0.1, False)),
        ("auc >= champion - 0.005", 0.7, (-0.005, True)),
        ("log_loss <= champion + .01", 0.7, (0.01, False)),
        ("auc >= champion * 0.98", 0.7, (0.0, True)),
        ("auc > champion", 0.7, (0.0, True)),
        ("auc >= champion - 0.005", None, (np.nan, True)),
    ],
)
def test_a_gate_is_drawn_against_the_bound_it_is_judged_on(
    gate: str, champion: float | None, expected: tuple[float, bool]
) -> None:
    np.testing.assert_equal(bound_of(gate, {"champion": champion}), expected)


def test_a_scorecard_without_gates_passes_and_a_torn_one_is_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "scorecard.json").write_text('{"passed": true, "gates": []}')
    assert verdict(RunFiles.read(tmp_path))["state"] == "passed"
    (tmp_path / "scorecard.json").write_text('{"passed": tr')
    assert verdict(RunFiles.read(tmp_path))["state"] == "open"


scores = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8), st.integers(1, 4)), min_size=2, max_size=60)


@settings(deadline=None)
@given(scores)
def test_roc_and_precision_recall_enclose_what_scikit_learn_says(rows: list[tuple[int, int, int]]) -> None:
    label, score, weight = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    across, up = curves.roc(label, score, weight)
    if len(set(label)) < 2:
        assert not len(across)
        return
    np.testing.assert_allclose(
        np.trapezoid(up, across), oracle.roc_auc_score(label, score, sample_weight=weight), atol=1e-12
    )
    recall, precision = curves.precision_recall(label, score, weight)
    np.testing.assert_allclose(
        np.diff(recall, prepend=0) @ precision,
        oracle.average_precision_score(label, score, sample_weight=weight),
        atol=1e-12,
    )


def test_thinned_curves_keep_their_ends_and_their_area() -> None:
    random = np.random.default_rng(0)
    score = random.random(200_000)
    label = (random.random(200_000) < score**2).astype(float)
    across, up = curves.roc(label, score, np.ones(200_000))
    assert len(across) <= curves.MAX_POINTS + 2
    assert (across[0], up[0], across[-1], up[-1]) == (0, 0, 1, 1)
    np.testing.assert_allclose(np.trapezoid(up, across), oracle.roc_auc_score(label, score), atol=2e-4)


def test_reliability_bins_are_those_of_scikit_learn_and_hold_every_row() -> None:
    random = np.random.default_rng(1)
    score = random.random(10_000)
    label = (random.random(10_000) < score).astype(float)
    bins = curves.reliability(label, score, np.ones(10_000))
    rate, mean = calibration_curve(label, score, n_bins=10, strategy="quantile")
    np.testing.assert_allclose([b.rate for b in bins], rate, atol=2e-3)
    np.testing.assert_allclose([b.score for b in bins], mean, atol=2e-3)
    assert sum(b.rows for b in bins) == 10_000
    assert all(b.low < b.rate < b.high for b in bins)


def test_equal_scores_are_never_in_two_bins() -> None:
    bins = curves.reliability(np.array([0.0, 1.0] * 50), np.repeat([0.2, 0.7], 50), np.ones(100))
    assert [(b.score, b.rows) for b in bins] == [(pytest.approx(0.2), 50), (pytest.approx(0.7), 50)]


def test_confusion_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(2)
    label, decision, weight = random.integers(0, 4, 500), random.integers(0, 4, 500), random.random(500)
    np.testing.assert_allclose(
        curves.confusion(label, decision, weight, 4), oracle.confusion_matrix(label, decision, sample_weight=weight)
    )


@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e6))
def test_ticks_lie_inside_the_axis_and_are_few(low: float, span: float) -> None:
    high = low + span
    found = svg.ticks(low, high)
    assert len(found) <= 12
    assert found == sorted(found)
    assert all(low - 1e-6 * span <= tick <= high + 1e-6 * span for tick in found)


@given(st.integers(-5, 5_000), st.integers(0, 10_000))
def test_an_axis_that_counts_has_whole_numbers(first: int, more: int) -> None:
    found = svg.ticks(first - 0.5, first + more + 0.5, whole=True)
    assert all(tick.is_integer() and first <= tick <= first + more for tick in found)
    assert len(found) <= 12 and (found or more)


@pytest.mark.parametrize("value", [0.8745, 0.5, 123456.5, -0.00005])
def test_the_upright_text_of_an_axis_stands_beside_its_numbers(value: float) -> None:
    plot = svg.Plot((0, 1), (value, value * 1.0005), x_label="x", y_label="y").svg("title")
    labels = re.findall(r'<text class="tick" x="([0-9.]+)" y="[0-9.]+" text-anchor="end">([^<]*)<', plot)
    assert labels
    assert all(float(x) - svg.LETTER * len(label) >= svg.TITLE for x, label in labels)


def test_two_trials_are_all_that_their_axis_shows() -> None:
    rows = [{"trial": trial, "metric": 0.8, "status": "completed", "family": "xgboost"} for trial in (0, 1)]
    picture = pictures.trials(rows, "auc", "higher", ["xgboost"])
    assert picture is not None
    assert re.findall(r'text-anchor="middle">([^<]*)<', picture)[:2] == ["0", "1"]
    assert "−1<" not in picture and ">2<" not in picture


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.69161, "0.6916"),
        (-0.005, "−0.0050"),
        (23.114, "23.11"),
        (12345.6, "12,346"),
        (0.0, "0.0000"),
        (0.00001234, "1.2e-05"),
        (float("nan"), "–"),
        (float("inf"), "–"),
    ],
)
def test_a_figure_has_the_digits_a_reader_can_use(value: float, expected: str) -> None:
    assert format_number(value) == expected


def call(*arguments: str) -> tuple[int, str, str]:
    found = CliRunner().invoke(build(), ["report", *arguments])
    return found.exit_code, found.stdout, found.stderr


def test_the_verb_finds_a_run_by_id_or_by_path_and_answers_in_json(run: Path) -> None:
    code, out, _ = call(run.name, "--storage", str(run.parent))
    assert (code, out.strip()) == (0, str(run / "report.html"))
    code, out, _ = call(str(run), "--json")
    assert code == 0
    assert json.loads(out.splitlines()[-1]) == {"status": "done", "exit": 0, "report": str(run / "report.html")}


def test_an_unknown_run_is_exit_6_and_the_nearest_are_offered(run: Path) -> None:
    code, out, err = call("flight_delay-1c9a77e2-7", "--storage", str(run.parent), "--json")
    (problem,) = json.loads(out)["problems"]
    assert code == 6
    assert "there is no run 'flight_delay-1c9a77e2-7'" in problem["found"]
    assert problem["fix"] == f"did you mean {run.name!r}?"
    assert "Traceback" not in err


def test_a_folder_that_is_no_run_is_exit_6(tmp_path: Path) -> None:
    code, _, err = call(str(tmp_path))
    assert code == 6
    assert "it has no spec.yaml" in err
