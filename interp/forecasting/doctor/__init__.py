"""The doctor: which precondition of grokking fails, in a configuration before it is trained or in a run.

`patient` is what is known, `knowledge` what was measured on other runs (as data, with sources), `causes` has one rule a file,
`diagnosis` what is said, and `diagnosing` puts them together. docs/doctor.md tells how often the first cause was the right one.
"""
