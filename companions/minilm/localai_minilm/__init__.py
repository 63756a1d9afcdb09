"""The embedding model `localai/minilm-l6-v2-int8`, as files; localai-suite finds and runs it."""

from pathlib import Path

FOLDER = Path(__file__).parent / "model"
