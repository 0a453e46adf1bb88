"""Tags of tokens without torch: schemes of spans, tokens of raw text, features of windows, chains of tags."""
