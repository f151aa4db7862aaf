"""Runs on machines that SkyPilot rents."""
