"""Anybody's training loop kept as a run: it hands its model over, step by step, and goes on as if nobody looked."""
