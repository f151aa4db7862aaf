"""The work of the commands; `launcher/cli.py` has their help."""
