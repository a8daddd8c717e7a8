"""How far a session is from the float64 NumPy reference: its gradients, the updates that it makes, and the
logits that it predicts, on the run's own data."""
