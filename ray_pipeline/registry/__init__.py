"""Registry: the only door to MLflow. A version is written whole, proved in a fresh process, and then gets its alias.

In: a bundle, its verdict and lineage. Out: a registered version, its bundle on this machine, its history.
May import: tuning, evaluation and the layers below them.
"""

from ray_pipeline.registry.new_version import NewVersion
from ray_pipeline.registry.registry import Registry

__all__ = ["NewVersion", "Registry"]
