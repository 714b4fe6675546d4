"""The report of a run while it is trained: served on this machine only, followed from the store, updated in place."""
