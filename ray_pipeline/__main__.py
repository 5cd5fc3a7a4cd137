"""`python -m ray_pipeline`: the same as the command `ray-pipeline`."""

from ray_pipeline.cli import main

main()
