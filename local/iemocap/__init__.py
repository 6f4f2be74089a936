"""Reading a release of IEMOCAP (or a corpus in its layout)."""
