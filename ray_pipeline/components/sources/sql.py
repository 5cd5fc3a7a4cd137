"""The rows of a query of a database. A run reads them once, to Parquet; from then on they are read there."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar
from urllib.parse import parse_qsl

import pyarrow.fs as pafs
from pydantic import AfterValidator, Field

from ray_pipeline.components.sources.parquet import Parquet
from ray_pipeline.errors import DataError, Problem
from ray_pipeline.redaction import SECRET_NAME

NOT_READ = "(query)"
"""The path of a query that no run has read; a stored spec has the folder of its rows instead."""


VARIABLE = "${env:"


def _url(written: str) -> str:
    for name, value in parse_qsl(written.partition("?")[2], keep_blank_values=True):
        if SECRET_NAME.search(f"{name}={value}") and VARIABLE not in value:
            raise ValueError(f"{name!r} of the URL holds a secret, which would be stored; write ${{env:NAME}} for it")
    if written.startswith(VARIABLE):
        return written
    scheme, separator, rest = written.partition("://")
    login, at, _ = rest.partition("@")
    if not separator or not scheme:
        raise ValueError(f"expected a URL such as postgresql://host/database or sqlite:///file.db, got {written!r}")
    if at and ":" in login and VARIABLE not in login.partition(":")[2]:
        raise ValueError("the URL holds a password, which would be stored; write ${env:NAME} in its place")
    return written


class Sql(Parquet):
    """The rows of a query. A spec gives `url` and `query` and no path."""

    endings: ClassVar[tuple[str, ...]] = ()
    path_when_missing: ClassVar[str | None] = NOT_READ

    url: Annotated[str, AfterValidator(_url)]
    """As SQLAlchemy writes it. `${env:NAME}` stands for a variable of the environment."""
    query: Annotated[str, Field(min_length=1)]
    """One statement that gives rows."""

    def fixed(self) -> Mapping[str, Any]:
        """Return its own parameters: its rows are fixed by the run."""
        return {"url": self.url, "query": self.query}

    @cached_property
    def _is_read(self) -> bool:
        return not self.path.endswith(NOT_READ)

    def _files(self) -> tuple[pafs.FileSystem, list[pafs.FileInfo]]:
        if not self._is_read:
            found = f"{self.name}: the rows of a query are known once a run has read them"
            raise DataError(Problem(stage="read", found=found, fix="run the spec; `plan` cannot look at them"))
        return super()._files()
