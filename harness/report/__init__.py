"""What stored runs say: tables, comparisons, scaling, the page."""
