"""The function that is trained: named tensors, and activations by site."""
