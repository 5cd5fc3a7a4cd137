"""The private interfaces of Ray's job server that this package uses; those of the rest of Ray are in `private_ray`.

`tests/runtime/test_private_ray.py` names the one that a release of Ray removes.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient


def job_client(
    address: str, timeouts: Mapping[str, tuple[float, float]], headers: Mapping[str, str]
) -> "JobSubmissionClient":
    """A client whose requests end in time. Ray's own waits forever for a host that drops packets.

    Parameters
    ----------
    address
        `http://host:port`.
    timeouts
        Seconds to connect and seconds to wait for the answer, by HTTP method; `POST` is also that of other methods.
    headers
        Further headers of each request.
    """
    from ray.job_submission import JobSubmissionClient

    class Client(JobSubmissionClient):  # type: ignore[misc]  # ray is untyped
        """Ray's client, with a deadline for each request."""

        def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
            return super()._do_request(method, endpoint, timeout=timeouts.get(method, timeouts["POST"]), **options)

    return Client(address, headers=dict(headers))


def session_name(client: "JobSubmissionClient") -> str:
    """The name that a cluster gets when it starts. No two clusters share it."""
    return str(client._do_request("GET", "/api/version").json()["session_name"])


def host_names(client: "JobSubmissionClient") -> list[str]:
    """The hosts of the cluster; none in its first seconds."""
    return list(client._do_request("GET", "/nodes?view=hostNameList").json()["data"]["hostNameList"])
