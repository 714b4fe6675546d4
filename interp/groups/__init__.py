"""Finite groups: their Cayley tables by closed form or from a table, checked, with a name for each element."""
