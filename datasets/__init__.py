"""Traffic of every format as exchanges, corpora with cards, splits that leak nothing."""
