"""Feature Tokenizer + Transformer (Gorishniy et al., 2021, section 3.3): each column is a token; one more is read out.

Shapes: B rows, C columns, T = C + 1 tokens, D token width, A heads.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ray_pipeline.components.models._torch.embeddings import ColumnEmbeddings

FFN_FACTOR = 4 / 3
"""Hidden width of a feed-forward layer, by D (appendix E.1)."""


class FTTransformerNet(nn.Module):
    """x_BC -> outputs_B1O.

    Unlike in the paper, numbers become tokens by the piecewise-linear embeddings of Gorishniy et al. (2022, section
    3.2), which start as the paper's.
    """

    def __init__(
        self,
        embeddings: ColumnEmbeddings,
        num_outputs: int,
        *,
        n_blocks: int,
        n_heads: int,
        attention_dropout: float,
        ffn_dropout: float,
    ) -> None:
        super().__init__()
        self.embeddings, d_token = embeddings, embeddings.d_embedding
        self.readout_D = nn.Parameter(torch.empty(d_token))
        nn.init.uniform_(self.readout_D, -(d_token**-0.5), d_token**-0.5)
        self.blocks = nn.ModuleList(
            Block(d_token, n_heads, attention_dropout, ffn_dropout, first=number == 0, last=number == n_blocks - 1)
            for number in range(n_blocks)
        )
        self.norm = nn.LayerNorm(d_token)
        self.head = nn.Linear(d_token, num_outputs)

    def forward(self, x_BC: Tensor) -> Tensor:
        """Return the outputs that are read from the extra token."""
        tokens_BCD = self.embeddings(x_BC)
        x_BTD = torch.cat([self.readout_D.expand(len(x_BC), 1, -1), tokens_BCD], 1)
        for block in self.blocks:
            x_BTD = block(x_BTD)
        outputs: Tensor = self.head(functional.relu(self.norm(x_BTD)))
        return outputs


class Block(nn.Module):
    """x_BTD -> x_BTD, or x_B1D for the last block: attention and a ReGLU layer, each after a norm.

    There is no norm before the first attention (appendix E.1).
    """

    def __init__(
        self, d_token: int, n_heads: int, attention_dropout: float, ffn_dropout: float, *, first: bool, last: bool
    ) -> None:
        super().__init__()
        self.n_heads, self.attention_dropout, self.last = n_heads, attention_dropout, last
        self.attention_norm = nn.Identity() if first else nn.LayerNorm(d_token)
        self.query, self.key_value, self.out = (
            nn.Linear(d_token, d_token),
            nn.Linear(d_token, 2 * d_token),
            nn.Linear(d_token, d_token),
        )
        d_hidden = round(d_token * FFN_FACTOR)
        self.ffn_norm = nn.LayerNorm(d_token)
        self.ffn_in, self.ffn_dropout, self.ffn_out = (
            nn.Linear(d_token, 2 * d_hidden),
            nn.Dropout(ffn_dropout),
            nn.Linear(d_hidden, d_token),
        )

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Attend over all tokens, then apply the feed-forward layer; the last block computes the extra token only."""
        normed_BTD = self.attention_norm(x_BTD)
        if self.last:
            x_BTD = x_BTD[:, :1]
        asking_BTD = normed_BTD[:, : x_BTD.shape[1]]
        key, value = self._heads(self.key_value(normed_BTD), 2)
        (query,) = self._heads(self.query(asking_BTD), 1)
        attended = functional.scaled_dot_product_attention(
            query, key, value, dropout_p=self.attention_dropout if self.training else 0.0
        )
        x_BTD = x_BTD + self.out(attended.transpose(1, 2).flatten(2))
        value_in, gate = self.ffn_in(self.ffn_norm(x_BTD)).chunk(2, -1)
        out: Tensor = x_BTD + self.ffn_out(self.ffn_dropout(value_in * functional.relu(gate)))
        return out

    def _heads(self, x_BTE: Tensor, number: int) -> tuple[Tensor, ...]:
        """(B, T, number x D) -> `number` of (B, A, T, D / A)."""
        parts: Tensor = x_BTE.view(*x_BTE.shape[:2], number, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        return parts.unbind(0)
