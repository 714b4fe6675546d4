"""Other people's models and files: TransformerLens, the official grokking code, the clock/pizza code."""
