"""Training logs beside somebody's weights: CSV, JSON, TensorBoard, Weights & Biases offline and trackio, read with small readers.

Nothing in a log is executed, and none of the libraries that write them is needed: `interp.interop.logs.training_log.read_log`.
"""
