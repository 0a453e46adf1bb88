"""Recordings without torch: samples to features and back, and how alike two of them are."""
