"""The checks before anything is paid: data, settings, chat template and GPU memory."""
