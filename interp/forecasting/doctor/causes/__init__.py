"""What keeps a run from grokking, one rule a file: a pure function of what is known, which returns a finding or None."""
