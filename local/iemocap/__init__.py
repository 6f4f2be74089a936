"""Read a release of IEMOCAP (https://sail.usc.edu/iemocap/) or a corpus in its layout."""
