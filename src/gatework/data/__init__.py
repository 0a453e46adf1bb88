"""Files -> examples: readers, checks, splits, codecs, sequences, batching. Knows no task; numpy and polars only."""
