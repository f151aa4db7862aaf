"""Runs on a Slurm cluster: by sbatch, or in an allocation that SkyPilot requests."""
