"""How training speed depends on batch size, width and sequence length."""
