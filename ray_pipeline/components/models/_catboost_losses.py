"""The losses of CatBoost for numbers, as a spec may name them."""

import re
from typing import Any

from ray_pipeline.components.space import Space
from ray_pipeline.errors import nearest

LOSSES_OF_NUMBERS = (
    *("RMSE", "Tweedie:variance_power=1.5", "Poisson", "MAE", "MAPE", "Huber:delta=1.0", "LogCosh"),
    "Quantile:alpha=0.5",
)
NUMBER = re.compile(r"\d+(\.\d+)?")


def known_loss(loss: Any) -> Any:
    """Check a loss, or a space of losses: one of those above, with any number as its parameter."""
    names = {word.partition("=")[0] for word in LOSSES_OF_NUMBERS if "=" in word}
    for word in loss.ends if isinstance(loss, Space) else (loss,):
        name, _, parameter = str(word).partition("=")
        if word not in LOSSES_OF_NUMBERS and not (name in names and NUMBER.fullmatch(parameter)):
            near = nearest(str(word), LOSSES_OF_NUMBERS)
            raise ValueError(f"{word!r} is not known; {near}Known: {', '.join(LOSSES_OF_NUMBERS)}")
    return loss
