"""Products of the shapes and the type that training has, for the measured peak."""

import torch


class MatrixProducts:
    """See `Session.matmul`. The operands of the last shape are kept."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self.operands: dict[tuple[int, int, int], tuple[torch.Tensor, ...]] = {}

    def run(self, m: int, k: int, n: int, repeats: int) -> None:
        """Multiplies (m, k) by (k, n) and the result by the transpose, `repeats` times."""
        if (m, k, n) not in self.operands:
            place = {"device": self.device, "dtype": self.dtype}
            x, w = (torch.linspace(-1.0, 1.0, rows * k, **place).view(rows, k) for rows in (m, n))
            self.operands = {(m, k, n): (x, w, torch.empty(m, n, **place), torch.empty_like(x))}
        x, w, y, back = self.operands[m, k, n]
        for _ in range(repeats):
            torch.mm(x, w.t(), out=y)
            torch.mm(y, w, out=back)
