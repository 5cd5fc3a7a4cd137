"""The three tasks at the end of a net: how many outputs, the loss of a row, and what the outputs say.

Shapes: B rows, K nets that are averaged, O outputs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ray_pipeline.values import Task


@dataclass(frozen=True)
class Head:
    """Cross-entropy for classes, squared error for numbers; every one of the K nets has its own loss (TabM, section
    3.2)."""

    task: Task
    num_classes: int

    @property
    def num_outputs(self) -> int:
        """O: one for a probability or a number, one for each class of several."""
        return self.num_classes if self.task == "multiclass" else 1

    def loss(self, outputs_BKO: Tensor, label_B: Tensor) -> Tensor:
        """(B,), the mean over the nets."""
        if self.task == "multiclass":
            label_BK = label_B.long()[:, None].expand(outputs_BKO.shape[:2])
            return functional.cross_entropy(outputs_BKO.transpose(1, 2), label_BK, reduction="none").mean(1)
        outputs_BK = outputs_BKO.squeeze(2)
        label_BK = label_B[:, None].expand_as(outputs_BK)
        loss = functional.binary_cross_entropy_with_logits if self.task == "binary" else functional.mse_loss
        return loss(outputs_BK, label_BK, reduction="none").mean(1)

    def scores(self, outputs_BKO: Tensor) -> Tensor:
        """Probability of the positive class (B,), of each class (B, O), or the number in the net's own scale (B,): the
        mean over the nets."""
        if self.task == "multiclass":
            return outputs_BKO.softmax(2).mean(1)
        outputs_BK = outputs_BKO.squeeze(2)
        return (torch.sigmoid(outputs_BK) if self.task == "binary" else outputs_BK).mean(1)
