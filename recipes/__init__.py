"""Training recipes. Each family is a folder of stages; none of them knows about clouds or the launcher."""
