"""What the network of any task is built from; knows no task.

Letters: B rows, T steps, S steps of a memory, I inputs, H units, V symbols of a vocabulary, K places of a search.
"""
