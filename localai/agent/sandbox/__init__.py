"""Where programs that a model asks for run: with the workspace, and without anything of ours."""
