"""Studies: many runs, planned as one value, trained anywhere, and counted without forgetting those that never grokked."""
