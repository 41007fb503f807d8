"""TabM by its authors' package, trained as its README's example does.

Numbers by piecewise-linear embeddings of 48 bins from the training rows (filled gaps), categories one-hot inside of the
net; AdamW (0.002, decay 0.0003), batches of 256, each member its own loss, early stopping by an eighth of the rows with
a patience of 16 epochs. Size and dropout are the package's, but for what is asked.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.tabular_data import Table

PATIENCE, MOST_EPOCHS, BATCH, VALIDATION = 16, 300, 256, 0.125


def fitted(table: Table, train: np.ndarray, seed: int, **size: int) -> Callable[[np.ndarray], np.ndarray]:
    """The net after training; its prediction is the mean of the members' numbers or probabilities."""
    import rtdl_num_embeddings
    import tabm

    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    regression = table.task == "regression"
    numbers, y = table.numbers, table.y
    middle = np.nanmedian(numbers[train], 0)
    numbers = np.where(np.isnan(numbers), middle, numbers)
    kept = numbers[train].std(0) > 0  # the package refuses columns of one value
    numbers = (numbers - numbers[train].mean(0))[:, kept] / numbers[train].std(0)[kept]
    centre, scale = (y[train].mean(), y[train].std()) if regression else (0.0, 1.0)
    x = torch.tensor(numbers, dtype=torch.float32)
    codes = torch.tensor(table.codes, dtype=torch.long) if table.sizes else None
    targets = torch.tensor((y - centre) / scale, dtype=torch.float32 if regression else torch.long)

    order = random.permutation(train)
    cut = int(VALIDATION * len(order))
    held, rest = (torch.as_tensor(rows) for rows in (order[:cut], order[cut:]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of columns with few values
        bins = rtdl_num_embeddings.compute_bins(x[rest], n_bins=min(48, len(rest) - 1))
    embeddings = rtdl_num_embeddings.PiecewiseLinearEmbeddings(bins, d_embedding=16, activation=False, version="B")
    net: Any = tabm.TabM.make(
        n_num_features=x.shape[1],
        cat_cardinalities=list(table.sizes),
        d_out=1 if regression else int(y.max()) + 1,
        num_embeddings=embeddings,
        **size,
    )
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=3e-4)

    def loss_of(rows: torch.Tensor) -> torch.Tensor:
        out = net(x[rows], None if codes is None else codes[rows])
        wanted = targets[rows].repeat_interleave(out.shape[1])
        flat = out.flatten(0, 1)
        return nn.functional.mse_loss(flat[:, 0], wanted) if regression else nn.functional.cross_entropy(flat, wanted)

    @torch.inference_mode()
    def predict(rows: np.ndarray | torch.Tensor) -> np.ndarray:
        net.eval()
        found = [net(x[some], None if codes is None else codes[some]) for some in torch.as_tensor(rows).split(1024)]
        out = torch.cat(found).double()
        return (out.mean(1)[:, 0] * scale + centre if regression else out.softmax(-1).mean(1)).numpy()

    best, waited, weights = float("inf"), 0, None
    for _ in range(MOST_EPOCHS):
        net.train()
        for rows in rest[torch.as_tensor(random.permutation(len(rest)))].split(BATCH):
            optimizer.zero_grad()
            loss_of(rows).backward()
            optimizer.step()
        found, truth = predict(held), y[held.numpy()]
        if regression:
            value = float(np.mean((found - truth) ** 2))
        else:
            value = float(-np.mean(np.log(found[np.arange(len(truth)), truth] + 1e-15)))
        if value < best:
            best, waited, weights = value, 0, copy.deepcopy(net.state_dict())
        else:
            waited += 1
            if waited > PATIENCE:
                break
    assert weights is not None
    net.load_state_dict(weights)
    return predict
