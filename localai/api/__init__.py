"""HTTP doors: one file a noun. They read a request, call one method, show the record."""
