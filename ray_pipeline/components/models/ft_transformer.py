"""The Feature Tokenizer + Transformer (Gorishniy et al., 2021): attention between columns.

The net is in `_torch/ft_transformer.py`; hyperparameters bear the names of the paper's code (`rtdl`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from ray_pipeline.components.models._net import Net
from ray_pipeline.components.space import Float, Int, Integer, Log, Number, Within

if TYPE_CHECKING:
    from torch import nn


class FTTransformer(Net):
    """Hyperparameters of a transformer; their default spaces suit tables of 1,000 to 1,000,000 rows.

    A token is `n_heads` times `d_head` wide.
    """

    row_cost: ClassVar[int] = 3
    start: ClassVar[dict[str, Any]] = {
        "n_blocks": 2,
        "d_head": 8,
        "attention_dropout": 0.1,
        "ffn_dropout": 0.1,
        "lr": 1e-3,
        "weight_decay": 1e-4,
    }

    n_blocks: Annotated[Integer, Within(1, 16)] = Int(low=1, high=3)
    n_heads: Annotated[Integer, Within(1, 64)] = 8
    d_head: Annotated[Integer, Within(1, 256)] = Int(low=4, high=12)
    attention_dropout: Annotated[Number, Within(0, 0.9)] = Float(low=0.0, high=0.4)
    ffn_dropout: Annotated[Number, Within(0, 0.9)] = Float(low=0.0, high=0.4)
    n_bins: Annotated[Integer, Within(2, 256)] = 32
    lr: Annotated[Number, Within(0, 1, above=True)] = Log(low=2e-4, high=3e-3)
    weight_decay: Annotated[Number, Within(0)] = Log(low=1e-6, high=1e-2)
    batch_size: Annotated[Integer, Within(1, 1_000_000)] = 256
    n_epochs: Annotated[Integer, Within(1, 100_000)] = 100
    early_stopping_epochs: Annotated[Integer, Within(1)] = 8

    @classmethod
    def build(cls, params: dict[str, Any], cardinalities: Sequence[int], num_outputs: int) -> "nn.Module":
        """Build the net of `_torch/ft_transformer.py`."""
        from ray_pipeline.components.models._torch.embeddings import ColumnEmbeddings
        from ray_pipeline.components.models._torch.ft_transformer import FTTransformerNet

        d_token = params["n_heads"] * params["d_head"]
        embeddings = ColumnEmbeddings(cardinalities, d_embedding=d_token, n_bins=params["n_bins"])
        shape = {name: params[name] for name in ("n_blocks", "n_heads", "attention_dropout", "ffn_dropout")}
        return FTTransformerNet(embeddings, num_outputs, **shape)
