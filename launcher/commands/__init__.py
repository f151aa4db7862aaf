"""What each command does; `launcher/cli.py` has their signatures and help."""
