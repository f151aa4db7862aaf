"""A failed run read: rules as data, the evidence in its logs, the cause and the next command."""
