"""A release as HTML for a notebook: the verdict, each gate, the metrics with their intervals, and the report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray_pipeline.report.format import Context, format_count, format_duration, format_interval, format_number
from ray_pipeline.report.page import TEMPLATES
from ray_pipeline.report.run_files import Estimate


def release_html(answer: Mapping[str, Any]) -> str:
    """Return the answer of a run, as `run --json` prints it, as a piece of HTML; every text in it is escaped."""
    gates = [
        {"text": gate["gate"], "passed": gate["passed"], "why": gate.get("why") or "", **_estimate(gate)}
        for gate in answer["gates"]
    ]
    return TEMPLATES.get_template("release.html.j2").render(
        title=f"{answer['run']}: {answer['status']}",
        text=_outcome(answer),
        gates=gates,
        metrics=[{"name": name, **_estimate(metric)} for name, metric in answer["metrics"].items()],
        num_test=format_count(answer["rows"].get("test")),
        family=answer["family"],
        num_trials=answer["trials"],
        duration=format_duration(sum(answer["seconds"].values())),
        link=_link(answer["report"]),
        report=answer["report"],
    )


def _outcome(answer: Mapping[str, Any]) -> str:
    """What became of the model, and why."""
    gates = answer["gates"]
    refused = sum(not gate["passed"] for gate in gates)
    passed = f"{refused} of {len(gates)} gates not passed" if refused else "all gates passed"
    return "; ".join([*([f"as {answer['model']}"] if answer["model"] else []), *([passed] if gates else [])])


def _estimate(row: Mapping[str, Any]) -> Context:
    estimate = Estimate.of(row)
    return {"value": format_number(estimate.value), "interval": format_interval(estimate)}


def _link(report: str) -> str | None:
    """A link that a notebook can follow: relative to the working directory if it can be; None for a bucket."""
    if "://" in report:
        return None
    path = Path(report)
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else path.absolute().as_uri()
