"""Vandalism: what happens to real runs when everything around them goes wrong, round after round, each with a seed of its own."""
