"""Reader of IEMOCAP (https://sail.usc.edu/iemocap/) and of corpora in its layout."""
