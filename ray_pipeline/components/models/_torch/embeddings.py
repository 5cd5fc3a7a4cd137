"""Each column of a table becomes one vector of width D: numbers by a piecewise-linear encoding, categories by lookup.

Shapes: B rows, C matrix columns, N numbers or categories among them, K bins, F = C embedded columns, D embedding width.
"""

from collections.abc import Sequence
from statistics import NormalDist

import torch
from torch import Tensor, nn


class ColumnEmbeddings(nn.Module):
    """x_BC -> x_BFD, numbers first, then categories.

    Parameters
    ----------
    cardinalities
        For each of the C columns its number of ids, 0 for a number.
    d_embedding
        D.
    n_bins
        K.

    >>> ColumnEmbeddings((0, 5), d_embedding=8, n_bins=4)(torch.zeros(3, 2)).shape
    torch.Size([3, 2, 8])
    """

    def __init__(self, cardinalities: Sequence[int], *, d_embedding: int, n_bins: int) -> None:
        super().__init__()
        self.n_columns, self.d_embedding = len(cardinalities), d_embedding
        self.numbers = [at for at, codes in enumerate(cardinalities) if not codes]
        self.categories = [at for at, codes in enumerate(cardinalities) if codes]
        self.of_numbers = (
            NumberEmbeddings(len(self.numbers), d_embedding=d_embedding, n_bins=n_bins) if self.numbers else None
        )
        self.of_categories = (
            CategoryEmbeddings([codes for codes in cardinalities if codes], d_embedding=d_embedding)
            if self.categories
            else None
        )

    def forward(self, x_BC: Tensor) -> Tensor:
        """Embed the columns."""
        embedded = []
        if self.of_numbers is not None:
            embedded.append(self.of_numbers(x_BC[:, self.numbers]))
        if self.of_categories is not None:
            embedded.append(self.of_categories(x_BC[:, self.categories].long()))
        return torch.cat(embedded, 1)


class NumberEmbeddings(nn.Module):
    """x_BN -> x_BND: a linear map plus one of the piecewise-linear encoding (Gorishniy et al., 2022, section 3.2).

    Unlike the paper, the bins are quantiles of the standard normal, because the encoder has made every number normal.
    As in the authors' `rtdl_num_embeddings`, the map of the encoding starts at 0: a net begins as one without it.
    """

    scale_K: Tensor
    shift_K: Tensor

    def __init__(self, n_numbers: int, *, d_embedding: int, n_bins: int) -> None:
        super().__init__()
        edges = [NormalDist().inv_cdf(at / n_bins) for at in range(1, n_bins)]
        edges = [2 * edges[0] - edges[1], *edges, 2 * edges[-1] - edges[-2]] if n_bins > 2 else [-3.0, *edges, 3.0]
        edges_K = torch.tensor(edges)
        widths_K = edges_K.diff()
        self.register_buffer("scale_K", 1 / widths_K, persistent=False)
        self.register_buffer("shift_K", -edges_K[:-1] / widths_K, persistent=False)
        self.slope_ND = nn.Parameter(torch.empty(n_numbers, d_embedding))
        self.offset_ND = nn.Parameter(torch.empty(n_numbers, d_embedding))
        self.bins_NKD = nn.Parameter(torch.zeros(n_numbers, n_bins, d_embedding))
        for parameter in (self.slope_ND, self.offset_ND):
            nn.init.uniform_(parameter, -(d_embedding**-0.5), d_embedding**-0.5)

    def forward(self, x_BN: Tensor) -> Tensor:
        """Embed the numbers."""
        x_NB1 = x_BN.T[..., None]
        encoded_NBK = (x_NB1 * self.scale_K + self.shift_K).clamp(0, 1)
        return torch.baddbmm(
            self.offset_ND[:, None] + x_NB1 * self.slope_ND[:, None], encoded_NBK, self.bins_NKD
        ).transpose(0, 1)


class CategoryEmbeddings(nn.Module):
    """Ids x_BN -> x_BND, by one table with a row for each id of each column."""

    offset_N: Tensor

    def __init__(self, cardinalities: Sequence[int], *, d_embedding: int) -> None:
        super().__init__()
        self.register_buffer("offset_N", torch.tensor([0, *cardinalities[:-1]]).cumsum(0), persistent=False)
        self.table = nn.Embedding(sum(cardinalities), d_embedding)
        nn.init.uniform_(self.table.weight, -(d_embedding**-0.5), d_embedding**-0.5)

    def forward(self, x_BN: Tensor) -> Tensor:
        """Embed the ids."""
        embedded: Tensor = self.table(x_BN + self.offset_N)
        return embedded
