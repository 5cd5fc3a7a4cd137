"""L-BFGS whose steps can be taken one by one: it cannot be halted, so all of them are made at once and kept."""

from collections.abc import Callable

from ray_pipeline.values import Vector

Objective = Callable[[Vector], tuple[float, Vector]]
"""The value at a point (d,), and the gradient there (d,)."""


def iterates(objective: Objective, start: Vector, most: int) -> list[Vector]:
    """The start, and the point after each step of L-BFGS-B (Zhu et al., 1997), at most `most` of them; fewer where it
    has converged."""
    from scipy.optimize import fmin_l_bfgs_b

    found = [start]
    fmin_l_bfgs_b(
        objective,
        start,
        maxiter=most,
        maxfun=20 * most,
        factr=10,
        pgtol=1e-9,
        callback=lambda point: found.append(point.copy()),
    )
    return found
