"""The node program: executes a plan inside a run folder. Standard library only, Python 3.10 or newer."""
