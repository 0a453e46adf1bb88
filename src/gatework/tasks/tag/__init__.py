"""Tag: a label for each word, character or residue, and for the whole sentence."""
