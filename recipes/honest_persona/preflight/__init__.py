"""What is asked before anything is paid: are data, settings and chat template right, and is there room."""
