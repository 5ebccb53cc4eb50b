"""Who holds a GPU: sources of pods."""
