"""What runs the cells of a plan."""
