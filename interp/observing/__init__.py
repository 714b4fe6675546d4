"""Look at every checkpoint: views, analyses, the series they give, and what follows from a series."""
