"""Prints what the views of a Feast repository say of their tables, as one line of JSON.

A Python that has Feast runs this file, so it imports nothing of this package.

usage: _feast_views.py '{"repository": FOLDER, "service": NAME or null, "views": [NAME, ...]}'
"""

import json
import sys
from typing import Any


def main() -> None:
    """Prints `{"views": [...]}`, or `{"error": ..., "known": [...]}`."""
    question = json.loads(sys.argv[1])
    try:
        from feast import FeatureStore  # type: ignore[import-not-found]

        store = FeatureStore(repo_path=question["repository"])
        answer = _views(store, question["service"], question["views"])
    except Exception as error:  # the user reads whatever Feast raises
        answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:500]}", "known": []}
    print(json.dumps(answer), flush=True)


def _views(store: Any, service: str | None, names: list[str]) -> dict[str, Any]:
    """The views of the service, or those with the names, or all by name without a service and without names."""
    views = {view.name: view for view in store.registry.list_all_feature_views(store.project)}
    if service is not None:
        known = {one.name: one for one in store.list_feature_services()}
        if service not in known:
            return {"error": f"there is no feature service {service!r}", "known": sorted(known)}
        projections = known[service].feature_view_projections
    else:
        absent = [name for name in names if name not in views]
        if absent:
            return {"error": f"there is no feature view {absent[0]!r}", "known": sorted(views)}
        # Sorted: `feast apply` writes sets to its registry (repo_operations.py of 0.67), in another order each time.
        projections = [views[name].projection for name in names or sorted(views)]
    return {"views": [_view(views[projection.name], projection) for projection in projections]}


def _view(view: Any, projection: Any) -> dict[str, Any]:
    """What `data/feast.py` needs to know of a view."""
    source = getattr(view, "batch_source", None)  # a view on demand has none
    return {
        "name": projection.name_alias or projection.name,
        "view": type(view).__name__,
        "source": type(source).__name__,
        "path": getattr(source, "path", None),
        "format": type(getattr(source, "file_format", None)).__name__,
        "endpoint": getattr(getattr(source, "file_options", None), "s3_endpoint_override", None),
        "renamed": {**getattr(source, "field_mapping", {}), **projection.join_key_map},
        "keys": list(getattr(view, "join_keys", [])),
        "time": getattr(source, "timestamp_field", None),
        "created": getattr(source, "created_timestamp_column", None),
        "ttl_s": view.ttl.total_seconds() if getattr(view, "ttl", None) else 0,
        "features": [feature.name for feature in projection.features],
    }


if __name__ == "__main__":
    main()
