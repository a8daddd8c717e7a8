"""Products of the shapes and the type that training has, for the measured peak.

The small products of one time step take a GPU less time than the host needs to start them: on CUDA PER_GRAPH
of them are one graph, where at least as many are asked for. Operands are random: regular ones switch fewer
transistors, so that a GPU clocks higher with them than with a model's numbers.
"""

import torch

from harness.backends.torch import cuda_graph

PER_GRAPH = 64  # products there and back


class MatrixProducts:
    """See `Session.matmul`. The operands of the last shape are kept."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self.shape: tuple[int, int, int] | None = None
        self.operands: tuple[torch.Tensor, ...] = ()
        self.replay: cuda_graph.Replay | None = None

    @torch.no_grad()
    def run(self, m: int, k: int, n: int, repeats: int) -> None:
        """Multiplies (m, k) by (k, n) and the result by the transpose, `repeats` times."""
        if self.shape != (m, k, n):
            self._begin(m, k, n)
        if repeats >= PER_GRAPH and cuda_graph.supported(self.device):
            if self.replay is None:
                self.replay = cuda_graph.Capture(self.device)(lambda: self._multiply(PER_GRAPH), warm_up=1)
            graphs, repeats = divmod(repeats, PER_GRAPH)
            for _ in range(graphs):
                self.replay()
        self._multiply(repeats)  # what is left over the host starts while the graphs are computed

    def _begin(self, m: int, k: int, n: int) -> None:
        self.shape, self.operands, self.replay = (m, k, n), (), None  # the last ones go first
        place = {"device": self.device, "dtype": self.dtype}
        numbers = torch.Generator(self.device).manual_seed(0)
        x, w = (torch.empty(rows, k, **place).uniform_(-1.0, 1.0, generator=numbers) for rows in (m, n))
        self.operands = x, w, torch.empty(m, n, **place), torch.empty_like(x)

    def _multiply(self, repeats: int) -> None:
        x, w, y, back = self.operands
        for _ in range(repeats):
            torch.mm(x, w.t(), out=y)
            torch.mm(y, w, out=back)
