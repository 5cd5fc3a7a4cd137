"""Signatures of versions by OpenSSF's model-signing, with a key pair of the user's own. No service is asked.

A checksum finds damage. A signature also finds who writes new files together with new checksums. It covers all files of
a version: the bundle, the scoring code that MLflow runs, and the rows that prove it.
"""

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from ray_pipeline.errors import DataError, Problem, RegistryError
from ray_pipeline.registry.private_mlflow import ADDED_FILE

FOLDER, FILE = "signature", "version.sig"
"""Where MLflow's run has the signature, beside the model."""
FILE_OF_BUNDLE = "bundle.sig"
"""The signature of a version that 0.2.0 registered: it covers the bundle alone."""
INSTALL = "pip install 'ray-pipeline[sign]'"


def refuse_unusable(key: Path) -> None:
    """Check before a run that it can sign.

    Raises
    ------
    DataError
        The package is not installed, or the file holds no private key.
    """
    try:
        with _without_warnings():
            _signer(key)
    except ImportError as error:
        problem = Problem(key="register.sign", found=f"model-signing is not installed: {error}", fix=INSTALL)
        raise DataError(problem) from None
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        fix = "name a PEM file with an elliptic-curve private key without a password"
        raise DataError(Problem(file=str(key), key="register.sign", found=f"is no key: {reason}", fix=fix)) from None


def sign(folder: Path, key: Path, target: Path) -> None:
    """Write the signature of a folder's files to `target`."""
    with _without_warnings():
        _signer(key).set_hashing_config(_hashing()).sign(folder, target)


def check(folder: Path, signature: Path | None, keys: Sequence[Path]) -> None:
    """Check that the holder of one of the keys has signed the folder's files.

    Raises
    ------
    RegistryError
        There is no signature, no key fits it, or a file is not what was signed; or model-signing is not installed.
    """
    fix = "use a version that the holder of a trusted key has signed, or correct `trust_keys` in the cluster file"
    if signature is None:
        raise RegistryError(Problem(file=str(folder), found="is not signed", fix=fix))
    reasons = []
    for key in keys:
        try:
            with _without_warnings():
                config = import_module("model_signing.verifying").Config().set_hashing_config(_hashing())
                config.use_elliptic_key_verifier(public_key=key).verify(folder, signature)
            return
        except ImportError as error:
            raise RegistryError(
                Problem(key="trust_keys", found=f"model-signing is not installed: {error}", fix=INSTALL)
            ) from None
        except Exception as error:  # a signature that somebody has made up raises whatever parsing it raises
            text = re.sub(r"\[[\"']", "", str(error).partition("\n")[0].partition(": Expected")[0])
            reasons.append(f"{key.name}: {text[:100] or type(error).__name__}")
    found = f"has no signature of a trusted key ({'; '.join(reasons)})"
    raise RegistryError(Problem(file=str(folder), found=found, fix=fix))


def _hashing() -> Any:
    """model-signing's configuration: every file counts but the one that MLflow adds where it loads a model."""
    config = import_module("model_signing.hashing").Config()
    return config.set_ignored_paths(paths=[ADDED_FILE], ignore_git_paths=False)


def _signer(key: Path) -> Any:
    """model-signing's configuration with the key."""
    return import_module("model_signing.signing").Config().use_elliptic_key_signer(private_key=key)


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Ignore warnings: model-signing 1.1 leaves files open that it has read."""
    with warnings.catch_warnings(action="ignore"):
        yield
