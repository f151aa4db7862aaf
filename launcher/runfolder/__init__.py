"""The run folder: the only interface between the launcher and the node program. Standard library only."""
