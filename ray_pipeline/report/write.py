"""Puts the sections into the page and the page into the run folder. The page loads nothing, runs only its own sorting
of tables and shows foreign text as text."""

from pathlib import Path

from ray_pipeline.report import diagnostics as looked_for
from ray_pipeline.report import page, sections
from ray_pipeline.report import test_metrics as measured
from ray_pipeline.report.format import brief, clock, count, figure, interval
from ray_pipeline.report.run_files import RunFiles, number, section


def write_report(run_folder: Path) -> Path:
    """The path of `report.html`, written anew from the run folder's plain files; the same files give the same bytes.

    Files that are absent or broken (a run that is still going on, or was stopped) are said to be missing, section by
    section.

    Raises:
        OSError: the folder cannot be written.
    """
    return page.write(render(RunFiles.read(run_folder)), run_folder / "report.html")


def render(files: RunFiles) -> str:
    """The page as text."""
    metric = measured.headline(files)
    return page.fill(
        "page.html.j2",
        name=files.spec.get("name") or files.run,
        run=files.run,
        task=files.spec.get("task") or "",
        highlights=_highlights(files, metric),
        verdict=sections.verdict(files),
        read=sections.read(files),
        drift=looked_for.drift(files),
        findings=sections.findings(files),
        search=sections.search(files, metric, measured.better(metric)),
        metrics=measured.metrics(files),
        drawn=measured.drawn(files),
        slices=measured.slices(files, metric),
        weak=looked_for.weak(files),
        bias=measured.bias(files),
        importance=looked_for.importance(files),
        reproducibility=sections.reproducibility(files),
    )


def _highlights(files: RunFiles, metric: str) -> list[tuple[str, str, str]]:
    """The few facts under the title, each as (name, figure, small print)."""
    overall = next((row for row in files.evaluation if not row.get("slice") and row.get("metric") == metric), {})
    seconds = sum(number(value) for value in section(files.manifest, "seconds").values() if number(value) > 0)
    found = []
    if overall:
        value, low, high, rows = (number(overall.get(key)) for key in ("value", "low", "high", "rows"))
        found += [(f"{metric} on test", figure(value), interval(low, high)), ("test rows", count(rows), "")]
    if files.trials:
        families = sorted({brief(row.get("family"), 30) for row in files.trials})
        found.append(("trials", str(len(files.trials)), ", ".join(families[:3]) + ("…" if len(families) > 3 else "")))
    if files.model.get("family"):
        rounds = files.model.get("rounds")
        found.append(("model", brief(files.model["family"], 40), f"{rounds} rounds" if isinstance(rounds, int) else ""))
    if seconds:
        found.append(("wall time", clock(seconds), ""))
    return found
