"""Runs on disk: atomic, flushed, hashed. The format is described in checkpoints/README.md."""
