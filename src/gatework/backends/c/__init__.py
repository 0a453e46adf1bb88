"""Cells as C99: `Step(graph, sizes)` prints the function of one step, and says which tables of weights it reads.

A `@` in any text stands for the prefix of all names of a program; `export.c` puts it in.
"""
