"""What is done to weights to see what causes what: parts of one checkpoint in another, beside controls."""
