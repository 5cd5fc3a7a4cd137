"""Which releases of Ray this package works with. The same bounds stand in `pyproject.toml`."""

import re

from ray_pipeline.errors import Problem, ResourceError

OLDEST, NEWEST = (2, 59), (2, 60)
"""Minor versions of Ray that the tests pass with, both included."""

SUPPORTED = f"Ray {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
REQUIREMENT = f">={OLDEST[0]}.{OLDEST[1]},<{NEWEST[0]}.{NEWEST[1] + 1}"


def check_ray_version(version: str) -> None:
    """Refuses a release of Ray that this package was not tested with.

    Parameters
    ----------
    version
        `ray.__version__`.

    Raises
    ------
    ResourceError
        If the release is older or newer than those that the tests pass with.

    Examples
    --------
    >>> check_ray_version("2.60.3")
    """
    major, minor = (int(number) for number in version.split(".")[:2])
    if not OLDEST <= (major, minor) <= NEWEST:
        raise ResourceError(
            Problem(
                key="ray",
                found=f"Ray {version} is installed here; ray-pipeline supports {SUPPORTED}",
                fix=f"pip install 'ray[data,train,tune]{REQUIREMENT}', on every node of the cluster alike",
            )
        )


def version_mismatch(address: str, error: Exception) -> Problem | None:
    """The problem of a cluster that runs another Ray or Python than this process; None if the error is another one.

    Parameters
    ----------
    address
        Of the cluster, as the cluster file names it.
    error
        What `ray.init` raised.
    """
    versions = re.findall(r"Ray: (\S+)\s+Python: (\S+)", str(error))
    if "Version mismatch" not in str(error) or len(versions) != 2:
        return None
    there, here = (f"Ray {ray} on Python {python}" for ray, python in versions)
    return Problem(
        key="address",
        found=f"the cluster at {address!r} runs {there}, and this process runs {here}",
        fix=f"install the same versions here and on the cluster; ray-pipeline supports {SUPPORTED}",
    )
