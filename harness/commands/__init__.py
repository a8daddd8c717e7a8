"""What a person types: one module or folder for each command."""
