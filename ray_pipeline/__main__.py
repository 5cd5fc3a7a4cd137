"""The command `ray-pipeline`, also called by `python -m ray_pipeline`."""

from ray_pipeline import cli
from ray_pipeline.runtime.background import end_process


def main() -> None:
    """Run the command line and end the process."""
    try:
        cli.main()
    except SystemExit as ended:
        end_process(int(ended.code or 0))


if __name__ == "__main__":
    main()
