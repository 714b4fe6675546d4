"""Watch a circuit form: modular arithmetic, checkpoints, hooks across them, and progress measures."""
