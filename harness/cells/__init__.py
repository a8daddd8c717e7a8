"""One file per recurrent cell: its equations, its paper and its `SPEC`. No framework here."""
