"""A feed-forward net for tables: embedded columns, a few hidden layers, and several nets that share them.

The net is in `_torch/mlp.py`; hyperparameters bear the names of the papers' code (`rtdl`, `tabm`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from ray_pipeline.components.models._net import Net
from ray_pipeline.components.space import Float, Int, Integer, Log, Number, Within

if TYPE_CHECKING:
    from torch import nn


class MLP(Net):
    """Hyperparameters of a feed-forward net; their default spaces suit tables of 1,000 to 10,000,000 rows."""

    start: ClassVar[dict[str, Any]] = {
        "n_blocks": 2,
        "d_block": 192,
        "dropout": 0.1,
        "lr": 2e-3,
        "weight_decay": 1e-3,
        "d_embedding": 12,
    }

    n_blocks: Annotated[Integer, Within(0, 16)] = Int(low=1, high=4)
    d_block: Annotated[Integer, Within(1, 8192)] = Log(low=64, high=384)
    dropout: Annotated[Number, Within(0, 0.9)] = Float(low=0.0, high=0.5)
    d_embedding: Annotated[Integer, Within(1, 256)] = Int(low=8, high=24)
    n_bins: Annotated[Integer, Within(2, 256)] = 32
    k: Annotated[Integer, Within(1, 256)] = 4
    lr: Annotated[Number, Within(0, 1, above=True)] = Log(low=5e-4, high=5e-3)
    weight_decay: Annotated[Number, Within(0)] = Log(low=1e-5, high=1e-1)
    batch_size: Annotated[Integer, Within(1, 1_000_000)] = 256
    n_epochs: Annotated[Integer, Within(1, 100_000)] = 100
    early_stopping_epochs: Annotated[Integer, Within(1)] = 8

    @classmethod
    def build(cls, params: dict[str, Any], cardinalities: Sequence[int], num_outputs: int) -> "nn.Module":
        """Build the net of `_torch/mlp.py`."""
        from ray_pipeline.components.models._torch.embeddings import ColumnEmbeddings
        from ray_pipeline.components.models._torch.mlp import MLPNet

        embeddings = ColumnEmbeddings(cardinalities, d_embedding=params["d_embedding"], n_bins=params["n_bins"])
        shape = {name: params[name] for name in ("k", "n_blocks", "d_block", "dropout")}
        return MLPNet(embeddings, num_outputs, **shape)
