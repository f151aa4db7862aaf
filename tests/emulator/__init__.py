"""RunPod and Lambda on this machine: their APIs, prices and faults, with Docker containers as pods and VMs.

`server.Emulator` runs them, `client.client` makes the environment in which an unmodified SkyPilot finds them.
"""
