"""A cell explained: equations, shapes, parameters, and how each framework stores them."""
