"""Training: a stream of steps, computed by an engine. Nothing here writes files or prints."""
