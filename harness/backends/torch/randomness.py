"""The random numbers of dropout: a stream of the session's own, whatever else draws in the process."""

from collections.abc import Iterator
from contextlib import contextmanager
from zlib import crc32

import numpy as np
import torch
from torch.nn import functional


class Stream:
    """A state of its own for the device's only generator, from which PyTorch's layers draw. `number` is the
    shard that draws."""

    def __init__(self, seed: int, device: torch.device, number: int = 0) -> None:
        self.seed = seed
        self.number = number
        self.device = device
        self.generator = torch.random if device.type == "cpu" else torch.get_device_module(device)
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Goes to the first number of an epoch."""
        further = [self.number] if self.number else []
        entropy = np.random.SeedSequence([self.seed, crc32(b"dropout"), epoch, *further])
        seed = int(entropy.generate_state(1, np.uint64)[0])
        self.state = torch.Generator(self.device).manual_seed(seed).get_state()

    @contextmanager
    def drawn(self) -> Iterator[None]:
        """Inside it the generator draws from this stream; outside, its state is as it was."""
        before = self.generator.get_rng_state()
        self.generator.set_rng_state(self.state)
        try:
            yield
        finally:
            self.state = self.generator.get_rng_state()
            self.generator.set_rng_state(before)

    def masks(
        self, epoch: int, share: float, shape: tuple[int, int, int, int], count: int, dtype: torch.dtype
    ) -> list[np.ndarray]:
        """What is multiplied by in the first `count` updates of an epoch: arrays of `Setup.mask_shape`."""
        layers, batch, outputs, width = shape
        ones = torch.ones(outputs, batch, width, device=self.device, dtype=dtype)
        self.begin(epoch)
        with self.drawn():
            masks = [
                torch.stack([functional.dropout(ones, share) for _ in range(layers)]) for _ in range(count)
            ]
        return [mask.float().transpose(1, 2).cpu().numpy() for mask in masks]
