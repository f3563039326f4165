"""Public data sets, injected attacks and baselines: how well the detectors do."""
