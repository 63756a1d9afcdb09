"""Language models inside the process: the engine, its prompts and the model library."""
