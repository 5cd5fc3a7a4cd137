"""Work on the pieces of a table in threads of this process: what Ray Data does on a cluster, without its start.

It suits work that is nearly all in Arrow, numpy and the library of a model, which release the interpreter's lock.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

from ray_pipeline.runtime.scan import Piece, slices

PIECES_AHEAD = 2


def map_in_threads(
    pieces: Sequence[Piece], block_rows: int, work: Callable[[pa.Table], pa.Table], threads: int
) -> Iterator[pa.Table]:
    """Yield the result of `work` on each block, in order; a few pieces and blocks at a time are in memory.

    Parameters
    ----------
    pieces
        Functions that read one piece of the source each.
    block_rows
        The most rows of one block.
    work
        What is done with a block.
    threads
        Blocks at once.

    Raises
    ------
    Exception
        What a piece or `work` raised.
    """
    pool, waiting = ThreadPoolExecutor(threads), deque[Future[pa.Table]]()

    def begun() -> Iterator[Future[pa.Table]]:
        reads = deque(pool.submit(piece) for piece in pieces[:PIECES_AHEAD])
        for later in [*pieces[PIECES_AHEAD:], *[None] * PIECES_AHEAD][: len(pieces)]:
            table = reads.popleft().result()
            if later is not None:
                reads.append(pool.submit(later))
            for block in slices(table, block_rows):
                yield pool.submit(work, block)

    try:
        for result in begun():
            waiting.append(result)
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
