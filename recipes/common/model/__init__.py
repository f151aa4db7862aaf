"""A model folder: fetched, made tiny, loaded, exported with its card."""
