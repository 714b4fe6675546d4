"""Foresight: will a run generalize, and when? Said during the run, from weights and training pairs alone, or not at all.

`label_free` is what may be looked at, `landmark` reduces it to a few numbers at one step, `law` and `model` turn these into a
date, and `foresee` into a `Forecast` with an interval, a chance and a reason. docs/forecast.md tells how good they are.
"""
