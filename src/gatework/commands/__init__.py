"""The commands of the command line: one small module each, a thin layer over the library.

Nobody but cli.py imports them. A module defines `register(app)`, which adds its command (or group of commands) to the
application; its name stands in `cli.COMMANDS`. Everything heavier than typer and rich is imported inside the command's
function, so that help stays quick. Commands raise gatework's errors; cli.py turns these into one message and a code.
"""
