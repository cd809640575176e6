"""What the hardware did beside a job: sampled, kept in the run folder, summed into ``run.json``."""
