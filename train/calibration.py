"""Thresholds and statistics of a network from images: before training, or in the place of it for networks of random weights."""

import torch
from torch import nn

from network import Qcfs, TokenBatchNorm

# Images to calibrate on.
IMAGES = 96


@torch.no_grad()
def calibrate(network: nn.Module, pixels: torch.Tensor, statistics: bool) -> None:
    """Sets every threshold to the 99th percentile of what its site sees, site after site, in one pass; leaves evaluation mode.

    With `statistics`, batch norm takes those of the same images.
    """
    sites = [module for module in network.modules() if isinstance(module, Qcfs)]
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d | TokenBatchNorm)]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    if statistics:
        for norm in norms:
            norm.train()
            norm.momentum = 1.0
    for site in sites:
        site.calibrating = True
    network(pixels)
    for site in sites:
        site.calibrating = False
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    network.eval()


@torch.no_grad()
def spread_logits(network: nn.Module, head: nn.Module, pixels: torch.Tensor) -> None:
    """Moves and scales the logits of random weights to a mean of 0 and a deviation of 1 a class, so that images fall into all classes."""
    logits = network(pixels)
    mean, deviation = logits.mean(0), logits.std(0).clamp(min=1e-6)
    head.weight /= deviation[:, None]
    head.bias.copy_((head.bias - mean) / deviation)
