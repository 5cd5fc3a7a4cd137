"""An epoch of our training loop against a bare PyTorch loop: the same net, batches, optimizer and threads, in turns.

usage: bench_nets.py [--rows 50000] [--columns 20] [--family mlp] [--epochs 3] [--threads 2] [--blocks 12]   -> one JSON
line; the ratio is the result
"""

import argparse
import json
import statistics
import time

import numpy as np
import torch

from ray_pipeline.components.choice import find
from ray_pipeline.components.models._base import TrainingContext
from ray_pipeline.encoded_block import EncodedBlock


def bare(net: torch.nn.Module, x: torch.Tensor, label: torch.Tensor, params: dict) -> None:
    """One epoch as in a tutorial, on tensors in memory."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=params["lr"], weight_decay=params["weight_decay"])
    net.train()
    for places in torch.randperm(len(x)).split(params["batch_size"]):
        optimizer.zero_grad()
        outputs = net(x[places]).squeeze(2)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(outputs, label[places][:, None].expand_as(outputs))
        loss.backward()
        optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("rows", 50_000), ("columns", 20), ("epochs", 3), ("threads", 2), ("blocks", 12)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--family", default="mlp", choices=["mlp", "ft_transformer"])
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    drawn = np.random.default_rng(0)
    matrix = drawn.normal(size=(asked.rows, asked.columns)).astype(np.float32)
    label = (matrix[:, 0] + matrix[:, 1] * matrix[:, 2] > 0).astype(float)
    blocks = [
        EncodedBlock(matrix=part, label=label[at], weight=np.ones(len(at)), rows=None)
        for at, part in ((at, matrix[at]) for at in np.array_split(np.arange(asked.rows), asked.blocks))
    ]
    family = find("models", asked.family)
    params = {name: family.start.get(name, value) for name, value in family()}
    context = TrainingContext(
        task="binary", num_classes=2, cardinalities={family.encoder: (0,) * asked.columns}, threads=asked.threads
    )
    training = family.start_training(params, context, family.prepare_data(params, context, blocks, []), 0)
    net, x, y = (
        family.build(params, (0,) * asked.columns, 1),
        torch.from_numpy(matrix),
        torch.from_numpy(label.astype(np.float32)),
    )
    training.advance(1)
    bare(net, x, y, params)
    ours, theirs = [], []
    for _ in range(asked.epochs):
        begun = time.perf_counter()
        training.advance(training.rounds + 1)
        middle = time.perf_counter()
        bare(net, x, y, params)
        ours.append(middle - begun)
        theirs.append(time.perf_counter() - middle)
    mine, plain = statistics.median(ours), statistics.median(theirs)
    print(
        json.dumps(
            {
                "benchmark": "nets",
                **vars(asked),
                "ours_s": round(mine, 3),
                "bare_s": round(plain, 3),
                "ratio": round(mine / plain, 3),
            }
        )
    )


if __name__ == "__main__":
    main()
