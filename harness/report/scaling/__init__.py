"""How training speed depends on batch size, hidden units and sequence length: `python -m harness scaling`."""
