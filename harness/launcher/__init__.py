"""One run seen from outside: its process, its lease on the hardware, and the record that is made of it."""
