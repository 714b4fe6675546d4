"""Keep what is trained: where a stream of steps meets the store."""
