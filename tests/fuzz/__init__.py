"""Whatever a file or an answer holds: success or a sentence, never a traceback, never a write elsewhere."""
