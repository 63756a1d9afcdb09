"""Your documents: files to passages, passages to an index, questions to what answers them."""
