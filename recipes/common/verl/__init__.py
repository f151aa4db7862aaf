"""What several recipes share to train with upstream verl 0.9.1, through its own extension points alone."""
