"""Write `report.html`: the sections go into the template, the page into the run folder. The page loads nothing."""

from pathlib import Path

from ray_pipeline.report import model_card, page
from ray_pipeline.report.format import format_count, format_duration, format_interval, format_number, shorten
from ray_pipeline.report.run_files import Estimate, RunFiles, nested, number
from ray_pipeline.report.sections import (
    bias,
    data,
    ensemble,
    importance,
    metrics,
    overview,
    reproducibility,
    search,
    slices,
    verdict,
)


def write_report(run_folder: Path) -> Path:
    """Write report and model card of a run from its plain files, and return the path of the report.

    The same files give the same bytes. A run that is incomplete has a report too, whose sections say which files are
    missing.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    files = RunFiles.read(run_folder)
    page.write(model_card.model_card(files), run_folder / model_card.NAME)
    return page.write(render(files), run_folder / "report.html")


def render(files: RunFiles) -> str:
    """Return the page as text."""
    return page.fill(
        "page.html.j2",
        name=files.spec.get("name") or files.run,
        run=files.run,
        task=files.spec.get("task") or "",
        highlights=_highlights(files),
        overview=overview.context(files),
        verdict=verdict.context(files),
        data=data.context(files),
        drift=data.drift(files),
        findings=data.findings(files),
        search=search.context(files),
        ensemble=ensemble.context(files),
        metrics=metrics.context(files),
        curves=metrics.curves(files),
        slices=slices.context(files),
        weak_slices=slices.weak_slices(files),
        bias=bias.context(files),
        importance=importance.context(files),
        reproducibility=reproducibility.context(files),
    )


def _highlights(files: RunFiles) -> list[tuple[str, str, str]]:
    """The few facts under the title, each as (name, value, small print)."""
    facts = []
    if row := files.overall.get(files.metric):
        facts += [
            (f"{files.metric} on test", format_number(row.get("value")), format_interval(Estimate.of(row))),
            ("test rows", format_count(row.get("rows")), ""),
        ]
    if files.trials:
        families = sorted({shorten(row.get("family"), 30) for row in files.trials})
        facts.append(("trials", str(len(files.trials)), ", ".join(families[:3]) + ("…" if len(families) > 3 else "")))
    if family := files.model.get("family"):
        sizes = {name: files.model.get(name) for name in ("members", "rounds")}
        small = next((f"{size} {name}" for name, size in sizes.items() if isinstance(size, int)), "")
        facts.append(("model", shorten(family, 40), small))
    seconds = sum(number(value) for value in nested(files.manifest, "seconds").values() if number(value) > 0)
    return [*facts, ("wall time", format_duration(seconds), "")] if seconds else facts
