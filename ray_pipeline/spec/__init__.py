"""The two files of a user: the spec (WHAT, `Spec`) and the cluster file (WHERE, `where.Where`)."""

from ray_pipeline.spec.spec import Spec

__all__ = ["Spec"]
