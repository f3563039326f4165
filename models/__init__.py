"""The vocabulary of CNAF and the kernels that score with it.

Everything above this layer speaks in these types: requests, fields, verdicts, digests, artifacts.
Nothing here trains a model, opens a socket or imports scikit-learn.
"""
