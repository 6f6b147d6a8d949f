"""Accuracy, time and memory of the product beside public peers, on the same cutoffs and the same two cores."""
