"""The run folder: the whole interface of the laptop's program and the node program. Only the standard library."""
