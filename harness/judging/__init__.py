"""What evaluations share once there is a trained method to judge: its features, samples and pictures."""
