"""One file per cell that PyTorch has here.

A cell file offers `step` (one time step, given the input's projection), `pack` and `unpack` (between
canonical weights and what the framework stores), and `fused` where the framework has a stock layer.
A packed number that `pack` fills from no canonical weight is redundant: it is zero and stays zero.

Legend: B batch, I input features, H hidden units, G gates.
"""
