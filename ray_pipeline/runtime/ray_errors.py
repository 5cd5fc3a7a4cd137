"""What a worker raised, found in the errors that Ray makes of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from ray_pipeline.errors import PipelineError
from ray_pipeline.redaction import redacted


@contextmanager
def own_errors() -> Iterator[None]:
    """Raises a `PipelineError` that a worker raised without Ray's wrapper."""
    try:
        yield
    except Exception as error:
        own = find_own(error)
        if own is None or own is error:
            raise
        raise own from None


def find_own(error: BaseException | None) -> PipelineError | None:
    """The `PipelineError` at the root of a chain of wrapped errors; None if there is none."""
    # Ray's error is an instance of its cause's class too, but its text is a traceback: the cause comes first.
    own = (one for one in causes(error) if isinstance(one, PipelineError) and getattr(one, "cause", None) is None)
    return next(own, None)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it was made of, the outermost first."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = getattr(error, "cause", None) or error.__cause__ or error.__context__


def last_line(error: BaseException | None) -> str:
    """The last line of an error of Ray's: the cause, below the tracebacks of all the processes that it passed."""
    own = find_own(error)
    lines = str(own or error).strip().splitlines()
    return redacted(lines[-1])[:300] if lines else type(error).__name__
