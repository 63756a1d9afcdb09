"""Documents that are not plain text, one file a format; only the worker imports these."""
