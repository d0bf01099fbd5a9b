"""The training of a variational autoencoder, by PyTorch on one core: the one thing here that needs it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from peer.detectors.features import Rows
from peer.detectors.vae_network import DEVIATIONS_MAX, LOG_VARIANCE, shapes
from peer.extras import needed

BATCH = 64
RATE = 2e-2
"""Of Adam, at the start; it falls to a hundredth along a cosine."""


def weights(values: Rows, hidden: int, latent: int, epochs: int, seed: int) -> dict[str, NDArray[np.float64]]:
    """Return the arrays of a network that knows these rows.

    The same arguments give the same arrays on one machine. PyTorch's own seed and threads are left as they were.

    Raises: ConfigInvalid, without PyTorch.
    Source: Kingma and Welling 2014: section 2.3 (the estimator), appendix B (the divergence), C.2 (a Gaussian decoder).
    """
    torch = needed("torch", "Vae.train", "vae", "It was not trained.")
    threads = torch.get_num_threads()
    # Sums over several threads come in another order, and are other sums.
    torch.set_num_threads(1)
    try:
        return _trained(torch, values, hidden, latent, epochs, seed)
    finally:
        torch.set_num_threads(threads)


def _trained(
    torch: Any, values: Rows, hidden: int, latent: int, epochs: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    mean, sd = np.mean(values, axis=0), np.std(values, axis=0)
    sd = np.where(sd > 0, sd, 1.0)
    placed = torch.tensor(np.clip((values - mean) / sd, -DEVIATIONS_MAX, DEVIATIONS_MAX), dtype=torch.float64)
    chance = torch.Generator().manual_seed(seed)
    arrays = {
        name: _first(torch, shape, chance)
        for name, shape in shapes(values.shape[1], hidden, latent).items()
        if name not in ("mean", "sd")
    }
    adam = torch.optim.Adam(list(arrays.values()), lr=RATE)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, epochs, RATE / 100)
    for _ in range(epochs):
        order = torch.randperm(len(placed), generator=chance)
        for batch in order.split(BATCH):
            adam.zero_grad()
            _loss(torch, arrays, placed[batch], chance).backward()
            adam.step()
        falling.step()
    found = {name: array.detach().numpy().copy() for name, array in arrays.items()}
    return {**found, "mean": mean, "sd": sd}


def _first(torch: Any, shape: tuple[int, ...], chance: Any) -> Any:
    """Return an array to begin with: zeros for what is added, else as wide as keeps sums of one size."""
    if len(shape) == 1:
        return torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    drawn = torch.randn(shape, generator=chance, dtype=torch.float64) / shape[0] ** 0.5
    return drawn.requires_grad_()


def _loss(torch: Any, w: dict[str, Any], rows: Any, chance: Any) -> Any:
    """Return the mean negative evidence bound of some rows, with one draw for each."""
    inner = torch.tanh(rows @ w["encoder"] + w["encoder_bias"])
    middle = inner @ w["middle"] + w["middle_bias"]
    spread = torch.clamp(inner @ w["spread"] + w["spread_bias"], -LOG_VARIANCE, LOG_VARIANCE)
    drawn = middle + torch.exp(spread / 2) * torch.randn(middle.shape, generator=chance, dtype=torch.float64)
    back = torch.tanh(drawn @ w["decoder"] + w["decoder_bias"]) @ w["output"] + w["output_bias"]
    noise = torch.clamp(w["noise"], -LOG_VARIANCE, LOG_VARIANCE)
    error = 0.5 * torch.sum((rows - back) ** 2 * torch.exp(-noise) + noise, dim=1)
    divergence = 0.5 * torch.sum(middle**2 + torch.exp(spread) - 1 - spread, dim=1)
    return torch.mean(error + divergence)
