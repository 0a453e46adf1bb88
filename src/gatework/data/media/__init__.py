"""Sounds, pictures and films: files and arrays -> a listing of items -> arrays on disk. No task is known here."""
