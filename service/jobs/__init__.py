"""What runs by itself: the nightly training, detection, the scheduler, and the supervisor of all processes."""
