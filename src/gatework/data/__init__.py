"""Files -> examples: readers, checks, splits, tokenizers, sequences, batching. Knows no task; numpy and polars only."""
