"""Where a registry is and which model is meant: the two texts that a user writes, parsed strictly."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from ray_pipeline.errors import Problem, RegistryError

DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
SERVERS = ("http", "https")
NAME = r"[A-Za-z0-9_.\-]{1,100}"
MODEL = re.compile(rf"(?:models:/{{1,2}})?(?P<name>{NAME})(?:@(?P<alias>{NAME})|/(?P<version>[1-9][0-9]{{0,8}}))")


@dataclass(frozen=True, kw_only=True)
class ModelName:
    """One registered version, named by an alias or by its number.

    >>> ModelName.parse("models:/flight_delay@champion")
    ModelName(name='flight_delay', alias='champion', version=None)
    """

    name: str
    alias: str | None = None
    version: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `name@alias`, `name/version` or `models:/...`.

        Raises
        ------
        RegistryError
            The text is anything else.
        """
        match = MODEL.fullmatch(text)
        if match is None:
            name = cls.bare(text)
            offer = (
                f"write '{name}@ALIAS' or '{name}/VERSION'; `ray-pipeline models list` has those that exist"
                if name
                else "write name@alias, name/version or models:/name/version"
            )
            raise RegistryError(Problem(key="MODEL", found=f"{text!r} names no version of a model", fix=offer))
        version = match["version"]
        return cls(name=match["name"], alias=match["alias"], version=int(version) if version else None)

    @staticmethod
    def bare(text: str) -> str | None:
        """The name in a text that names a model and no version of it; None for any other text."""
        match = re.fullmatch(rf"(?:models:/)?({NAME})/?", text)
        return match[1] if match else None

    def __str__(self) -> str:
        return f"{self.name}@{self.alias}" if self.alias else f"{self.name}/{self.version}"


def default_uri() -> str:
    """Return the default address: RAY_PIPELINE_REGISTRY, else MLFLOW_TRACKING_URI, else that of `./runs/mlflow.db`."""
    return (
        os.environ.get("RAY_PIPELINE_REGISTRY") or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///./runs/mlflow.db"
    )


def absolute(uri: str) -> str:
    """Return the registry's address for MLflow; a sqlite path becomes absolute, since Ray's workers change directory.

    Raises
    ------
    RegistryError
        It is a plain folder (MLflow's file store, which MLflow has given up) or no address of a registry.
    """
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme == "sqlite":
        return f"sqlite:///{sqlite_file(uri)}"
    if scheme not in (*DATABASES, *SERVERS):
        found = (
            f"{uri!r} is a folder; MLflow no longer keeps a registry in plain files"
            if scheme in ("", "file")
            else f"{uri!r} is no registry"
        )
        fix = (
            "write sqlite:///path/mlflow.db, http(s)://host:port or postgresql://…; `mlflow migrate-filestore` moves an"
            " old folder"
        )
        raise RegistryError(Problem(key="registry", found=found, fix=fix))
    return uri


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a sqlite address, as an absolute path; None for any other address.

    >>> sqlite_file("sqlite:////srv/mlflow.db")
    PosixPath('/srv/mlflow.db')

    Raises
    ------
    RegistryError
        A sqlite address that names no file.
    """
    scheme, _, rest = uri.partition(":")
    if scheme.partition("+")[0] != "sqlite":
        return None
    path = rest.removeprefix("///").partition("?")[0]
    if not rest.startswith("///") or path in ("", ":memory:"):
        raise RegistryError(
            Problem(key="registry", found=f"{uri!r} names no file", fix="write sqlite:///path/mlflow.db")
        )
    return Path(path).expanduser().absolute()
