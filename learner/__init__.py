"""Learning: from an image and its traffic to a calibrated request model."""
