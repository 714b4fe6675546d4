"""How other people store tensors: one small reader for each kind of file, all within the same limits; nothing is run."""
