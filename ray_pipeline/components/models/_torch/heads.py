"""The three tasks at the end of a net: the number of outputs, the loss of a row, and its score.

Shapes: B rows, K nets that are averaged, O outputs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ray_pipeline.values import Task


@dataclass(frozen=True)
class Head:
    """Cross-entropy for classes, squared error for numbers; each of the K nets has its own loss (TabM, section 3.2)."""

    task: Task
    num_classes: int

    @property
    def num_outputs(self) -> int:
        """O: the number of classes of a multiclass task, else one."""
        return self.num_classes if self.task == "multiclass" else 1

    def loss(self, outputs_BKO: Tensor, label_B: Tensor) -> Tensor:
        """Return the loss of each row, shape (B,): the mean over the nets."""
        if self.task == "multiclass":
            label_BK = label_B.long()[:, None].expand(outputs_BKO.shape[:2])
            return functional.cross_entropy(outputs_BKO.transpose(1, 2), label_BK, reduction="none").mean(1)
        outputs_BK = outputs_BKO.squeeze(2)
        label_BK = label_B[:, None].expand_as(outputs_BK)
        loss = functional.binary_cross_entropy_with_logits if self.task == "binary" else functional.mse_loss
        return loss(outputs_BK, label_BK, reduction="none").mean(1)

    def scores(self, outputs_BKO: Tensor) -> Tensor:
        """Return the mean score over the nets.

        Shape (B, O) for a multiclass task, else (B,). Numbers are in the net's own scale.
        """
        if self.task == "multiclass":
            return outputs_BKO.softmax(2).mean(1)
        outputs_BK = outputs_BKO.squeeze(2)
        return (torch.sigmoid(outputs_BK) if self.task == "binary" else outputs_BK).mean(1)
