"""Recordings without torch: what a model hears of samples, whole or as they come."""
