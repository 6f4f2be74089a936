"""The synthetic corpora of egs/mini, in the layouts of IEMOCAP and MUSAN."""
