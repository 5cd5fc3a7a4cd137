"""What a worker of a run imports: a worker that Ray starts in advance imports this module before it takes any work.

It takes 1.5 s of CPU time, and passes while the driver waits for Ray and imports the same.
"""

import pandas  # noqa: F401
import ray.data
import ray.train
import ray.tune  # noqa: F401

import ray_pipeline.evaluation.predict
import ray_pipeline.profiling.profile
import ray_pipeline.tuning.trainable  # noqa: F401
from ray_pipeline.components.models._xgboost import import_xgboost

import_xgboost()
