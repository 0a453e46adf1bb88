"""Cells as C99: `Step(graph, sizes, storage)` prints the function of a step, and says which tables of weights it reads.

A `@` in any text stands for the prefix of all names of a program; `exporting.c` puts it in.
"""
