"""What a run is measured with: clock, machine, devices, memory, contention, statistics."""
