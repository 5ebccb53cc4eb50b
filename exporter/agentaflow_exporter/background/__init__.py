"""Threads that work between scrapes; each is started only where something needs it."""
