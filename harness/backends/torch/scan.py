"""A linear recurrence over all time steps at once.

Legend: T time steps, B batch, H hidden units.
"""

import torch


def linear_recurrence(a: torch.Tensor, b: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """h_t = a_t ∘ h_{t-1} + b_t for all t: a and b (T, B, H), the first h (B, H); returns (T, B, H).

    A step is the pair (a, b), and two steps after each other are one: (a₂ a₁, a₂ b₁ + b₂). With every
    pass each pair swallows what lies twice as far back, so that ⌈log₂ T⌉ passes reach the beginning
    (W. D. Hillis, G. L. Steele, Data parallel algorithms, CACM 29(12), 1986).
    """
    b = torch.cat([torch.addcmul(b[:1], a[:1], h), b[1:]])
    reach = 1
    while reach < len(b):
        b = torch.cat([b[:reach], torch.addcmul(b[reach:], a[reach:], b[:-reach])])
        a = torch.cat([a[:reach], a[reach:] * a[:-reach]])
        reach *= 2
    return b
