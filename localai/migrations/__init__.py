"""The schema's history: Alembic migrations, shipped in the wheel, run on first use."""
