"""The ground of the house: settings, database, secrets, audit. It knows nothing of AI."""
