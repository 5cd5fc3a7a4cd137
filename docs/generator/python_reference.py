"""The reference of the Python interface: one entry for each public name; mkdocstrings fills it from the docstring."""

from collections.abc import Iterator

import ray_pipeline

GROUPS = {
    "What you write, and what comes back": ("Spec", "Where", "Release"),
    "Whole runs, and registered models": ("run", "resume", "rerun", "load", "predict_rows", "evaluate_registered"),
    "The stages, in their order": (),
}
RETURNED = {
    "A loaded model": ("serving.loaded_model.LoadedModel",),
    "Its estimator": ("serving.estimator.BundleClassifier", "serving.estimator.BundleRegressor"),
    "Errors": ("errors",),
}
"""What public functions return or raise: modules and classes below the package."""


def page() -> str:
    """The page."""
    lines = [HEAD]
    for title, names in groups():
        lines += [f"## {title}", ""]
        for name in names:
            lines += [f"::: ray_pipeline.{ray_pipeline._MODULES[name]}.{name}", ""]
    for title, places in RETURNED.items():
        lines += [f"## {title}", "", *(line for place in places for line in (f"::: ray_pipeline.{place}", ""))]
    return "\n".join(lines)


def groups() -> Iterator[tuple[str, list[str]]]:
    """The public names by subject; those that no group names are stages."""
    named = {name for names in GROUPS.values() for name in names}
    for title, names in GROUPS.items():
        yield title, [*(names or (name for name in ray_pipeline._MODULES if name not in named))]


HEAD = """# Reference: Python

Every public name of `import ray_pipeline as rp`, from its docstring. [Python](../python.md) is the guide with examples
that run.
"""
