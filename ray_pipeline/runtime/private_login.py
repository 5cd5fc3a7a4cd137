"""The private interfaces of Ray's tokens that this package uses; those of the rest of Ray are in `private_ray`.

`tests/runtime/test_private_ray.py` names the one that a release of Ray removes.
"""

import os

AUTHENTICATION = "RAY_AUTH_MODE"
"""The environment variable that says whether Ray uses tokens."""
ANY_CALL = "/ray.rpc.NodeInfoGcsService/GetClusterId"
"""The path of the first call that a client makes, which asks for nothing but the token."""


def token_header() -> dict[str, str]:
    """The HTTP header with the token of this machine, whatever RAY_AUTH_MODE says; empty if there is none."""
    from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]  # Cython

    loader = AuthenticationTokenLoader.instance()
    if not loader.has_token(ignore_auth_mode=True):
        return {}
    return dict(loader.get_token_for_http_header(ignore_auth_mode=True))


def header_of_next_session(*, of_this_machine: bool) -> dict[str, str]:
    """Lets `ray.init` send the token to a cluster of this machine, and to others only where RAY_AUTH_MODE is set.

    By itself Ray sends it where the address is `auto`, and then to every cluster to which this process connects.

    Returns
    -------
    dict
        The header that `ray.init` will send; empty where it sends no token.
    """
    from ray._private.authentication import authentication_token_setup
    from ray._raylet import AuthenticationMode, Config, get_authentication_mode  # type: ignore[attr-defined]

    if of_this_machine:
        authentication_token_setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    elif AUTHENTICATION not in os.environ:
        Config.initialize("")
    return token_header() if get_authentication_mode() == AuthenticationMode.TOKEN else {}
