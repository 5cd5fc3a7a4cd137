"""Matthews correlation coefficient."""

import numpy as np

from ray_pipeline.components.metrics._base import Numbers, divide
from ray_pipeline.components.metrics._confusion import Confusion


class MCC(Confusion):
    """Correlation of decision and label, in [-1, 1] (Matthews, 1975); undefined where either has one value only."""

    better = "higher"
    range = (-1.0, 1.0)

    def value(self, sums: Numbers) -> Numbers:
        """From (tp, fp, fn, tn) on the last axis."""
        tp, fp, fn, tn = (sums[..., cell] for cell in range(4))
        margins = np.sqrt(tp + fp) * np.sqrt(tp + fn) * np.sqrt(tn + fp) * np.sqrt(tn + fn)
        return divide(tp * tn - fp * fn, margins)
