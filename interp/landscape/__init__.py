"""The training loss around a run's weights: in how many directions they may be changed before it rises."""
