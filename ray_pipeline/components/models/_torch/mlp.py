"""A feed-forward net over embedded columns; `k` of them share all weights but the first scaling and the head.

Shapes: B rows, F columns, D embedding width, I = F x D inputs, K nets, H hidden width, O outputs.
"""

import torch
from torch import Tensor, nn

from ray_pipeline.components.models._torch.embeddings import ColumnEmbeddings


class MLPNet(nn.Module):
    """x_BC -> outputs_BKO.

    Embeddings are as in MLP-PLE (Gorishniy et al., 2022, section 3), blocks as in MLP (Gorishniy et al., 2021, section
    3.1), and the K nets as in TabM-mini (Gorishniy, Kotelnikov & Babenko, 2024, section 3.3).
    """

    def __init__(
        self,
        embeddings: ColumnEmbeddings,
        num_outputs: int,
        *,
        k: int,
        n_blocks: int,
        d_block: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.embeddings = embeddings
        d_in = embeddings.n_columns * embeddings.d_embedding
        self.scale_KI = nn.Parameter(torch.ones(k, d_in) if k == 1 else torch.randint(0, 2, (k, d_in)) * 2.0 - 1.0)
        layers: list[nn.Module] = []
        for number in range(n_blocks):
            layers += [nn.Linear(d_in if number == 0 else d_block, d_block), nn.ReLU(), nn.Dropout(dropout)]
        self.blocks = nn.Sequential(*layers)
        d_last = d_block if n_blocks else d_in
        self.head_KHO = nn.Parameter(torch.empty(k, d_last, num_outputs))
        self.bias_KO = nn.Parameter(torch.zeros(k, num_outputs))
        nn.init.uniform_(self.head_KHO, -(d_last**-0.5), d_last**-0.5)

    def forward(self, x_BC: Tensor) -> Tensor:
        """Return the outputs of each net."""
        x_B1I = self.embeddings(x_BC).flatten(1)[:, None]
        x_BKH = self.blocks(x_B1I * self.scale_KI)
        return torch.baddbmm(self.bias_KO[:, None], x_BKH.transpose(0, 1), self.head_KHO).transpose(0, 1)
