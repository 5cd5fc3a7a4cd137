"""Requests to MLflow's real scoring server in this process, and rows in each format that it documents."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa

JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"


def invoke(app: Any, content: bytes | str, content_type: str = JSON) -> tuple[int, Any]:
    """The status and the answer of `POST /invocations`; the application is called as a web server calls it."""
    body = content.encode() if isinstance(content, str) else content
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/invocations",
        "raw_path": b"/invocations",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", content_type.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    text = b"".join(message.get("body", b"") for message in sent)
    answer = json.loads(text) if text[:1] in (b"{", b"[") else text.decode()
    return sent[0]["status"], answer


def json_rows(rows: pa.Table) -> list[dict[str, Any]]:
    """The rows as JSON can hold them: times as text."""
    return [
        {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
        for row in rows.to_pylist()
    ]


def as_split(rows: pa.Table) -> str:
    """`dataframe_split`."""
    data = [list(row.values()) for row in json_rows(rows)]
    return json.dumps({"dataframe_split": {"columns": rows.column_names, "data": data}})


def as_records(rows: pa.Table) -> str:
    """`dataframe_records`."""
    return json.dumps({"dataframe_records": json_rows(rows)})


def as_instances(rows: pa.Table) -> str:
    """`instances`, a list of rows."""
    return json.dumps({"instances": json_rows(rows)})


def as_inputs(rows: pa.Table) -> str:
    """`inputs`, a dict of columns."""
    listed = json_rows(rows)
    return json.dumps({"inputs": {name: [row[name] for row in listed] for name in rows.column_names}})


def as_input_rows(rows: pa.Table) -> str:
    """`inputs`, a list of rows."""
    return json.dumps({"inputs": json_rows(rows)})


def as_csv(rows: pa.Table) -> str:
    """What pandas writes."""
    return str(rows.to_pandas().to_csv(index=False))


def as_parquet(rows: pa.Table) -> bytes:
    """What pandas writes."""
    written: bytes = rows.to_pandas().to_parquet()
    return written


FORMATS: dict[str, tuple[Callable[[pa.Table], bytes | str], str]] = {
    "dataframe_split": (as_split, JSON),
    "dataframe_records": (as_records, JSON),
    "instances": (as_instances, JSON),
    "inputs": (as_inputs, JSON),
    "inputs, rows": (as_input_rows, JSON),
    "csv": (as_csv, CSV),
    "parquet": (as_parquet, PARQUET),
}
