"""Reading and validation of a custom corpus (egs/own)."""
