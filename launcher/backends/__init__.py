"""Where a run can be carried out. A backend launches, tells the state, stops, and takes down; nothing else."""
